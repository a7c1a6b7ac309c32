"""
Every metric of the service, named once, for Prometheus.

Metrics live in a ``prometheus_client`` registry of the replica. Outside Ray (tests, plain uvicorn)
that is scraped as it is. Inside Ray nothing would scrape a replica's registry, so each of its
samples is copied every few seconds into a gauge of ``ray.serve.metrics``, which the node's
exporter shows with ``ray_`` in front.

Gauges for counters too, on purpose: Ray 2.60 keeps counters and histograms of a dead worker in its
node agent for as long as that lives, one more set of series with each restart, while a gauge that
is no longer reported leaves after two reports (``ray/_private/telemetry``). So a replica's series
come and go with it, as a scraped pod's do, and 20 restarts leave as many series as none.

Each replica is a series of its own. To add them up:

| metric | over replicas |
| --- | --- |
| ``_total``, ``_bucket``, ``_sum``, ``_count`` | ``sum(rate(...))``, ``sum(increase(...))`` |
| in flight, films in windows | ``sum`` |
| drift scores, levels, alarms | ``max by (feature)``: a mean of two windows is neither's |
| films since alarm | ``min by (feature)`` |
| sensitivity and its bounds | ``min by (model_version, bound)``: all replicas read one log |
| late labels | ``max by (model_version)`` |
| rollout stage and share | ``max`` |
| log health | ``min`` |
| model info | ``count``: replicas; ``count by (model_version)``: models in force |

Never ``rate(sum(...))``: there the end of a replica looks like a reset of all of them.
"""

import copy
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as PlainCounter
from prometheus_client import Gauge as PlainGauge
from prometheus_client import Histogram as PlainHistogram
from ray.serve import metrics as ray_metrics

from lucency.drift.reference import STREAMS
from lucency.drift.window import State

# 99 of 100 requests are to be answered within; rules and dashboards read the bucket of this bound.
OBJECTIVE_S = 0.25
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32)
PROBABILITY_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

REQUEST = "lucency_request_seconds"
STAGE = "lucency_stage_seconds"
BATCH = "lucency_batch_films"
IN_FLIGHT = "lucency_requests_in_flight"
PREDICTIONS = "lucency_predictions"
PROBABILITY = "lucency_probability"
ABSTAINS = "lucency_abstains"
REFUSALS = "lucency_refusals"
WARNINGS = "lucency_quality_warnings"
DRIFT = "lucency_drift_stability_index"
DRIFT_KS = "lucency_drift_ks_ratio"
DRIFT_MMD = "lucency_drift_mmd_ratio"
DRIFT_LEVEL = "lucency_drift_level"
DRIFT_ALARM = "lucency_drift_alarm"
DRIFT_ALARMS = "lucency_drift_alarms"
DRIFT_SINCE = "lucency_drift_films_since_alarm"
DRIFT_FILMS = "lucency_drift_window_films"
SENSITIVITY = "lucency_sensitivity"
LABELS = "lucency_late_labels"
LOG_HEALTHY = "lucency_log_healthy"
LOG_ERRORS = "lucency_log_write_errors"
ROLLOUT_STAGE = "lucency_rollout_stage"
ROLLOUT_SHARE = "lucency_rollout_share"
ROLLBACKS = "lucency_rollbacks"
LOAD_FAILURES = "lucency_load_failures"
MODEL = "lucency_model_info"

OTHER = "other"
# Values of one label; the next new one is "other". More than any fixed list of ours is long.
_MOST_VALUES = 64
_PUBLISH_S = 5.0


