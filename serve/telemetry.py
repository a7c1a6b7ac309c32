"""What a replica counts and times, moved under the names of ``metrics.py``."""

import copy
import threading
from collections import defaultdict
from collections.abc import Sequence

from lucency.drift.reference import STREAMS
from lucency.drift.window import State

from . import metrics
from .exporters import Backend

OTHER = "other"
# Values of one label; the next new one is "other". More than any fixed list of ours is long.
_MOST_VALUES = 64


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
        objective_s: float = metrics.OBJECTIVE_S,
    ) -> None:
        self._backend = backend
        self._version = version
        self._allowed = {"site": frozenset(sites), "view": frozenset(views)}
        self._values: defaultdict[str, set[str]] = defaultdict(set)
        self._lock = threading.Lock()
        self._in_flight = 0
        self._log_healthy: list[float] = []  # shared by all models, nothing until it is known
        for name, text, labels, buckets in metrics.histograms(objective_s):
            backend.histogram(name, text, ["model_version", *labels], buckets)
        for name, text, labels in metrics.COUNTERS:
            backend.counter(name, text, ["model_version", *labels])
        for name, text, labels in metrics.GAUGES:
            backend.gauge(name, text, ["model_version", *labels])
        self._record(metrics.MODEL, 1.0)
        # From nought: of a series that is born at one, Prometheus sees no increase.
        for name in (
            metrics.IN_FLIGHT,
            metrics.ROLLBACKS,
            metrics.LOG_ERRORS,
            metrics.LOAD_FAILURES,
        ):
            self._record(name, 0.0)

    def of(self, version: str) -> "Telemetry":
        """The same metrics, of another model."""
        other = copy.copy(self)
        other._version = version
        for name in (metrics.ROLLBACKS, metrics.LOG_ERRORS, metrics.LOAD_FAILURES):
            other._record(name, 0.0)
        return other

    def in_force(self, now: bool) -> None:
        """Whether this model answers: 0 tells a model that was from one that never did."""
        self._record(metrics.MODEL, float(now))
        if now:
            for healthy in self._log_healthy:
                self._record(metrics.LOG_HEALTHY, healthy)

    def leave(self) -> None:
        """This model answers no more: the last value of a gauge, an alarm say, would stay."""
        for name, _, _ in metrics.GAUGES:
            if name not in (metrics.MODEL, metrics.IN_FLIGHT):
                self._backend.forget(name, {"model_version": self._version})

    def load_failed(self) -> None:
        """A version of the store that could not take this model's place."""
        self._record(metrics.LOAD_FAILURES, 1.0)

    def group(self, site: str, view: str) -> tuple[str, str]:
        """Site and view as their labels say them."""
        return self._bounded("site", site), self._bounded("view", view)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One answered request."""
        self._record(metrics.REQUEST, seconds, route=route, status=str(status))

    def in_flight(self, change: int) -> None:
        """Requests that came in (1) or were answered (-1)."""
        with self._lock:
            self._in_flight += change
            self._record(metrics.IN_FLIGHT, self._in_flight)

    def stage(self, name: str, seconds: float) -> None:
        """One stage of one film."""
        self._record(metrics.STAGE, seconds, stage=name)

    def batch(self, films: int) -> None:
        """One run of the graph."""
        self._record(metrics.BATCH, films)

    def prediction(self, decision: str) -> None:
        """One film answered."""
        self._record(metrics.PREDICTIONS, 1.0, decision=decision)

    def score(self, probability: float, reason: str) -> None:
        """What a film's answer rests on; every reason but ``clear`` leaves it to a reader."""
        self._record(metrics.PROBABILITY, probability)
        if reason != "clear":
            self._record(metrics.ABSTAINS, 1.0, reason=reason)

    def refusal(self, reason: str) -> None:
        """One film that could not be used."""
        self._record(metrics.REFUSALS, 1.0, reason=reason)

    def warning(self, kind: str) -> None:
        """One film that was answered though its quality is doubtful."""
        self._record(metrics.WARNINGS, 1.0, kind=kind)

    def drift(self, state: State, site: str = OTHER, view: str = OTHER) -> None:
        """The state of one window."""
        group = {"site": site, "view": view}
        self._record(metrics.DRIFT_FILMS, state.films, **group)
        for name, by_feature in (
            (metrics.DRIFT, state.stability_index),
            (metrics.DRIFT_KS, state.ks_distance),
            (metrics.DRIFT_LEVEL, state.levels),
            (metrics.DRIFT_ALARM, {feature: level >= 1 for feature, level in state.levels.items()}),
            (metrics.DRIFT_SINCE, state.films_since_alarm),
        ):
            for feature, value in by_feature.items():
                stream = STREAMS.get(feature, OTHER)
                self._record(name, float(value), feature=feature, stream=stream, **group)
        if state.discrepancy is not None:
            self._record(metrics.DRIFT_MMD, state.discrepancy, **group)

    def drift_alarm(self, feature: str, site: str = OTHER, view: str = OTHER) -> None:
        """A sequential test that went from quiet to alarm."""
        stream = STREAMS.get(feature, OTHER)
        self._record(
            metrics.DRIFT_ALARMS, 1.0, feature=feature, stream=stream, site=site, view=view
        )

    def sensitivity(
        self, estimate: float, lower: float, upper: float, *, floor: float, labels: int
    ) -> None:
        """Of films whose diagnosis came later, the model's floor, and how many such films."""
        found = {"estimate": estimate, "lower": lower, "upper": upper, "floor": floor}
        for bound, value in found.items():
            self._record(metrics.SENSITIVITY, value, bound=bound)
        self._record(metrics.LABELS, labels)

    def log(self, *, healthy: bool, errors: int = 0) -> None:
        """Whether the prediction log is whole and can be written, and new failures to write."""
        self._log_healthy[:] = [float(healthy)]
        self._record(metrics.LOG_HEALTHY, float(healthy))
        self._record(metrics.LOG_ERRORS, errors)

    def rollout(self, stage: int, share: float) -> None:
        """Stage of a canary, 0 being none, and the share of films that it answers."""
        self._record(metrics.ROLLOUT_STAGE, stage)
        self._record(metrics.ROLLOUT_SHARE, share)

    def rollback(self) -> None:
        """A canary that was taken back."""
        self._record(metrics.ROLLBACKS, 1.0)

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
