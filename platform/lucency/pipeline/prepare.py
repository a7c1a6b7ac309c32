"""Films -> table."""

from typing import Any

from lucency.config.prepare import PrepareConfig
from lucency.datasets import prepare as preparation
from lucency.datasets.base import datasets


def prepare(config: PrepareConfig) -> dict[str, Any]:
    """Prepare a data set; gives the table's path, digest and counts."""
    source = datasets.build(config.dataset)
    done = preparation.prepare(source, config.splits, config.output, name=config.dataset.name)
    counted = ("films", "patients", "classes", "splits", "set_aside_by_reason")
    return {
        "table": str(done.table.path),
        "digest": done.table.digest,
        "report": str(done.report_path),
        **{key: done.report[key] for key in counted},
    }
