"""
Sensitivity by late labels while the service answers, for gauges and for the rule of a trial.

Figures are those of ``jobs/reevaluate.py`` over the same days: a film that a model saw twice counts
once, bounds are by patient, and films that are labelled more often weigh less. But the logs are
read as they grow, and of an answer 35 bytes are kept.
"""

import json
import logging
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from lucency.audit import journal, labels, predictions
from lucency.audit.labels import LABEL, LABELS, Late
from lucency.audit.predictions import AUDIT, PREDICTION
from lucency.bundle.artifact import Artifact
from lucency.config.serve import Logs
from lucency.evaluation.intervals import Interval
from lucency.reevaluation.bias import Counts, accuracy
from lucency.store.store import State

from .live import Live
from .tail import Tail

_HALF = 2**64
# What a label's line is needed for.
_WORD = ("prediction", "label", "at", "n", "patient", "site")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """
    What late labels say of one version.

    Attributes:
        positives: Films with disease by a late label.
        found: Those of them that it called so.
        sensitivity: With its interval; NaN while it can't be known.
    """

    positives: int
    found: int
    sensitivity: Interval


class Sensitivity:
    """
    Reads the logs of all replicas, and shows what labels say of the models that answer here.

    Told of the store's state by a watcher, whose thread it works in: a long log is read a part at
    a look, and nothing is shown before its end.

    Args:
        positive: The label that must not be missed.
        clock: Seconds, as ``time.monotonic``.
        now: The time that logs go by.
    """

    def __init__(
        self,
        live: Live,
        logs: Logs,
        positive: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: journal.Clock = journal.now,
    ) -> None:
        self._live = live
        self._logs = logs
        self._clock = clock
        self._now = now
        self._next = 0.0
        self._told = Tail(logs.folder / LABELS)
        self._answered = Tail(logs.folder / AUDIT)
        self._answers = _Answers(positive)
        self._words: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._found: dict[str, Found] = {}

    def look(self, state: State) -> None:
        """Go on reading; at the end of the logs say what they hold, and rest for a while."""
        if self._clock() < self._next:
            return
        first = self._now() - timedelta(days=self._logs.late.days)
        purged = predictions.purged_before(self._logs.folder)
        since = max(filter(None, (first.date(), purged)))
        # Labels first: what they name was written before them.
        said, all_labels = self._told.lines(since)
        answers, all_answers = self._answered.lines(since)
        _take(said, LABEL, self._hear)
        _take(answers, PREDICTION, self._answers.add)
        if not (all_labels and all_answers):
            return
        self._next = self._clock() + self._logs.late.every_s
        self._forget(datetime.combine(since, datetime.min.time(), first.tzinfo))
        self._show()

    def counted(self, version: str) -> tuple[int, int]:
        """Films with disease by a late label that a version answered, and those it called so."""
        found = self._found.get(version)
        return (0, 0) if found is None else (found.positives, found.found)

    def _hear(self, line: Mapping[str, Any]) -> None:
        """The last word of each reader."""
        kept = {name: line[name] for name in _WORD}
        said = self._words[line["prediction"]]
        before = said.setdefault(line["reader"], kept)
        if (before["at"], before["n"]) < (kept["at"], kept["n"]):
            said[line["reader"]] = kept

    def _forget(self, before: datetime) -> None:
        self._answers.forget(before)
        old = journal.stamp(before)
        for prediction, said in list(self._words.items()):
            if all(word["at"] < old for word in said.values()):
                del self._words[prediction]

    def _show(self) -> None:
        late = [labels.agreed(list(said.values())) for said in self._words.values()]
        known = {_key(each.prediction): each for each in late if each.label is not None}
        arms = [self._live.champion, self._live.challenger]
        models = {arm.predictor.artifact.version: arm for arm in arms if arm is not None}
        self._found = {
            version: self._answers.judged(arm.predictor.artifact, known)
            for version, arm in models.items()
        }
        for version, arm in models.items():
            found, rule = self._found[version], arm.predictor.card.rule
            bounds = found.sensitivity
            arm.telemetry.sensitivity(
                bounds.value,
                bounds.lower,
                bounds.upper,
                floor=rule.sensitivity_floor,
                labels=found.positives,
            )


