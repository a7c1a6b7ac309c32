"""Compare architectures under one budget: python jobs/compare.py configs/compare/classic.yaml"""

from lucency import command
from lucency.config.compare import CompareConfig
from lucency.pipeline.compare import compare

if __name__ == "__main__":
    command.run(CompareConfig, compare, __doc__)
