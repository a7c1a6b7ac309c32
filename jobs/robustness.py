"""Make films worse: python jobs/robustness.py configs/robustness/default.yaml bundle=BUNDLE"""

from lucency import command
from lucency.config.robustness import RobustnessConfig
from lucency.pipeline.robustness import robustness

if __name__ == "__main__":
    command.run(RobustnessConfig, robustness, __doc__)
