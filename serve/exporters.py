"""
Where metrics go: into a registry of ``prometheus_client``, and from there to Ray's exporter.

Metrics live in a registry of the replica. Outside Ray (tests, plain uvicorn) that is scraped as it
is. Inside Ray nothing would scrape a replica's registry, so each of its samples is copied every
few seconds into a gauge of ``ray.serve.metrics``, which the node's exporter shows with ``ray_`` in
front.

Gauges for counters too, on purpose: Ray 2.60 keeps counters and histograms of a dead worker in its
node agent for as long as that lives, one more set of series with each restart, while a gauge that
is no longer reported leaves after two reports (``ray/_private/telemetry``). So a replica's series
come and go with it, as a scraped pod's do, and 20 restarts leave as many series as none.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as PlainCounter
from prometheus_client import Gauge as PlainGauge
from prometheus_client import Histogram as PlainHistogram
from ray.serve import metrics as ray_metrics

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
