"""
The actor that judges the epochs of all trials of a search, and remembers them.

Each decision is one line of a file, on the disk before the trial hears of it. So a search that goes
on after its driver was killed, or an actor that Ray starts anew, knows all earlier curves, and the
same epoch of the same trial is never judged twice in two ways.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lucency import files
from lucency.errors import ConfigError, DataError
from lucency.evaluation.intervals import Interval
from lucency.search.rule import Decision, Measure, Terms, decide, measure
from lucency.training.referee import NAMESPACE


class Answer(TypedDict):
    """What a trial hears; plain values, so that the loop needs nothing from this layer."""

    stop: bool
    reason: str


class Referee:
    """
    Judges epochs in the order in which they arrive; ``start`` makes an actor of it.

    Args:
        path: JSON lines: the terms, then one decision each with what it was based on.

    Raises:
        ConfigError: the file was begun under other terms, or is not such a file.
    """

    def __init__(self, terms: Terms, path: Path) -> None:
        self._terms, self._path = terms, path
        self._decisions: dict[tuple[str, int], Decision] = {}
        self._state: dict[str, list[Measure]] = {}
        self._films: str | None = None
        self._closed = ""
        if lines := self._lines():
            self._read(lines)
        else:
            files.append_line(path, {"terms": _plain(terms)})

    def judge(
        self,
        run: str,
        epoch: int,
        labels_n: np.ndarray,
        logits_nk: np.ndarray,
        patients_n: np.ndarray,
    ) -> Answer:
        """
        Whether a trial goes on after an epoch (from 1), and why; asked again, the same answer.

        Raises:
            DataError: the films are not those that the other epochs were measured on.
        """
        self._same_films(run, labels_n, patients_n)
        known = self._decisions.get((run, epoch))
        if known is None:
            now = measure(self._terms, run, epoch, labels_n, logits_nk, patients_n)
            known = decide(self._terms, self._state, now)
            files.append_line(self._path, _line(known, now, self._films))
            self._remember(known, now)
        if self._closed and not known.stop:
            return {"stop": True, "reason": self._closed}
        return {"stop": known.stop, "reason": known.reason}

    def close(self, reason: str) -> None:
        """From now on every trial stops after its epoch, with this reason."""
        self._closed = reason

    def stopped_at(self, run: str) -> int | None:
        """The epoch after which a trial was first told to stop, None if it was not."""
        told = [each.epoch for (name, _), each in self._decisions.items() if name == run]
        return min((epoch for epoch in told if self._decisions[run, epoch].stop), default=None)

    def verdicts(self) -> list[dict[str, Any]]:
        """Every decision in order of arrival, as plain values; a bound that is unknown is None."""
        return [_verdict(decision) for decision in self._decisions.values()]

    def _remember(self, decision: Decision, now: Measure) -> None:
        self._decisions[decision.run, decision.epoch] = decision
        curve = self._state.setdefault(decision.run, [])
        curve.append(now)
        curve.sort(key=lambda each: each.epoch)

    def _same_films(self, run: str, labels_n: np.ndarray, patients_n: np.ndarray) -> None:
        pairs = np.unique(np.stack([patients_n, labels_n]), axis=1, return_counts=True)
        found = files.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in pairs))[:16]
        if self._films not in (None, found):
            raise DataError(
                f"trial {run!r} was measured on {labels_n.size} films of other patients or labels "
                "than the trials before it; trials of a search are compared patient by patient: "
                "search anew under another name"
            )
        self._films = found

    def _lines(self) -> list[Any]:
        try:
            return files.read_lines(self._path)
        except ValueError as cause:
            raise self._unreadable(cause) from cause

    def _read(self, lines: list[Any]) -> None:
        head, *rest = lines
        try:
            begun = head["terms"]
            found = [(_decision(line["verdict"]), _measure(line), line["films"]) for line in rest]
        except (ValueError, KeyError, TypeError) as cause:
            raise self._unreadable(cause) from cause
        if begun != _plain(self._terms):
            raise ConfigError(
                f"{str(self._path)!r} was begun under the terms {begun}, now they are "
                f"{_plain(self._terms)}: go on with the former, or search anew under another name"
            )
        for decision, now, films in found:
            self._films = films
            self._remember(decision, now)

    def _unreadable(self, cause: Exception) -> ConfigError:
        return ConfigError(
            f"{str(self._path)!r} is no record of a search's decisions ({cause!r}): restore it, or "
            "search anew under another name"
        )


def start(name: str, terms: Terms, path: Path) -> Any:
    """
    The named actor of a search in ``training.referee.NAMESPACE``, started or found.

    It takes no CPU, so that it fits beside trials that fill a cluster, and runs on the caller's
    node, where ``path`` is. It ends with the driver that started it.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(Referee).options(
        name=name,
        namespace=NAMESPACE,
        get_if_exists=True,
        num_cpus=0,
        # A judge that dies is started anew, reads its file and is asked again.
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=here,
    )
    return actor.remote(terms, path.absolute())


def _plain(terms: Terms) -> dict[str, Any]:
    return {
        "stopping": terms.stopping.model_dump(mode="json"),
        "clinical": terms.clinical.model_dump(mode="json"),
        "epochs": terms.epochs,
    }


def _verdict(decision: Decision) -> dict[str, Any]:
    plain = asdict(decision)
    figures = {**plain.pop("interval"), "standing": decision.standing}
    known = {key: None if math.isnan(value) else value for key, value in figures.items()}
    return {**plain, **known}


def _decision(plain: Mapping[str, Any]) -> Decision:
    rest = {key: value for key, value in plain.items() if key not in ("value", "lower", "upper")}
    return Decision(interval=_interval(plain), **{**rest, "standing": _known(plain["standing"])})


def _interval(plain: Mapping[str, Any]) -> Interval:
    return Interval(*(_known(plain[key]) for key in ("value", "lower", "upper")))


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _line(decision: Decision, now: Measure, films: str | None) -> dict[str, Any]:
    drawn = base64.b64encode(now.replicates_r.astype("<f4").tobytes()).decode()
    return {"verdict": _verdict(decision), "replicates": drawn, "films": films}


def _measure(line: Mapping[str, Any]) -> Measure:
    verdict = line["verdict"]
    drawn_r = np.frombuffer(base64.b64decode(line["replicates"]), dtype="<f4")
    return Measure(
        verdict["run"],
        verdict["epoch"],
        verdict["figure"],
        _interval(verdict),
        verdict["patients"],
        drawn_r,
    )
