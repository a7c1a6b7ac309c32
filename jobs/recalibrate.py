"""Fit to a site: python jobs/recalibrate.py configs/recalibrate/default.yaml bundle=B table=SITE"""

from lucency import command
from lucency.config.recalibrate import RecalibrateConfig
from lucency.pipeline.recalibrate import recalibrate

if __name__ == "__main__":
    command.run(RecalibrateConfig, recalibrate, __doc__)
