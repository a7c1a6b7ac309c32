"""Look at mistakes again: python jobs/worklist.py configs/worklist/default.yaml bundle=BUNDLE"""

from lucency import command
from lucency.config.worklist import WorklistConfig
from lucency.pipeline.worklist import worklist

if __name__ == "__main__":
    command.run(WorklistConfig, worklist, __doc__)
