"""Answer many films: python jobs/predict.py configs/predict/default.yaml bundle=B folder=FILMS"""

from lucency import command
from lucency.config.predict import PredictConfig
from lucency.pipeline.predict import predict

if __name__ == "__main__":
    command.run(PredictConfig, predict, __doc__)