class Backend(Protocol):
    """Makes and moves metrics of one kind of exporter."""

    def histogram(
        self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None: ...

    def counter(self, name: str, text: str, labels: Sequence[str]) -> None: ...

    def gauge(self, name: str, text: str, labels: Sequence[str]) -> None: ...

    def record(self, name: str, value: float, labels: Mapping[str, str]) -> None: ...

    def forget(self, name: str, labels: Mapping[str, str]) -> None: ...


class PlainBackend:
    """Into a ``prometheus_client`` registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._metrics: dict[str, PlainHistogram | PlainCounter | PlainGauge] = {}
        self._movers: dict[tuple[str, tuple[str, ...]], Callable[[float], None]] = {}

    def histogram(
        self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        self._metrics[name] = PlainHistogram(
            name, text, labels, buckets=buckets, registry=self.registry
        )

    def counter(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._metrics[name] = PlainCounter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._metrics[name] = PlainGauge(name, text, labels, registry=self.registry)

    def record(self, name: str, value: float, labels: Mapping[str, str]) -> None:
        key = (name, tuple(labels.values()))
        # Looking a series up by its labels costs more than moving it.
        if (mover := self._movers.get(key)) is None:
            mover = self._movers[key] = self._mover(name, labels)
        mover(value)

    def _mover(self, name: str, labels: Mapping[str, str]) -> Callable[[float], None]:
        series = self._metrics[name].labels(**labels)
        if isinstance(series, PlainHistogram):
            return series.observe
        return series.inc if isinstance(series, PlainCounter) else series.set

    def forget(self, name: str, labels: Mapping[str, str]) -> None:
        """Leave out all series with these labels."""
        self._metrics[name].remove_by_labels(dict(labels))
        # What moves a series that is left out moves nothing.
        self._movers = {key: move for key, move in self._movers.items() if key[0] != name}


class RayBackend(PlainBackend):
    """
    Into a registry of its own, copied to Ray's exporter; only inside a replica.

    Args:
        every_s: Between two copies; Ray itself reports every ten seconds.
    """

    def __init__(self, every_s: float = _PUBLISH_S) -> None:
        super().__init__(CollectorRegistry())
        self._gauges: dict[str, ray_metrics.Gauge] = {}
        self._every_s = every_s
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="telemetry", daemon=True).start()

    def publish(self) -> None:
        """Copy every sample now; what did not change too, for Ray forgets what is not repeated."""
        for sample in samples(self.registry):
            self._gauge(sample).set(sample.value, tags=sample.labels)

    @property
    def published(self) -> set[str]:
        """Names of samples that Ray has been given."""
        return set(self._gauges)

    def close(self) -> None:
        """Stop copying."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._every_s):
            self.publish()

    def _gauge(self, sample: "Sample") -> ray_metrics.Gauge:
        if sample.name not in self._gauges:
            keys: Any = tuple(sample.labels)  # Ray types the names of labels as a tuple of one
            self._gauges[sample.name] = ray_metrics.Gauge(sample.name, sample.text, tag_keys=keys)
        return self._gauges[sample.name]


@dataclass(frozen=True)
class Sample:
    """One number as Prometheus shall see it; its text is the metric's."""

    name: str
    text: str
    labels: dict[str, str]
    value: float


def samples(registry: CollectorRegistry) -> Iterator[Sample]:
    """All numbers of a registry, buckets and totals each by the name that queries use."""
    for metric in registry.collect():
        for found in metric.samples:
            if not found.name.endswith("_created"):
                yield Sample(found.name, metric.documentation, dict(found.labels), found.value)


class Telemetry:
    """
    What the service counts; labels are bounded and carry nothing of a patient.

    Args:
        sites: Names that may stand in the label ``site``; any other is "other". ``views`` alike.
        objective_s: Latency that the buckets are finest around.
    """

    def __init__(
        self,
        backend: Backend,
        version: str,
        *,
        sites: Sequence[str] = (),
        views: Sequence[str] = (),
        objective_s: float = OBJECTIVE_S,
    ) -> None:
        self._backend = backend
        self._version = version
        self._allowed = {"site": frozenset(sites), "view": frozenset(views)}
        self._values: defaultdict[str, set[str]] = defaultdict(set)
        self._lock = threading.Lock()
        self._in_flight = 0
        self._log_healthy: list[float] = []  # shared by all models, nothing until it is known
        for name, text, labels, buckets in _histograms(objective_s):
            backend.histogram(name, text, ["model_version", *labels], buckets)
        for name, text, labels in _COUNTERS:
            backend.counter(name, text, ["model_version", *labels])
        for name, text, labels in _GAUGES:
            backend.gauge(name, text, ["model_version", *labels])
        self._record(MODEL, 1.0)
        # From nought: of a series that is born at one, Prometheus sees no increase.
        for name in (IN_FLIGHT, ROLLBACKS, LOG_ERRORS, LOAD_FAILURES):
            self._record(name, 0.0)

    def of(self, version: str) -> "Telemetry":
        """The same metrics, of another model."""
        other = copy.copy(self)
        other._version = version
        for name in (ROLLBACKS, LOG_ERRORS, LOAD_FAILURES):
            other._record(name, 0.0)
        return other

    def in_force(self, now: bool) -> None:
        """Whether this model answers: 0 tells a model that was from one that never did."""
        self._record(MODEL, float(now))
        if now:
            for healthy in self._log_healthy:
                self._record(LOG_HEALTHY, healthy)

    def leave(self) -> None:
        """This model answers no more: the last value of a gauge, an alarm say, would stay."""
        for name, _, _ in _GAUGES:
            if name not in (MODEL, IN_FLIGHT):
                self._backend.forget(name, {"model_version": self._version})

    def load_failed(self) -> None:
        """A version of the store that could not take this model's place."""
        self._record(LOAD_FAILURES, 1.0)

    def group(self, site: str, view: str) -> tuple[str, str]:
        """Site and view as their labels say them."""
        return self._bounded("site", site), self._bounded("view", view)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One answered request."""
        self._record(REQUEST, seconds, route=route, status=str(status))

    def in_flight(self, change: int) -> None:
        """Requests that came in (1) or were answered (-1)."""
        with self._lock:
            self._in_flight += change
            self._record(IN_FLIGHT, self._in_flight)

    def stage(self, name: str, seconds: float) -> None:
        """One stage of one film."""
        self._record(STAGE, seconds, stage=name)

    def batch(self, films: int) -> None:
        """One run of the graph."""
        self._record(BATCH, films)

    def prediction(self, decision: str) -> None:
        """One film answered."""
        self._record(PREDICTIONS, 1.0, decision=decision)

    def score(self, probability: float, reason: str) -> None:
        """What a film's answer rests on; every reason but ``clear`` leaves it to a reader."""
        self._record(PROBABILITY, probability)
        if reason != "clear":
            self._record(ABSTAINS, 1.0, reason=reason)

    def refusal(self, reason: str) -> None:
        """One film that could not be used."""
        self._record(REFUSALS, 1.0, reason=reason)

    def warning(self, kind: str) -> None:
        """One film that was answered though its quality is doubtful."""
        self._record(WARNINGS, 1.0, kind=kind)

    def drift(self, state: State, site: str = OTHER, view: str = OTHER) -> None:
        """The state of one window."""
        group = {"site": site, "view": view}
        self._record(DRIFT_FILMS, state.films, **group)
        for name, by_feature in (
            (DRIFT, state.stability_index),
            (DRIFT_KS, state.ks_distance),
            (DRIFT_LEVEL, state.levels),
            (DRIFT_ALARM, {feature: level >= 1 for feature, level in state.levels.items()}),
            (DRIFT_SINCE, state.films_since_alarm),
        ):
            for feature, value in by_feature.items():
                stream = STREAMS.get(feature, OTHER)
                self._record(name, float(value), feature=feature, stream=stream, **group)
        if state.discrepancy is not None:
            self._record(DRIFT_MMD, state.discrepancy, **group)

    def drift_alarm(self, feature: str, site: str = OTHER, view: str = OTHER) -> None:
        """A sequential test that went from quiet to alarm."""
        stream = STREAMS.get(feature, OTHER)
        self._record(DRIFT_ALARMS, 1.0, feature=feature, stream=stream, site=site, view=view)

    def sensitivity(
        self, estimate: float, lower: float, upper: float, *, floor: float, labels: int
    ) -> None:
        """Of films whose diagnosis came later, the model's floor, and how many such films."""
        found = {"estimate": estimate, "lower": lower, "upper": upper, "floor": floor}
        for bound, value in found.items():
            self._record(SENSITIVITY, value, bound=bound)
        self._record(LABELS, labels)

    def log(self, *, healthy: bool, errors: int = 0) -> None:
        """Whether the prediction log is whole and can be written, and new failures to write."""
        self._log_healthy[:] = [float(healthy)]
        self._record(LOG_HEALTHY, float(healthy))
        self._record(LOG_ERRORS, errors)

    def rollout(self, stage: int, share: float) -> None:
        """Stage of a canary, 0 being none, and the share of films that it answers."""
        self._record(ROLLOUT_STAGE, stage)
        self._record(ROLLOUT_SHARE, share)

    def rollback(self) -> None:
        """A canary that was taken back."""
        self._record(ROLLBACKS, 1.0)

    def _record(self, name: str, value: float, **labels: str) -> None:
        bounded = {label: self._bounded(label, given) for label, given in labels.items()}
        self._backend.record(name, value, {"model_version": self._version, **bounded})

    def _bounded(self, label: str, value: str) -> str:
        if label in self._allowed:
            return value if value in self._allowed[label] else OTHER
        seen = self._values[label]
        if value not in seen:
            if len(seen) >= _MOST_VALUES:
                return OTHER
            seen.add(value)
        return value


def latency_buckets(objective_s: float) -> tuple[float, ...]:
    """Bounds in seconds, finest around the objective, which is one of them."""
    shares = (0.02, 0.04, 0.1, 0.2, 0.3, 0.4, 0.6, 1, 2, 4, 10, 20)
    return tuple(round(objective_s * share, 6) for share in shares)


LATENCY_BUCKETS_S = latency_buckets(OBJECTIVE_S)


def _histograms(
    objective_s: float,
) -> tuple[tuple[str, str, tuple[str, ...], tuple[float, ...]], ...]:
    latency = latency_buckets(objective_s)
    return (
        (
            REQUEST,
            "Seconds from the body's first byte to the answer.",
            ("route", "status"),
            latency,
        ),
        (
            STAGE,
            "Seconds in one stage of a prediction: decode, infer (with waiting for a batch).",
            ("stage",),
            latency,
        ),
        (BATCH, "Films that shared one run of the graph.", (), BATCH_BUCKETS),
        (PROBABILITY, "Probability of the answers.", (), PROBABILITY_BUCKETS),
    )


_GROUP = ("site", "view")
_FEATURE = ("feature", "stream", *_GROUP)
_COUNTERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (PREDICTIONS, "Films answered, by decision.", ("decision",)),
    (ABSTAINS, "Films left to a reader, by reason.", ("reason",)),
    (REFUSALS, "Films refused, by reason.", ("reason",)),
    (WARNINGS, "Films answered though their quality is doubtful, by kind.", ("kind",)),
    (DRIFT_ALARMS, "Sequential drift tests that went from quiet to alarm.", _FEATURE),
    (LOG_ERRORS, "Entries that could not be written to the prediction log.", ()),
    (ROLLBACKS, "Canaries taken back.", ()),
    (LOAD_FAILURES, "Versions that could not be loaded beside the one in force.", ()),
)
_GAUGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (IN_FLIGHT, "Requests being answered in this replica.", ()),
    (DRIFT, "Population stability index of the window against the bundle's reference.", _FEATURE),
    (DRIFT_KS, "Kolmogorov-Smirnov distance over its limit of 1 in 1000.", _FEATURE),
    (DRIFT_MMD, "Mean discrepancy of thumbnails over its limit of 1 in 1000.", _GROUP),
    (DRIFT_LEVEL, "Sequential drift test: evidence over what raises the alarm.", _FEATURE),
    (DRIFT_ALARM, "1 while the sequential drift test is in alarm.", _FEATURE),
    (DRIFT_SINCE, "Films since the drift alarm was last on, or since the start.", _FEATURE),
    (DRIFT_FILMS, "Films in the drift window.", _GROUP),
    (
        SENSITIVITY,
        "Sensitivity by late labels: estimate, lower and upper bound, floor.",
        ("bound",),
    ),
    (LABELS, "Films with disease whose late labels the sensitivity rests on.", ()),
    (LOG_HEALTHY, "1 while the prediction log is whole and can be written.", ()),
    (ROLLOUT_STAGE, "Stage of the canary; 0 without one.", ()),
    (ROLLOUT_SHARE, "Share of films that the canary answers.", ()),
    (MODEL, "1 for the model in force.", ()),
)
