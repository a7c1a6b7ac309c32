"""Promote through the gate: python jobs/promote.py configs/promote/default.yaml bundle=BUNDLE"""

from lucency import command
from lucency.config.promote import PromoteConfig
from lucency.pipeline.promote import promote

if __name__ == "__main__":
    command.run(PromoteConfig, promote, __doc__)
