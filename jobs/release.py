"""Pack what proves a model: python jobs/release.py configs/release/default.yaml bundle=BUNDLE"""

from lucency import command
from lucency.config.release import ReleaseConfig
from lucency.pipeline.release import release

if __name__ == "__main__":
    command.run(ReleaseConfig, release, __doc__)
