"""Judge a model in use by late labels: python jobs/reevaluate.py configs/reevaluate/default.yaml"""

from lucency import command
from lucency.config.reevaluate import ReevaluateConfig
from lucency.pipeline.reevaluate import reevaluate

if __name__ == "__main__":
    command.run(ReevaluateConfig, reevaluate, __doc__)
