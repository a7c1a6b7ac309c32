"""Take a network apart: python jobs/analyze.py configs/analyze/default.yaml model.name=vgg16"""

from lucency import command
from lucency.config.analyze import AnalyzeConfig
from lucency.pipeline.analyze import analyze

if __name__ == "__main__":
    command.run(AnalyzeConfig, analyze, __doc__)