class _Answers:
    """Columns of what was answered, in no order; 35 bytes a film."""

    def __init__(self, positive: str) -> None:
        self._positive = positive
        self._versions: dict[str, int] = {}
        self._columns: dict[str, array[Any]] = {
            "at": array("d"),
            "high": array("Q"),
            "low": array("Q"),
            "film": array("Q"),
            "version": array("H"),
            "called": array("B"),
        }

    def add(self, line: Mapping[str, Any]) -> None:
        """One line of the journal."""
        high, low = _key(line["id"])
        version = self._versions.setdefault(line["version"], len(self._versions))
        row = (
            datetime.fromisoformat(line["at"]).timestamp(),
            high,
            low,
            # Under the logs' key: as good as drawn, and half of its half tells a million apart.
            int(line["film"][:16], 16),
            version,
            line["label"] == self._positive,
        )
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)

    def forget(self, before: datetime) -> None:
        """Leave out what was answered before."""
        old = np.array(self._columns["at"]) < before.timestamp()
        if old.any():
            for name, column in self._columns.items():
                kept = np.array(column)[~old]
                self._columns[name] = array(column.typecode, kept.tobytes())

    def judged(self, artifact: Artifact, known: Mapping[tuple[int, int], Late]) -> Found:
        """One version's answers by the labels that are known."""
        columns = {name: np.array(column) for name, column in self._columns.items()}
        mine = np.flatnonzero(columns["version"] == self._versions.get(artifact.version, -1))
        # In order of time: the last answer of a film is the one that counts.
        mine = mine[np.argsort(columns["at"][mine], kind="stable")]
        high, low, film, called = (
            columns[name][mine] for name in ("high", "low", "film", "called")
        )
        films_n, last = np.unique(film[::-1], return_index=True)
        called_n = called[::-1][last].astype(bool)
        seen: dict[int, Late] = {}
        for row in np.flatnonzero(np.isin(high, np.array([key[0] for key in known], np.uint64))):
            late = known.get((int(high[row]), int(low[row])))
            if late is not None:
                seen[int(film[row])] = late
        places = np.searchsorted(films_n, np.array(list(seen), np.uint64))
        return self._figures(artifact, called_n, places, list(seen.values()))

    def _figures(
        self, artifact: Artifact, called_n: np.ndarray, places: np.ndarray, late: list[Late]
    ) -> Found:
        """
        Args:
            places: Of labelled films among all.
            late: Their labels.
        """
        ill = np.array([each.label == self._positive for each in late], bool)
        patients = np.array([each.patient or str(n) for n, each in zip(places, late, strict=True)])
        hit = called_n[places]
        counts = Counts(
            called_positive=int(called_n.sum()),
            called_negative=int((~called_n).sum()),
            labelled_positive=int(hit.sum()),
            labelled_negative=int((~hit).sum()),
        )
        found = accuracy(ill, hit, patients, counts, artifact.model.rule.confidence)
        return Found(int(ill.sum()), int((ill & hit).sum()), found.sensitivity)


def _take(lines: Sequence[bytes], kind: str, by: Callable[[Mapping[str, Any]], None]) -> None:
    """Hand on the lines of one kind; what is damaged is passed over, for ``verify`` to tell of."""
    mark = f'"kind":"{kind}"'.encode()
    for line in lines:
        if mark in line:
            try:
                by(json.loads(line))
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                _log.warning("damaged line (%r): python -m lucency.audit verify says which", error)


def _key(identity: str) -> tuple[int, int]:
    """Both halves of an id."""
    return divmod(int(identity.replace("-", ""), 16), _HALF)
