"""Explain a finished run: python jobs/explain.py configs/explain/default.yaml run=FOLDER"""

from lucency import command
from lucency.config.explain import ExplainConfig
from lucency.pipeline.explain import explain

if __name__ == "__main__":
    command.run(ExplainConfig, explain, __doc__)
