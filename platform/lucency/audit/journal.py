"""
Append-only days: one hash-chained file a replica and day, many lines to one sync of the disk.

Nothing is read on appending: the last digest stays in memory. The file is locked as long as its
writer lives, so that another can tell a dead replica's file from one in use.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lucency import files
from lucency.audit.heads import Heads
from lucency.audit.key import Key
from lucency.errors import LedgerError, LucencyError
from lucency.ledger import BEGIN, Chain

Clock = Callable[[], datetime]
Numbered = list[dict[str, Any]]


class LogBroken(LucencyError):
    """What happened can't be written down: no space, no permission, or the log was changed."""


def now() -> datetime:
    """The time that logs go by, UTC."""
    return datetime.now(UTC)


class Journal:
    """
    The writer of one replica; one thread at a time.

    Opening is put off to the first append, and tried again at every append after a failure: a full
    disk that has space again needs no restart.

    Args:
        root: Folder of the journal; days are folders in it.
        replica: Names the files; no two living writers have the same.
        anchor_s: Between two records of how far the file has come. What is cut off its end
            within that time can't be told from what never was.
    """

    def __init__(
        self, root: Path, key: Key, replica: str, *, anchor_s: float = 600, clock: Clock = now
    ) -> None:
        self.root = root
        self.replica = replica
        self._key = key
        self._chain = Chain(key.chain)
        self._heads = Heads(root, key)
        self._anchor_s = anchor_s
        self._clock = clock
        self._descriptor: int | None = None
        self._day = ""
        self._file = ""
        self._previous: dict[str, str] = {}
        self._lines, self._digest, self._size = 0, BEGIN, 0
        self._anchored, self._next_anchor = 0, 0.0

    @property
    def file(self) -> str:
        """The file that the last append went to, ``<day>/<replica>.jsonl``."""
        return self._file

    def append(self, values: Sequence[Mapping[str, Any]]) -> Numbered:
        """
        Write values, all or none, with one sync; they are on the disk when this returns.

        Returns:
            The values as written: with ``n``, the number of the line.

        Raises:
            LogBroken: nothing was added.
        """
        try:
            self._open()
            written = self._write(values)
        except (OSError, LedgerError) as cause:
            reason = cause.strerror if isinstance(cause, OSError) else str(cause)
            raise LogBroken(
                f"the journal {str(self.root)!r} can't be written ({reason}): give it space or "
                "permission, it goes on by itself"
            ) from cause
        self.tick()
        return written

    def tick(self) -> None:
        """Anchor if it is time; a failure is tried again later, the lines are safe already."""
        if self._lines > self._anchored and time.monotonic() >= self._next_anchor:
            self.anchor()

    def anchor(self) -> bool:
        """Record how far the file has come; False where that failed."""
        self._next_anchor = time.monotonic() + self._anchor_s
        try:
            self._heads.record("anchored", self._file, self._lines, self._digest, self._clock())
        except (OSError, LedgerError):
            return False
        self._anchored = self._lines
        return True

    def close(self) -> None:
        """Seal the file; the same replica may still open it again."""
        if self._descriptor is None:
            return
        # Where the end can't be recorded the last anchor holds.
        with contextlib.suppress(OSError, LedgerError):
            self._seal()
        self._let_go()

    def _open(self) -> None:
        day = self._clock().date().isoformat()
        if self._descriptor is not None and day == self._day:
            return
        if self._descriptor is not None:
            self._seal()
            self._let_go()
        path = self.root / day / f"{self.replica}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._resume(descriptor, path)
            self._descriptor, self._day, self._file = descriptor, day, f"{day}/{path.name}"
            if not self._lines:
                files.sync_folder(path.parent)
                self._write([self._beginning()])
            self._heads.record("opened", self._file, self._lines, self._digest, self._clock())
        except BaseException:
            os.close(descriptor)
            self._descriptor = None
            raise
        self._anchored = self._lines
        self._next_anchor = time.monotonic() + self._anchor_s

    def _beginning(self) -> dict[str, Any]:
        return {
            "kind": "begin",
            "at": stamp(self._clock()),
            "replica": self.replica,
            "key": self._key.id,
            "previous": self._previous,
        }

    def _resume(self, descriptor: int, path: Path) -> None:
        """Go on where an earlier process of this name stopped, without part of a last line."""
        whole = b"".join(iter(lambda: os.read(descriptor, 2**20), b""))
        self._lines, self._digest, self._size = 0, BEGIN, 0
        for _, digest, line in self._chain.read(whole, path):
            self._lines, self._digest = self._lines + 1, digest
            self._size += len(line)

    def _write(self, values: Sequence[Mapping[str, Any]]) -> Numbered:
        assert self._descriptor is not None
        lines, digest, numbered = [], self._digest, []
        for number, value in enumerate(values, self._lines + 1):
            numbered.append({**value, "n": number})
            digest = self._chain.next(digest, numbered[-1])
            lines.append(self._chain.line(numbered[-1], digest))
        data = b"".join(lines)
        # Also what an earlier failure, or a kill, left behind the last acknowledged line.
        os.ftruncate(self._descriptor, self._size)
        try:
            _write_all(self._descriptor, data, self._size)
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._lines, self._digest = self._lines + len(lines), digest
        self._size += len(data)
        return numbered

    def _seal(self) -> None:
        self._heads.record("sealed", self._file, self._lines, self._digest, self._clock())
        self._previous = {"file": self._file, "digest": self._digest}

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def stamp(at: datetime) -> str:
    """A time as it stands in the logs, UTC, to the millisecond."""
    return at.isoformat(timespec="milliseconds")


def in_use(path: Path) -> bool:
    """Whether a living process writes this file of a journal."""
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(descriptor, view, offset)
        view, offset = view[done:], offset + done
