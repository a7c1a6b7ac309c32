"""Search for a better recipe: python jobs/tune.py configs/tune/phantom.yaml trials=8"""

from lucency import command
from lucency.config.tune import TuneConfig
from lucency.pipeline.tune import tune

if __name__ == "__main__":
    command.run(TuneConfig, tune, __doc__)
