"""Metrics: named once, with bounded labels, the same through either exporter."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from lucency.drift.window import State
from serve.exporters import PlainBackend, RayBackend, samples
from serve.metrics import (
    BATCH_BUCKETS,
    LATENCY_BUCKETS_S,
    OBJECTIVE_S,
    PROBABILITY_BUCKETS,
    latency_buckets,
)
from serve.telemetry import Telemetry

GROUP = {"model_version", "site", "view"}
FEATURE = {*GROUP, "feature", "stream"}
LABELS = {
    "lucency_request_seconds": {"model_version", "route", "status"},
    "lucency_stage_seconds": {"model_version", "stage"},
    "lucency_batch_films": {"model_version"},
    "lucency_requests_in_flight": {"model_version"},
    "lucency_predictions": {"model_version", "decision"},
    "lucency_probability": {"model_version"},
    "lucency_abstains": {"model_version", "reason"},
    "lucency_refusals": {"model_version", "reason"},
    "lucency_quality_warnings": {"model_version", "kind"},
    "lucency_drift_stability_index": FEATURE,
    "lucency_drift_ks_ratio": FEATURE,
    "lucency_drift_mmd_ratio": GROUP,
    "lucency_drift_level": FEATURE,
    "lucency_drift_alarm": FEATURE,
    "lucency_drift_alarms": FEATURE,
    "lucency_drift_films_since_alarm": FEATURE,
    "lucency_drift_window_films": GROUP,
    "lucency_sensitivity": {"model_version", "bound"},
    "lucency_late_labels": {"model_version"},
    "lucency_log_healthy": {"model_version"},
    "lucency_log_write_errors": {"model_version"},
    "lucency_rollout_stage": {"model_version"},
    "lucency_rollout_share": {"model_version"},
    "lucency_rollbacks": {"model_version"},
    "lucency_load_failures": {"model_version"},
    "lucency_model_info": {"model_version"},
}
STATE = State(
    films=120,
    stability_index={"brightness": 0.3},
    ks_distance={"brightness": 1.4},
    discrepancy=2.5,
    levels={"brightness": 1.2, "probability": 0.1},
    films_since_alarm={"brightness": 0, "probability": 900},
)
# What Ray's node agent shows of 20 workers that lived one after another, by kind of metric.
RESTARTS = """
import json, time
from prometheus_client import generate_latest
from ray._private.telemetry.open_telemetry_metric_recorder import OpenTelemetryMetricRecorder

recorder = OpenTelemetryMetricRecorder(gauge_metric_ttl_seconds=0.1)
recorder.register_gauge_metric("as_gauge_total", "text")
recorder.register_counter_metric("as_counter", "text")
shown = []
for worker in range(20):
    recorder.set_metric_value("as_gauge_total", {"WorkerId": str(worker)}, 5.0)
    recorder.set_metric_value("as_counter", {"WorkerId": str(worker)}, 5.0)
    lines = generate_latest().decode().splitlines()
    shown.append([sum(line.startswith(f"ray_{name}_total{{") for line in lines)
                  for name in ("as_gauge", "as_counter")])
    time.sleep(0.06)
print(json.dumps(shown))
"""


def used(telemetry: Telemetry) -> Telemetry:
    """Every metric moved once."""
    telemetry.request("/v1/predict", 200, 0.02)
    telemetry.in_flight(1)
    telemetry.stage("decode", 0.01)
    telemetry.batch(4)
    telemetry.prediction("positive")
    telemetry.score(0.93, "several_labels")
    telemetry.refusal("truncated")
    telemetry.warning("inverted")
    telemetry.drift(STATE)
    telemetry.drift_alarm("brightness")
    telemetry.sensitivity(0.96, 0.92, 0.98, floor=0.95, labels=150)
    telemetry.log(healthy=False, errors=3)
    telemetry.rollout(2, 0.25)
    telemetry.rollback()
    return telemetry


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry in which every metric moved once."""
    registry = CollectorRegistry()
    used(Telemetry(PlainBackend(registry), "v1"))
    return registry


