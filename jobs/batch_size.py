"""Find how many films fit: python jobs/batch_size.py configs/batch_size/default.yaml train=FILE"""

from lucency import command
from lucency.config.batch_size import BatchSizeConfig
from lucency.pipeline.batch_size import batch_size

if __name__ == "__main__":
    command.run(BatchSizeConfig, batch_size, __doc__)
