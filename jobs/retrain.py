"""Train anew if late labels or drift say so: python jobs/retrain.py configs/retrain/default.yaml"""

from lucency import command
from lucency.config.retrain import RetrainConfig
from lucency.pipeline.retrain import retrain

if __name__ == "__main__":
    command.run(RetrainConfig, retrain, __doc__)
