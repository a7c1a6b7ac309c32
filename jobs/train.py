"""Train a classifier: python jobs/train.py configs/train/phantom.yaml recipe.seed=1"""

from lucency import command
from lucency.config.train import TrainConfig
from lucency.pipeline.train import train

if __name__ == "__main__":
    command.run(TrainConfig, train, __doc__)
