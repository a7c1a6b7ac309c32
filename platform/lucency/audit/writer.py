"""
Group commit: a thread through which all requests of a replica share the syncs of the disk.

While one group is being synced the next one gathers, so sixteen requests at a time cost about as
many syncs as one.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lucency.audit.journal import Clock, Journal, LogBroken, Numbered, now, stamp

# How often a broken log is tried again, and an idle one looked at.
_LOOK_S = 1.0
_MOST_IN_A_GROUP = 512
_MOST_WAITING = 10_000
_log = logging.getLogger(__name__)

Written = Callable[[str, Numbered], None]


@dataclass(frozen=True)
class _Entry:
    value: Mapping[str, Any]
    done: Callable[[LogBroken | None], None]


class Writer:
    """
    Hands entries to a journal, in groups, from a thread of its own.

    Args:
        written: Told after each group: the journal's file and its lines, in that thread; may raise
            OSError, which is logged and tried again with the next group.
        broken: Told once when the log breaks (with why) and once when it is mended (None).
    """

    def __init__(
        self,
        journal: Journal,
        *,
        written: Written | None = None,
        broken: Callable[[LogBroken | None], None] | None = None,
        clock: Clock = now,
        look_s: float = _LOOK_S,
    ) -> None:
        self._journal = journal
        self._written = written
        self._tell = broken
        self._clock = clock
        self._look_s = look_s
        self._queue: queue.Queue[_Entry | None] = queue.Queue(_MOST_WAITING)
        self._error: LogBroken | None = None
        self._since = ""
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def error(self) -> LogBroken | None:
        """Why nothing can be written at present; None while all is well."""
        return self._error

    def put(self, value: Mapping[str, Any]) -> None:
        """Write it soon, and wait for nothing; what can't be written is counted as lost."""
        self._offer(_Entry(value, lambda error: None))

    async def commit(self, value: Mapping[str, Any]) -> None:
        """
        Write it, and return when it is on the disk.

        Raises:
            LogBroken: it is not.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def settle(error: LogBroken | None) -> None:
            if future.done():  # the request was given up
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self._offer(_Entry(value, lambda error: _call(loop, settle, error)))
        await future

    def write(self, value: Mapping[str, Any]) -> None:
        """
        The same for a caller without an event loop.

        Raises:
            LogBroken: it is not on the disk.
        """
        done = threading.Event()
        errors: list[LogBroken | None] = []

        def settle(error: LogBroken | None) -> None:
            errors.append(error)
            done.set()

        self._offer(_Entry(value, settle))
        done.wait()
        if errors[0] is not None:
            raise errors[0]

    def close(self) -> None:
        """Write what waits, seal the file, end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _offer(self, entry: _Entry) -> None:
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self._lost += 1
            entry.done(LogBroken(f"{_MOST_WAITING} entries wait for the disk: it is too slow"))

    def _run(self) -> None:
        going = True
        while going:
            group, going = self._gathered()
            try:
                self._commit(group)
            except Exception as error:  # the thread must live: every later request waits for it
                _log.exception("the log's thread met an unexpected %s", type(error).__name__)
                broken = LogBroken(f"unexpected {type(error).__name__} while writing the log")
                for entry in group:
                    entry.done(broken)
        self._journal.close()

    def _gathered(self) -> tuple[list[_Entry], bool]:
        """What waits now; nothing after a pause in which nothing came."""
        group: list[_Entry] = []
        try:
            entry = self._queue.get(timeout=self._look_s)
            while entry is not None:
                group.append(entry)
                if len(group) == _MOST_IN_A_GROUP:
                    break
                entry = self._queue.get_nowait()
        except queue.Empty:
            return group, True
        return group, entry is not None

    def _commit(self, group: Sequence[_Entry]) -> None:
        values = [entry.value for entry in group]
        # What was missed is told as soon as the log can be written again.
        mended = [self._gap()] if self._error or self._lost else []
        if not values and not mended:
            self._journal.tick()
            self._after([])
            return
        try:
            lines = self._journal.append([*mended, *values])
        except LogBroken as error:
            self._fail(error, group)
            return
        if mended:
            self._mend()
        for entry in group:
            entry.done(None)
        self._after(lines)

    def _after(self, lines: Numbered) -> None:
        if self._written is None:
            return
        try:
            self._written(self._journal.file, lines)
        except OSError as error:
            _log.error("the prediction log can't be written, the journal has it: %s", error)

    def _gap(self) -> dict[str, Any]:
        since = self._since or stamp(self._clock())
        return {"kind": "gap", "at": stamp(self._clock()), "since": since, "lost": self._lost}

    def _fail(self, error: LogBroken, group: Sequence[_Entry]) -> None:
        if self._error is None:
            self._since = stamp(self._clock())
            _log.error("%s", error)
            if self._tell:
                self._tell(error)
        self._error = error
        self._lost += len(group)
        for entry in group:
            entry.done(error)

    def _mend(self) -> None:
        was_broken = self._error is not None
        self._error, self._since, self._lost = None, "", 0
        if was_broken:
            _log.warning("the log can be written again")
            if self._tell:
                self._tell(None)


def _call(
    loop: asyncio.AbstractEventLoop,
    settle: Callable[[LogBroken | None], None],
    error: LogBroken | None,
) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(settle, error)
