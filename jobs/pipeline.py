"""Films to a served model: python jobs/pipeline.py configs/pipeline/phantom.yaml serve.port=8000"""

from lucency import command
from lucency.config.pipeline import PipelineConfig
from lucency.pipeline.pipeline import run

if __name__ == "__main__":
    command.run(PipelineConfig, run, __doc__)
