"""A file that is read again when it changes, and whose broken version is never put in force."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from lucency.errors import ConfigError

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Watched(Generic[T]):
    """
    What ``parse`` makes of a file's bytes, looked at again at most every ``every_s`` seconds.

    ``parse`` raises ConfigError, whose message must quote no secret: it is logged. The first
    reading lets that error out; later ones keep what was good, for a slip of the editor should
    not lock everyone out.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T], *, every_s: float = 1.0) -> None:
        self._path = path
        self._parse = parse
        self._every_s = every_s
        self._seen = self._signature()
        self._value = self._read()
        self._next = time.monotonic() + every_s

    def value(self) -> T:
        """The last good content."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._every_s
            self._look()
        return self._value

    def _look(self) -> None:
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature  # also of a broken file: one line in the log is enough
        try:
            self._value = self._read()
        except ConfigError as error:
            _log.error("%s; what was read before stays in force", error)
        else:
            _log.info("%s was read again", self._path)

    def _read(self) -> T:
        try:
            data = self._path.read_bytes()
        except OSError as cause:
            raise ConfigError(f"{self._path} can't be read: {cause.strerror}") from None
        try:
            return self._parse(data)
        except ConfigError as cause:
            raise ConfigError(f"{self._path}: {cause}") from None

    def _signature(self) -> tuple[int, ...] | None:
        # Kubernetes swaps a link in front of the file: its own number changes with the content.
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
