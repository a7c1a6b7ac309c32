"""Prometheus sees what an epoch reached, under names and one label that stay."""

import math
import re
import time
import urllib.request
from typing import Any

import pytest
import ray

from lucency.training import gauges

ROW = {
    "epoch": 3,
    "train_loss": 0.31,
    "validation_loss": 0.27,
    "score": 0.91,
    "auroc": math.nan,
    "specificity": 0.88,
    "images_per_s": 812.5,
    "wait_s": 2.0,
    "compute_s": 6.0,
    "memory_mib": 1.5,
    "learning_rate": 0.003,
}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_node_exports_the_last_epoch_of_a_worker() -> None:
    """
    The node's metrics port shows the figures in base units with the run as the one label of ours;
    what is not a number or not in the row is no series.
    """
    worker: Any = ray.remote(num_cpus=0)(_Worker).remote()
    ray.get(worker.publish.remote("first-run", {**ROW, "epoch": 2, "score": 0.5}))
    ray.get(worker.publish.remote("first-run", ROW))

    found = _scraped(ray.nodes()[0]["MetricsExportPort"], "lucency_train_score{", 0.91)

    assert found == {
        "epoch": 3,
        "score": 0.91,
        "train_loss": 0.31,
        "validation_loss": 0.27,
        "specificity": 0.88,
        "images_per_second": 812.5,
        "wait_share": 0.25,
        "memory_bytes": 1.5 * 2**20,
    }


class _Worker:
    def publish(self, run_name: str, row: dict[str, float]) -> None:
        gauges.publish(run_name, row)


def _scraped(port: int, awaited: str, value: float) -> dict[str, float]:
    """Our gauges by their name, once the awaited one has its value."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line[:1] != "#"]
        mine = [line for line in lines if 'run="first-run"' in line]
        if any(awaited in line and float(line.rsplit(" ", 1)[1]) == value for line in mine):
            return dict(_parsed(line) for line in mine)
        time.sleep(0.5)
    raise AssertionError(f"{awaited!r} never became {value}: {mine}")


def _parsed(line: str) -> tuple[str, float]:
    match = re.fullmatch(r"ray_lucency_train_(\w+)\{(.*)\} (\S+)", line)
    assert match, line
    # Labels in small letters are ours; Ray's own are Component, NodeAddress and so on.
    ours = re.findall(r'(?:^|,)([a-z]\w*)="', match[2])
    assert [label for label in ours if not label.startswith("otel_")] == ["run"], line
    return match[1], float(match[3])
