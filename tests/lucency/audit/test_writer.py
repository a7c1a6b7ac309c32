"""Group commit: many wait for one sync, and nobody is told of a line that is not there."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from lucency.audit.journal import Journal, LogBroken, Numbered
from lucency.audit.key import Key
from lucency.audit.verify import verify
from lucency.audit.writer import Writer

from .test_journal import ids


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each sync of a journal's file."""
    found: list[int] = []
    real = os.fdatasync

    def counted(handle: int) -> None:
        found.append(handle)
        real(handle)

    monkeypatch.setattr(os, "fdatasync", counted)
    return found


def test_requests_at_one_time_share_a_sync(tmp_path: Path, key: Key, syncs: list[int]) -> None:
    """A hundred commits that wait together cost a few syncs, and all are there after it."""
    writer = Writer(Journal(tmp_path, key, "one"))

    async def all_at_once() -> None:
        await asyncio.gather(*(writer.commit({"id": n}) for n in range(100)))

    asyncio.run(all_at_once())

    assert sorted(ids(tmp_path)) == list(range(100))
    assert len(syncs) < 20
    writer.close()


def test_commit_returns_after_the_sync(tmp_path: Path, key: Key, syncs: list[int]) -> None:
    """The line is on the disk, not in a queue."""
    writer = Writer(Journal(tmp_path, key, "one"))

    writer.write({"id": 1})

    assert ids(tmp_path) == [1]
    assert len(syncs) == 2  # the file's beginning, and the line
    writer.close()


def test_close_writes_what_waits(tmp_path: Path, key: Key) -> None:
    """Entries that nobody waits for are not lost at the end."""
    writer = Writer(Journal(tmp_path, key, "one"))
    for number in range(1000):
        writer.put({"id": number})

    writer.close()

    assert ids(tmp_path) == list(range(1000))


def test_broken_log_mends_itself_and_tells_of_the_gap(tmp_path: Path, key: Key) -> None:
    """While the folder can't be made commits fail; then a line says how many were lost."""
    (tmp_path / "audit").write_text("in the way")
    told: list[bool] = []
    mended = threading.Event()

    def broken(error: LogBroken | None) -> None:
        told.append(error is not None)
        if error is None:
            mended.set()

    writer = Writer(Journal(tmp_path / "audit", key, "one"), broken=broken, look_s=0.01)
    for number in range(2):
        with pytest.raises(LogBroken, match="can't be written"):
            writer.write({"id": number})
    assert writer.error is not None
    (tmp_path / "audit").unlink()

    assert mended.wait(5)
    writer.write({"id": 9})
    writer.close()

    assert writer.error is None
    assert told == [True, False]
    text = next((tmp_path / "audit").glob("*/*.jsonl")).read_text()
    assert '"kind":"gap","lost":2' in text
    assert ids(tmp_path / "audit") == [9]
    assert verify(tmp_path / "audit", key).problems == []


def test_trouble_after_the_sync_fails_nobody(tmp_path: Path, key: Key) -> None:
    """Where the columns can't be written the journal has the lines all the same."""

    def full(file: str, lines: Numbered) -> None:
        raise OSError(28, "No space left on device")

    writer = Writer(Journal(tmp_path, key, "one"), written=full)

    writer.write({"id": 1})
    writer.write({"id": 2})
    writer.close()

    assert ids(tmp_path) == [1, 2]
