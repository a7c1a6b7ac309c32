"""Find shared films: python jobs/leaks.py configs/leaks/default.yaml table=work/data"""

from lucency import command
from lucency.config.leaks import LeaksConfig
from lucency.pipeline.leaks import leaks

if __name__ == "__main__":
    command.run(LeaksConfig, leaks, __doc__)
