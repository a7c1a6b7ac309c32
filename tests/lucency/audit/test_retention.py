"""Purging: what is old goes, that it went stays, and what was tampered with is kept."""

from pathlib import Path

import pytest

from lucency.audit import predictions, retention
from lucency.audit.heads import Heads
from lucency.audit.key import Key
from lucency.audit.predictions import AUDIT, PREDICTIONS
from lucency.audit.verify import verify
from lucency.errors import LedgerError

from .conftest import Clock
from .test_predictions import Service, names, parts


@pytest.fixture
def logs(tmp_path: Path, key: Key, clock: Clock) -> Path:
    """Two days, a hundred days apart, the second one in use."""
    service = Service(tmp_path, key, clock, rows=2)
    service.answer("a", "b")
    service.answer("c")
    clock.turn(days=100)
    service.answer("d", "e")
    return tmp_path


def test_old_day_goes_and_verification_passes(logs: Path, key: Key, clock: Clock) -> None:
    """The digest of what went stays in the heads, which tell a purge from a theft."""
    gone = retention.purge(logs, key, {AUDIT: 90}, clock=clock)

    assert gone == {AUDIT: ["2026-03-01/one.jsonl"]}
    assert not (logs / AUDIT / "2026-03-01").exists()
    report = verify(logs / AUDIT, key)
    assert (report.problems, report.purged, report.files) == ([], 1, 1)
    purged = Heads(logs / AUDIT, key).entries()[-1]
    assert (purged["kind"], purged["lines"]) == ("purged", 4)


def test_young_days_stay(logs: Path, key: Key, clock: Clock) -> None:
    """A bound of 101 days takes nothing, and None never does."""
    assert retention.purge(logs, key, {AUDIT: 101, PREDICTIONS: None}, clock=clock) == {AUDIT: []}


def test_purged_predictions_do_not_come_back_from_the_journal(
    logs: Path, key: Key, clock: Clock
) -> None:
    """The audit log may be kept for longer; its old lines are no predictions any more."""
    assert names(logs) == ["a", "b", "c", "d", "e"]

    gone = retention.purge(logs, key, {PREDICTIONS: 90}, clock=clock)

    assert len(gone[PREDICTIONS]) == 2
    assert names(logs) == ["d", "e"]
    assert [part[:14] for part in parts(logs)] == ["day=2026-06-09"]
    assert verify(logs / AUDIT, key).problems == []
    # Nor by a recovery.
    predictions.recover(logs)
    assert names(logs) == ["d", "e"]


def test_changed_file_is_not_purged(logs: Path, key: Key, clock: Clock) -> None:
    """A retention period must not be a way to be rid of evidence."""
    path = logs / AUDIT / "2026-03-01" / "one.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"id":"a"', b'"id":"z"'))

    with pytest.raises(LedgerError):
        retention.purge(logs, key, {AUDIT: 90}, clock=clock)
    assert path.exists()


def test_cut_file_is_not_purged(logs: Path, key: Key, clock: Clock) -> None:
    """Nor where its own lines fit and only the heads know better."""
    path = logs / AUDIT / "2026-03-01" / "one.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))

    with pytest.raises(LedgerError, match="it is kept"):
        retention.purge(logs, key, {AUDIT: 90}, clock=clock)
    assert path.exists()


def test_file_in_use_is_left(logs: Path, key: Key, clock: Clock) -> None:
    """Also an old one whose writer has slept for long."""
    clock.turn(days=1000)

    gone = retention.purge(logs, key, {AUDIT: 90}, clock=clock)

    assert gone[AUDIT] == ["2026-03-01/one.jsonl"]
