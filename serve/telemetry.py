"""
Every metric of the service, named once, for Prometheus.

Inside Ray the numbers go through ``ray.util.metrics`` to the node's exporter, which adds
``ray_`` in front; a ``prometheus_client`` registry of a replica would never be scraped. Outside
Ray (tests, plain uvicorn) the same facade writes to such a registry.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as PlainCounter
from prometheus_client import Gauge as PlainGauge
from prometheus_client import Histogram as PlainHistogram
from ray.serve import metrics as ray_metrics

# Seconds; finest where the latency objective lies.
LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32)

REQUEST = "lucency_request_seconds"
STAGE = "lucency_stage_seconds"
BATCH = "lucency_batch_films"
PREDICTIONS = "lucency_predictions"
REFUSALS = "lucency_refusals"
DRIFT = "lucency_drift_stability_index"
DRIFT_FILMS = "lucency_drift_window_films"
MODEL = "lucency_model_info"


class Backend(Protocol):
    """Makes and moves metrics of one kind of exporter."""

    def histogram(
        self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None: ...

    def counter(self, name: str, text: str, labels: Sequence[str]) -> None: ...

    def gauge(self, name: str, text: str, labels: Sequence[str]) -> None: ...

    def record(self, name: str, value: float, labels: Mapping[str, str]) -> None: ...


class RayBackend:
    """Through Ray's own metrics; only inside a replica."""

    def __init__(self) -> None:
        self._metrics: dict[
            str, ray_metrics.Histogram | ray_metrics.Counter | ray_metrics.Gauge
        ] = {}

    def histogram(
        self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        self._metrics[name] = ray_metrics.Histogram(
            name, text, boundaries=list(buckets), tag_keys=_keys(labels)
        )

    def counter(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._metrics[name] = ray_metrics.Counter(name, text, tag_keys=_keys(labels))

    def gauge(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._metrics[name] = ray_metrics.Gauge(name, text, tag_keys=_keys(labels))

    def record(self, name: str, value: float, labels: Mapping[str, str]) -> None:
        metric = self._metrics[name]
        if isinstance(metric, ray_metrics.Histogram):
            metric.observe(value, tags=dict(labels))
        elif isinstance(metric, ray_metrics.Counter):
            metric.inc(value, tags=dict(labels))
        else:
            metric.set(value, tags=dict(labels))


def _keys(labels: Sequence[str]) -> Any:
    """Ray types the names of labels as a tuple of one."""
    return tuple(labels)


class PlainBackend:
    """Into a ``prometheus_client`` registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._metrics: dict[str, PlainHistogram | PlainCounter | PlainGauge] = {}

    def histogram(
        self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        self._metrics[name] = PlainHistogram(
            name, text, labels, buckets=buckets, registry=self._registry
        )

    def counter(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._metrics[name] = PlainCounter(name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, labels: Sequence[str]) -> None:
        self._metrics[name] = PlainGauge(name, text, labels, registry=self._registry)

    def record(self, name: str, value: float, labels: Mapping[str, str]) -> None:
        metric = self._metrics[name].labels(**labels)
        if isinstance(metric, PlainHistogram):
            metric.observe(value)
        elif isinstance(metric, PlainCounter):
            metric.inc(value)
        else:
            metric.set(value)


class Telemetry:
    """What the service counts; labels are bounded and carry nothing of a patient."""

    def __init__(self, backend: Backend, version: str) -> None:
        self._backend = backend
        self._version = version
        backend.histogram(
            REQUEST,
            "Seconds from the body's first byte to the answer.",
            ["model_version", "route", "status"],
            LATENCY_BUCKETS_S,
        )
        backend.histogram(
            STAGE,
            "Seconds in one stage of a prediction: decode, infer (with waiting for a batch).",
            ["model_version", "stage"],
            LATENCY_BUCKETS_S,
        )
        backend.histogram(
            BATCH, "Films that shared one run of the graph.", ["model_version"], BATCH_BUCKETS
        )
        backend.counter(PREDICTIONS, "Films answered, by decision.", ["model_version", "decision"])
        backend.counter(REFUSALS, "Films refused, by reason.", ["model_version", "reason"])
        backend.gauge(
            DRIFT,
            "Population stability index of this replica's window against the bundle's reference.",
            ["model_version", "feature"],
        )
        backend.gauge(DRIFT_FILMS, "Films in this replica's drift window.", ["model_version"])
        backend.gauge(MODEL, "1 for the model in force.", ["model_version"])
        self._record(MODEL, 1.0)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One answered request."""
        self._record(REQUEST, seconds, route=route, status=str(status))

    def stage(self, name: str, seconds: float) -> None:
        """One stage of one film."""
        self._record(STAGE, seconds, stage=name)

    def batch(self, films: int) -> None:
        """One run of the graph."""
        self._record(BATCH, films)

    def prediction(self, decision: str) -> None:
        """One film answered."""
        self._record(PREDICTIONS, 1.0, decision=decision)

    def refusal(self, reason: str) -> None:
        """One film that could not be used."""
        self._record(REFUSALS, 1.0, reason=reason)

    def drift(self, indices: Mapping[str, float], films: int) -> None:
        """The state of the drift window."""
        self._record(DRIFT_FILMS, films)
        for feature, index in indices.items():
            self._record(DRIFT, index, feature=feature)

    def _record(self, name: str, value: float, **labels: str) -> None:
        self._backend.record(name, value, {"model_version": self._version, **labels})
