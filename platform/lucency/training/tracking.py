"""
A run written down elsewhere too, epoch by epoch: TensorBoard, MLflow.

A place that can't be written to never ends a training: that is said once, and what is missing
follows as soon as it can. A configuration that can't work is refused before anything starts.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from lucency import progress
from lucency.config.train import Tracking

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Sink(Protocol):
    """One place that a run is written to; its methods may raise whatever its library raises."""

    name: str

    def row(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Write an epoch; one that an earlier process wrote must not stand there twice."""

    def finish(self, status: Status, record: Mapping[str, Any] | None) -> None:
        """Nothing more will come."""

    def drop(self) -> None:
        """Let go of what is open after a failure; the next call opens it again."""


class Tracker:
    """Where a run is written down while it lasts."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._deliveries = [_Delivery(sink) for sink in sinks]
        self._ended = False

    def row(self, row: Mapping[str, float]) -> None:
        """Take an epoch of the history; those from before a restart may be given again."""
        for delivery in self._deliveries:
            delivery.row(row)

    def finish(self, record: Mapping[str, Any] | None) -> None:
        """The run came to its end; what its record says of its origin is kept there too."""
        self.end("FINISHED", record)

    def end(self, status: Status, record: Mapping[str, Any] | None = None) -> None:
        """Close every place with a status; only the first call counts."""
        if not self._ended:
            self._ended = True
            for delivery in self._deliveries:
                delivery.end(status, record)


@contextmanager
def opened(
    tracking: Tracking, run_name: str, recipe_plain: Mapping[str, Any], folder: Path
) -> Iterator[Tracker]:
    """
    The places that a configuration names, open for one run.

    For the driver, beside the training and not in it: a server that hangs holds up the caller
    for some seconds an epoch. Whoever leaves by an error leaves a run that FAILED, by an interrupt
    one that was KILLED. A process that dies leaves one that seems to go on, and does go on there
    when the run is resumed.

    Args:
        folder: Of the run; keeps what is needed to go on.

    Raises:
        ConfigError: a place that this installation has no way to write to.
    """
    tracker = Tracker(_sinks(tracking, run_name, recipe_plain, folder))
    try:
        yield tracker
    except Exception:
        tracker.end("FAILED")
        raise
    except BaseException:
        tracker.end("KILLED")
        raise
    # Without a word that it is finished, nobody can say that it is.
    tracker.end("FAILED")


def _sinks(
    tracking: Tracking, run_name: str, recipe_plain: Mapping[str, Any], folder: Path
) -> list[Sink]:
    # Imported for runs that ask for them alone: MLflow costs three CPU seconds, as much as torch.
    sinks: list[Sink] = []
    if tracking.tensorboard:
        from lucency.training.tracking_tensorboard import EventFiles

        sinks.append(EventFiles(tracking.tensorboard.absolute() / run_name, recipe_plain))
    if tracking.mlflow:
        from lucency.training.tracking_mlflow import MlflowRun

        sinks.append(
            MlflowRun(tracking.mlflow, tracking.experiment, run_name, recipe_plain, folder)
        )
    return sinks


class _Delivery:
    """Epochs on their way to one place, in order; those that don't arrive wait."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._newest = 0
        self._waiting: dict[int, dict[str, float]] = {}
        self._failing = False

    def row(self, row: Mapping[str, float]) -> None:
        epoch = int(row["epoch"])
        if epoch <= self._newest:
            return
        self._newest = epoch
        self._waiting[epoch] = {
            key: value for key, value in row.items() if key != "epoch" and math.isfinite(value)
        }
        self._attempt(self._deliver)

    def end(self, status: Status, record: Mapping[str, Any] | None) -> None:
        def close() -> None:
            self._deliver()
            self._sink.finish(status, record)

        if not self._attempt(close):
            missing = ", ".join(map(str, self._waiting)) or "none"
            progress.say(
                f"    {self._sink.name} was not told that the run is {status}; epochs missing "
                f"there: {missing}. The run's own folder has them all"
            )

    def _deliver(self) -> None:
        while self._waiting:
            epoch = next(iter(self._waiting))
            self._sink.row(epoch, self._waiting[epoch])
            del self._waiting[epoch]

    def _attempt(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except Exception as failure:  # of any library and its transport: no reason to stop
            if not self._failing:
                reason = " ".join(str(failure).split())[:400] or type(failure).__name__
                progress.say(
                    f"    {self._sink.name} can't be written to: {reason}. Training goes on, and "
                    "tries again after each epoch"
                )
            self._failing = True
            self._sink.drop()
            return False
        if self._failing:
            self._failing = False
            progress.say(f"    {self._sink.name} can be written to again and has every epoch")
        return True
