"""What ``jobs/recalibrate.py`` may be told."""

from pathlib import Path

from pydantic import Field

from lucency.config.evaluate import Unseen
from lucency.evaluation.calibrated import Method


class RecalibrateConfig(Unseen):
    """
    A bundle, a site's table, and the folder for the site's own bundle.

    Attributes:
        table: Of the site; its validation films decide, its test films are left for the test.
        calibration: ``temperature``, ``platt`` or ``isotonic``; the bundle's own if left out.
        labels: The model's name for a class of the table, where it has another one.
    """

    bundle: Path
    table: Path
    output: Path
    calibration: Method | None = None
    labels: dict[str, str] = Field(default_factory=dict)
