"""A simulated service: days of answers and late labels, written by the real logs."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from lucency.audit.journal import Journal, stamp
from lucency.audit.key import Key
from lucency.audit.labels import LABEL, LABELS
from lucency.audit.predictions import AUDIT, PREDICTION, Roller

SECRET = "sixteen bytes or more"
DELAY = timedelta(days=3)


class Month:
    """
    A hospital with two wards: the model misses a share of the ill, labels come three days later.

    Args:
        rates: Labelled of films called positive and negative.
    """

    def __init__(self, folder: Path, rates: tuple[float, float] = (0.95, 0.6)) -> None:
        self.folder = folder
        self.at = datetime(2026, 3, 2, 8, tzinfo=UTC)
        self._rates = rates
        key = Key(SECRET.encode())
        self._audit = Journal(folder / AUDIT, key, "one", clock=lambda: self.at)
        self._labels = Journal(folder / LABELS, key, "one", clock=lambda: self.at)
        self._roller = Roller(folder, rows=200, every_s=3600)
        self._generator = np.random.default_rng(0)
        self._coming: list[tuple[datetime, dict[str, str]]] = []

    def day(self, films: int, *, sensitivity: float, version: str = "v1") -> None:
        """One day of answers, and the labels that come on it; then the next morning."""
        draw = self._generator.random
        ill = draw(films) < 0.4
        called = draw(films) < np.where(ill, sensitivity, 0.1)
        seen = draw(films) < np.where(called, *self._rates)
        answers = []
        for n in range(films):
            name = str(uuid.UUID(bytes=self._generator.bytes(16)))
            answers.append(self._answer(name, bool(called[n]), version, site=f"ward {n % 2}"))
            if seen[n]:
                self._coming.append((self.at + DELAY, _label(name, bool(ill[n]))))
        lines = self._audit.append(answers)
        self._roller.add(self._audit.file, lines)
        arrived = [label for due, label in self._coming if due <= self.at]
        if arrived:
            self._labels.append([{**label, "at": stamp(self.at)} for label in arrived])
        self._coming = [(due, label) for due, label in self._coming if due > self.at]
        self.at += timedelta(days=1)

    def _answer(self, name: str, called: bool, version: str, site: str) -> dict[str, object]:
        return {
            **{"kind": PREDICTION, "at": stamp(self.at), "id": name, "film": name, "site": site},
            **{"who": "key:ward", "what": "/v1/predict", "model": "m", "version": version},
            **{"variant": "fp32", "label": "PNEUMONIA" if called else "NORMAL"},
            **{"decision": "positive" if called else "negative", "reason": "clear"},
            **{"probability": 0.9 if called else 0.1, "decode_ms": 3.0, "infer_ms": 7.0},
        }


def _label(name: str, ill: bool) -> dict[str, str]:
    return {
        **{"kind": LABEL, "who": "key:ris", "prediction": name, "reader": "reader-1"},
        **{"label": "PNEUMONIA" if ill else "NORMAL", "patient": f"patient-{name}", "site": ""},
    }
