"""Records that only grow: every line carries a digest of itself and of all before it."""

import fcntl
import hashlib
import hmac
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
BEGIN = files.sha256(b"")


class Chain:
    """
    How one line follows from the lines before it.

    Args:
        key: With a secret only its holders can make a line that fits; without one, whoever may
            write the file can compute all digests anew.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key

    def next(self, digest: str, value: Mapping[str, Any]) -> str:
        """The digest of a value that comes after ``digest``, which is BEGIN for the first."""
        data = (digest + files.canonical(value)).encode()
        if self._key:
            return hmac.digest(self._key, data, hashlib.sha256).hex()
        return files.sha256(data)

    def line(self, value: Mapping[str, Any], digest: str) -> bytes:
        """A value and its digest as they stand in the file."""
        assert _CHAIN not in value, "the chain is the ledger's own"
        return files.canonical({**value, _CHAIN: digest}).encode() + b"\n"

    def read(self, whole: bytes, path: Path) -> Iterator[tuple[dict[str, Any], str, bytes]]:
        """
        Value, digest and bytes of every whole line of a file.

        Raises:
            LedgerError: a line is not what was written; its ``line`` says which.
        """
        digest = BEGIN
        for number, line in enumerate(BytesIO(whole), 1):
            if not line.endswith(b"\n"):
                return
            try:
                value = json.loads(line)
                found = value.pop(_CHAIN)
            except (ValueError, KeyError, AttributeError, TypeError) as cause:
                raise _broken(path, number) from cause
            digest = self.next(digest, value)
            if found != digest or line != self.line(value, digest):
                raise _broken(path, number)
            yield value, digest, line


class Ledger:
    """
    A file of JSON lines for openings, promotions, whatever must not be rewritten later.

    A line that is edited, removed, added or moved breaks the chain, and reading says where.
    Cutting lines off at the end is the one change that a chain can't show.
    A process killed while it appended leaves part of a line: it was never acknowledged, readers
    pass over it and the next append takes its place.
    For rare records: an append reads the file. What comes by the thousand is a journal's
    (``lucency.audit.journal``).
    """

    def __init__(self, path: Path, key: bytes = b"") -> None:
        self.path = path
        self._chain = Chain(key)

    def entries(self) -> Entries:
        """
        All values, oldest first; none if nothing was recorded.

        Raises:
            LedgerError: a line is not what was written.
        """
        return [value for value, _ in self.links()]

    def links(self) -> list[tuple[dict[str, Any], str]]:
        """
        All values with their digests; the last digest, noted elsewhere, shows a cut at the end.

        Raises:
            LedgerError: a line is not what was written.
        """
        if not self.path.exists():
            return []
        read = self._chain.read(self.path.read_bytes(), self.path)
        return [(value, digest) for value, digest, _ in read]

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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._held() as stream:
            read = list(self._chain.read(stream.read(), self.path))
            before = [entry for entry, _, _ in read]
            if check is not None:
                check(before)
            digest = read[-1][1] if read else BEGIN
            stream.seek(sum(len(line) for _, _, line in read))
            stream.truncate()
            stream.write(self._chain.line(value, self._chain.next(digest, value)))
            stream.flush()
            os.fsync(stream.fileno())
        return before

    @contextmanager
    def _held(self) -> Iterator[BufferedRandom]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield stream


def _broken(path: Path, number: int) -> LedgerError:
    return LedgerError(
        f"line {number} of {str(path)!r} does not go on from the lines before it: it, or "
        "one of them, was edited, removed, added or moved; restore the file from a copy"
    )
