"""Metrics: named once, with bounded labels, the same through either exporter."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from serve.telemetry import BATCH_BUCKETS, LATENCY_BUCKETS_S, PlainBackend, RayBackend, Telemetry

LABELS = {
    "lucency_request_seconds": {"model_version", "route", "status"},
    "lucency_stage_seconds": {"model_version", "stage"},
    "lucency_batch_films": {"model_version"},
    "lucency_predictions": {"model_version", "decision"},
    "lucency_refusals": {"model_version", "reason"},
    "lucency_drift_stability_index": {"model_version", "feature"},
    "lucency_drift_window_films": {"model_version"},
    "lucency_model_info": {"model_version"},
}


def used(telemetry: Telemetry) -> Telemetry:
    """Every metric moved once."""
    telemetry.request("/v1/predict", 200, 0.02)
    telemetry.stage("decode", 0.01)
    telemetry.batch(4)
    telemetry.prediction("positive")
    telemetry.refusal("truncated")
    telemetry.drift({"brightness": 0.3}, 120)
    return telemetry


def test_every_metric_has_its_labels_and_no_other() -> None:
    """Labels are the model's version and a few fixed words; nothing of a patient or a path."""
    registry = CollectorRegistry()

    used(Telemetry(PlainBackend(registry), "v1"))

    found = {
        metric.name: {label for sample in metric.samples for label in sample.labels} - {"le"}
        for metric in registry.collect()
        if not metric.name.endswith("_created")
    }
    assert found == LABELS


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("lucency_request_seconds_sum", {"route": "/v1/predict", "status": "200"}, 0.02),
        (
            "lucency_request_seconds_bucket",
            {"route": "/v1/predict", "status": "200", "le": "0.01"},
            0,
        ),
        (
            "lucency_request_seconds_bucket",
            {"route": "/v1/predict", "status": "200", "le": "0.025"},
            1,
        ),
        ("lucency_stage_seconds_count", {"stage": "decode"}, 1),
        ("lucency_batch_films_sum", {}, 4),
        ("lucency_predictions_total", {"decision": "positive"}, 1),
        ("lucency_refusals_total", {"reason": "truncated"}, 1),
        ("lucency_drift_stability_index", {"feature": "brightness"}, 0.3),
        ("lucency_drift_window_films", {}, 120),
        ("lucency_model_info", {}, 1),
    ],
)
def test_values_arrive(name: str, labels: dict[str, str], value: float) -> None:
    """What happened once is counted once, under the version of the model."""
    registry = CollectorRegistry()

    used(Telemetry(PlainBackend(registry), "v1"))

    assert registry.get_sample_value(name, {"model_version": "v1", **labels}) == value


def test_counters_add_and_gauges_replace() -> None:
    """Two films are two predictions; the drift index is the last one."""
    registry = CollectorRegistry()

    used(used(Telemetry(PlainBackend(registry), "v1")))

    version = {"model_version": "v1"}
    predictions = {**version, "decision": "positive"}
    assert registry.get_sample_value("lucency_predictions_total", predictions) == 2
    assert registry.get_sample_value("lucency_drift_window_films", version) == 120


def test_exposition_can_be_scraped() -> None:
    """The registry gives Prometheus text with help for each metric."""
    registry = CollectorRegistry()
    used(Telemetry(PlainBackend(registry), "v1"))

    text = generate_latest(registry).decode()

    assert all(f"# HELP {name}" in text for name in LABELS)


def test_ray_takes_the_same_metrics() -> None:
    """Ray's exporter accepts every name and label; without a replica nothing listens."""
    telemetry = Telemetry(RayBackend(), "v1")

    assert used(telemetry) is telemetry


def test_buckets_surround_what_is_promised() -> None:
    """Buckets ascend, and batches of up to 32 films can be told apart."""
    assert list(LATENCY_BUCKETS_S) == sorted(set(LATENCY_BUCKETS_S))
    assert list(BATCH_BUCKETS) == sorted(set(BATCH_BUCKETS))
    assert BATCH_BUCKETS[-1] == 32
