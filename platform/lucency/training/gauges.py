"""
The figures of the last epoch as gauges for Prometheus.

They go through ``ray.util.metrics`` to the exporter of the worker's node, which adds ``ray_`` in
front: ``ray_lucency_train_score{run="..."}``. A run's series ends with the worker's process.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from ray.util.metrics import Gauge

from lucency.evaluation.selection import SCORE

PREFIX = "lucency_train_"
_MIB = 2**20


class _Metric(NamedTuple):
    name: str
    text: str
    scale: float = 1.0


# By the key of a history row. Base units, as Prometheus wants them: bytes, seconds, shares of 1.
_METRICS = {
    "epoch": _Metric("epoch", "Epochs finished, over all phases."),
    SCORE: _Metric("score", "What ranks epochs: the selected figure, ties told apart by loss."),
    "train_loss": _Metric("train_loss", "Mean loss over the epoch's training films, nats."),
    "validation_loss": _Metric("validation_loss", "Mean loss over the validation films, nats."),
    "sensitivity": _Metric("sensitivity", "On validation films at probability 0.5."),
    "specificity": _Metric("specificity", "On validation films at probability 0.5."),
    "auroc": _Metric("auroc", "On validation films; of many classes the mean."),
    "images_per_s": _Metric("images_per_second", "Films learned from a second, all workers."),
    "wait_share": _Metric("wait_share", "Share of the training steps' time spent on waiting."),
    "memory_mib": _Metric("memory_bytes", "Peak of rank 0: of its GPU, or of its process.", _MIB),
}


def publish(run_name: str, row: Mapping[str, float]) -> None:
    """
    Set the gauges of a run to what its last epoch reached; rank 0 calls it in its worker.

    A figure that the row lacks, or that is not a number, is left out: 0 would be a value.

    Args:
        run_name: The only label; a run has one name for all of its epochs and restarts.
        row: Of the history.
    """
    for key, value in {**row, **_wait_share(row)}.items():
        if key in _METRICS and math.isfinite(value):
            _gauge(key).set(value * _METRICS[key].scale, tags={"run": run_name})


def _wait_share(row: Mapping[str, float]) -> dict[str, float]:
    wait, compute = row.get("wait_s", math.nan), row.get("compute_s", math.nan)
    return {"wait_share": wait / (wait + compute)} if wait + compute > 0 else {}


@cache
def _gauge(key: str) -> Gauge:
    """One a process: Ray keeps each object that was ever made."""
    metric = _METRICS[key]
    return Gauge(PREFIX + metric.name, metric.text, tag_keys=("run",))
