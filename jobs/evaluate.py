"""Open the test split once: python jobs/evaluate.py configs/evaluate/default.yaml bundle=BUNDLE"""

from lucency import command
from lucency.config.evaluate import EvaluateConfig
from lucency.pipeline.evaluate import evaluate

if __name__ == "__main__":
    command.run(EvaluateConfig, evaluate, __doc__)