def test_every_metric_has_its_labels_and_no_other(registry: CollectorRegistry) -> None:
    """Labels are the model's version and a few fixed words; nothing of a patient or a path."""
    found = {
        metric.name: {label for sample in metric.samples for label in sample.labels} - {"le"}
        for metric in registry.collect()
        if not metric.name.endswith("_created")
    }

    assert found == LABELS


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("request_seconds_sum", {"route": "/v1/predict", "status": "200"}, 0.02),
        ("request_seconds_bucket", {"route": "/v1/predict", "status": "200", "le": "0.01"}, 0),
        ("request_seconds_bucket", {"route": "/v1/predict", "status": "200", "le": "0.025"}, 1),
        ("requests_in_flight", {}, 1),
        ("stage_seconds_count", {"stage": "decode"}, 1),
        ("batch_films_sum", {}, 4),
        ("predictions_total", {"decision": "positive"}, 1),
        ("probability_bucket", {"le": "0.95"}, 1),
        ("probability_bucket", {"le": "0.9"}, 0),
        ("abstains_total", {"reason": "several_labels"}, 1),
        ("refusals_total", {"reason": "truncated"}, 1),
        ("quality_warnings_total", {"kind": "inverted"}, 1),
        ("sensitivity", {"bound": "estimate"}, 0.96),
        ("sensitivity", {"bound": "lower"}, 0.92),
        ("sensitivity", {"bound": "upper"}, 0.98),
        ("sensitivity", {"bound": "floor"}, 0.95),
        ("late_labels", {}, 150),
        ("log_healthy", {}, 0),
        ("log_write_errors_total", {}, 3),
        ("rollout_stage", {}, 2),
        ("rollout_share", {}, 0.25),
        ("rollbacks_total", {}, 1),
        ("model_info", {}, 1),
    ],
)
def test_values_arrive(
    registry: CollectorRegistry, name: str, labels: dict[str, str], value: float
) -> None:
    """What happened once is counted once, under the version of the model."""
    found = registry.get_sample_value(f"lucency_{name}", {"model_version": "v1", **labels})

    assert found == value


@pytest.mark.parametrize(
    ("name", "feature", "stream", "value"),
    [
        ("stability_index", "brightness", "quality", 0.3),
        ("ks_ratio", "brightness", "quality", 1.4),
        ("level", "brightness", "quality", 1.2),
        ("level", "probability", "prediction", 0.1),
        ("alarm", "brightness", "quality", 1),
        ("alarm", "probability", "prediction", 0),
        ("alarms_total", "brightness", "quality", 1),
        ("films_since_alarm", "probability", "prediction", 900),
    ],
)
def test_drift_is_told_by_feature(
    registry: CollectorRegistry, name: str, feature: str, stream: str, value: float
) -> None:
    """Each distance, level and alarm stands under its feature and the stream it belongs to."""
    labels = {"model_version": "v1", "site": "other", "view": "other"}
    labels |= {"feature": feature, "stream": stream}

    assert registry.get_sample_value(f"lucency_drift_{name}", labels) == value


def test_drift_of_the_thumbnails_is_one_number(registry: CollectorRegistry) -> None:
    """The discrepancy and the films of a window stand under site and view alone."""
    group = {"model_version": "v1", "site": "other", "view": "other"}

    assert registry.get_sample_value("lucency_drift_mmd_ratio", group) == 2.5
    assert registry.get_sample_value("lucency_drift_window_films", group) == 120


def test_counters_add_and_gauges_replace() -> None:
    """Two films are two predictions; a stage is the last one."""
    registry = CollectorRegistry()
    telemetry = Telemetry(PlainBackend(registry), "v1")

    used(used(telemetry)).rollout(0, 0.0)

    version = {"model_version": "v1"}
    assert (
        registry.get_sample_value("lucency_predictions_total", {**version, "decision": "positive"})
        == 2
    )
    assert registry.get_sample_value("lucency_requests_in_flight", version) == 2
    assert registry.get_sample_value("lucency_rollout_stage", version) == 0


def test_clear_answers_are_not_abstains() -> None:
    """A film whose label is clear counts in the histogram and under no reason."""
    registry = CollectorRegistry()

    Telemetry(PlainBackend(registry), "v1").score(0.2, "clear")

    assert registry.get_sample_value("lucency_probability_count", {"model_version": "v1"}) == 1
    assert not [each for each in samples(registry) if each.name == "lucency_abstains_total"]


