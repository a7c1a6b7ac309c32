"""Export a run as a calibrated bundle: python jobs/export.py configs/export/default.yaml run=RUN"""

from lucency import command
from lucency.config.export import ExportConfig
from lucency.pipeline.export import export

if __name__ == "__main__":
    command.run(ExportConfig, export, __doc__)
