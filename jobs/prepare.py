"""Prepare a data set: python jobs/prepare.py configs/prepare/phantom.yaml output=work/data"""

from lucency import command
from lucency.config.prepare import PrepareConfig
from lucency.pipeline.prepare import prepare

if __name__ == "__main__":
    command.run(PrepareConfig, prepare, __doc__)
