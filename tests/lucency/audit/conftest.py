"""One key, a clock that a test turns, and a journal's lines to tamper with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lucency.audit.journal import Journal
from lucency.audit.key import Key


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def turn(self, days: float) -> None:
        """Let time pass."""
        self.at += timedelta(days=days)


@pytest.fixture
def clock() -> Clock:
    """Noon of the first of March."""
    return Clock()


@pytest.fixture
def key() -> Key:
    """A secret that everybody here knows."""
    return Key(b"sixteen bytes or more")


@pytest.fixture
def root(tmp_path: Path, key: Key, clock: Clock) -> Path:
    """A sealed journal of one day: a beginning and five lines."""
    journal = Journal(tmp_path / "audit", key, "one", clock=clock)
    journal.append([{"kind": "prediction", "at": "now", "id": f"p{n}"} for n in range(3)])
    journal.append([{"kind": "prediction", "at": "now", "id": f"p{n}"} for n in range(3, 5)])
    journal.close()
    return tmp_path / "audit"
