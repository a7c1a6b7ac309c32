"""Records that only grow: every line carries a digest of itself and of all before it."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRandom, BytesIO
from pathlib import Path
from typing import Any

from lucency import files
from lucency.errors import LedgerError

Entries = list[dict[str, Any]]

_CHAIN = "chain"
_BEGIN = files.sha256(b"")


class Ledger:
    """
    A file of JSON lines for openings, promotions, whatever must not be rewritten later.

    A line that is edited, removed, added or moved breaks the chain, and reading says where.
    Cutting lines off at the end is the one change that a chain can't show.
    A process killed while it appended leaves part of a line: it was never acknowledged, readers
    pass over it and the next append takes its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> Entries:
        """
        All values, oldest first; none if nothing was recorded.

        Raises:
            LedgerError: a line is not what was written.
        """
        if not self.path.exists():
            return []
        return [value for value, _, _ in self._read(self.path.read_bytes())]

    def append(
        self, value: Mapping[str, Any], *, check: Callable[[Entries], None] | None = None
    ) -> Entries:
        """
        Add a value and see it on the disk before returning; writers take turns.

        Args:
            check: Is shown the values before it and raises where it may not be added; no other
                writer comes between.

        Returns:
            The values before it.

        Raises:
            LedgerError: a line before it is not what was written.
        """
        assert _CHAIN not in value, "the chain is the ledger's own"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._held() as stream:
            read = list(self._read(stream.read()))
            before = [entry for entry, _, _ in read]
            if check is not None:
                check(before)
            chain = read[-1][1] if read else _BEGIN
            stream.seek(sum(len(line) for _, _, line in read))
            stream.truncate()
            stream.write(_line(value, _next(chain, value)))
            stream.flush()
            os.fsync(stream.fileno())
        return before

    def _read(self, whole: bytes) -> Iterator[tuple[dict[str, Any], str, bytes]]:
        chain = _BEGIN
        for number, line in enumerate(BytesIO(whole), 1):
            if not line.endswith(b"\n"):
                return
            try:
                value = json.loads(line)
                found = value.pop(_CHAIN)
            except (ValueError, KeyError, AttributeError, TypeError) as cause:
                raise self._broken(number) from cause
            chain = _next(chain, value)
            if found != chain or line != _line(value, chain):
                raise self._broken(number)
            yield value, chain, line

    def _broken(self, number: int) -> LedgerError:
        return LedgerError(
            f"line {number} of {str(self.path)!r} does not go on from the lines before it: it, or "
            "one of them, was edited, removed, added or moved; restore the file from a copy"
        )

    @contextmanager
    def _held(self) -> Iterator[BufferedRandom]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield stream


def _line(value: Mapping[str, Any], chain: str) -> bytes:
    return files.canonical({**value, _CHAIN: chain}).encode() + b"\n"


def _next(chain: str, value: Mapping[str, Any]) -> str:
    return files.sha256((chain + files.canonical(value)).encode())
