"""Films -> table."""

from typing import Any

from lucency.config.prepare import PrepareConfig
from lucency.datasets import prepare as preparation
from lucency.datasets.base import datasets
from lucency.pipeline import preview


def prepare(config: PrepareConfig) -> dict[str, Any]:
    """
    Prepare a data set; gives the table's path, digests and counts.

    Raises:
        LeakFound: the splits share a patient or a film.
    """
    done = preparation.prepare(
        datasets.build(config.dataset),
        config.splits,
        config.output,
        name=config.dataset.name,
        checks=config.checks,
        leaks=config.leaks,
    )
    counted = ("films", "patients", "classes", "splits", "set_aside_by_reason", "flagged_by_reason")
    result = {
        "table": str(done.table.path),
        "digest": done.table.digest,
        "splits_digest": done.table.splits_digest,
        "report": str(done.report_path),
        "shortcuts": done.report["shortcuts"],
        "seconds": {stage: round(took, 2) for stage, took in done.seconds.items()},
        **{key: done.report[key] for key in counted},
    }
    if config.preview:
        sheet = preview.draw(done.table, config.preprocess, config.augmentation, config.splits.seed)
        result["preview"] = str(preview.write(config.output, sheet))
    return result