def test_alerts_can_see_the_first_of_rare_events() -> None:
    """Rollbacks and failed writes start at 0: of a series born at 1 no increase is seen."""
    registry = CollectorRegistry()

    Telemetry(PlainBackend(registry), "v1")

    version = {"model_version": "v1"}
    assert registry.get_sample_value("lucency_rollbacks_total", version) == 0
    assert registry.get_sample_value("lucency_log_write_errors_total", version) == 0


def test_in_flight_survives_threads() -> None:
    """As many come as go, from four threads: none is left."""
    registry = CollectorRegistry()
    telemetry = Telemetry(PlainBackend(registry), "v1")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(telemetry.in_flight, [1, -1] * 500))

    assert registry.get_sample_value("lucency_requests_in_flight", {"model_version": "v1"}) == 0


def test_sites_are_those_of_the_list() -> None:
    """A site or view that nobody listed is "other": a sender can't make new series."""
    telemetry = Telemetry(
        PlainBackend(CollectorRegistry()), "v1", sites=["north", "south"], views=["PA"]
    )

    found = {telemetry.group(site, "PA") for site in ("north", "south", "x", "y", "")}

    assert found == {("north", "PA"), ("south", "PA"), ("other", "PA")}
    assert telemetry.group("north", "lateral") == ("north", "other")


def test_words_without_end_make_series_with_one() -> None:
    """Even of a label that is no fixed list by mistake, there are never more than 65 values."""
    registry = CollectorRegistry()
    telemetry = Telemetry(PlainBackend(registry), "v1")

    for number in range(1000):
        telemetry.refusal(f"reason {number}")

    found = [each for each in samples(registry) if each.name == "lucency_refusals_total"]
    assert len(found) == 65
    assert sum(each.value for each in found) == 1000


def test_restarts_leave_no_series_behind() -> None:
    """Twenty replicas one after another show what one shows: nothing names a replica."""
    scraped = []
    for _ in range(20):
        registry = CollectorRegistry()
        used(Telemetry(PlainBackend(registry), "v1"))
        scraped += [(each.name, tuple(each.labels.items())) for each in samples(registry)]

    assert len(set(scraped)) * 20 == len(scraped)
    assert len(set(scraped)) < 120


def test_ray_forgets_gauges_of_dead_workers_and_keeps_counters() -> None:
    """The reason why counters go to Ray as gauges; Ray's own exporter, 20 restarts."""
    done = subprocess.run(
        [sys.executable, "-c", RESTARTS], capture_output=True, text=True, timeout=60
    )

    shown = json.loads(done.stdout)
    assert [counters for _, counters in shown] == list(range(1, 21))
    assert max(gauges for gauges, _ in shown) <= 3
    assert all(gauges >= 1 for gauges, _ in shown)


def test_exposition_can_be_scraped(registry: CollectorRegistry) -> None:
    """The registry gives Prometheus text with help for each metric."""
    text = generate_latest(registry).decode()

    assert all(f"# HELP {name}" in text for name in LABELS)


def test_ray_gets_every_sample() -> None:
    """Ray's exporter accepts every name and label of every sample, buckets and totals too."""
    backend = RayBackend(every_s=0.01)
    used(Telemetry(backend, "v1"))

    backend.publish()
    backend.close()

    expected = {each.name for each in samples(backend.registry)}
    assert {"lucency_request_seconds_bucket", "lucency_rollbacks_total"} <= expected
    assert backend.published == expected


def test_ray_is_told_again_and_again() -> None:
    """Samples go to Ray by themselves, also new ones, until the backend is closed."""
    backend = RayBackend(every_s=0.01)
    telemetry = Telemetry(backend, "v1")
    telemetry.refusal("truncated")

    deadline = time.monotonic() + 10
    while "lucency_refusals_total" not in backend.published and time.monotonic() < deadline:
        time.sleep(0.01)
    backend.close()

    assert "lucency_refusals_total" in backend.published


def test_buckets_surround_what_is_promised() -> None:
    """Buckets ascend; the objective is one of them; batches of up to 32 can be told apart."""
    for buckets in (LATENCY_BUCKETS_S, BATCH_BUCKETS, PROBABILITY_BUCKETS):
        assert list(buckets) == sorted(set(buckets))
    assert BATCH_BUCKETS[-1] == 32
    assert OBJECTIVE_S in LATENCY_BUCKETS_S
    assert 0.08 in latency_buckets(0.08)
