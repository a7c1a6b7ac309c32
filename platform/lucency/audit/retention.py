"""What is deleted when it is old, and how that is told apart from what somebody took away."""

import fcntl
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from lucency.audit import journal, predictions
from lucency.audit.heads import Heads
from lucency.audit.journal import Clock, now, stamp
from lucency.audit.key import Key
from lucency.audit.labels import LABELS
from lucency.audit.predictions import AUDIT, PREDICTIONS
from lucency.errors import LedgerError
from lucency.ledger import Chain

LOGS = (AUDIT, PREDICTIONS, LABELS)


def purge(
    folder: Path, key: Key, older_than_days: Mapping[str, int | None], *, clock: Clock = now
) -> dict[str, list[str]]:
    """
    Delete whole days before a bound, log by log; a journal's heads tell what went.

    One at a time: while another process purges this does nothing.

    Args:
        older_than_days: By log (audit, predictions, labels); None keeps everything.

    Returns:
        The files that went, by log.

    Raises:
        LedgerError: a file that is old enough is not what was written; it stays, as evidence.
    """
    gone: dict[str, list[str]] = {}
    with (folder / ".purging").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return gone
        for log, days in older_than_days.items():
            if days is not None:
                before = clock().date() - timedelta(days=days)
                gone[log] = _ACTIONS[log](folder, key, before, clock)
    return gone


def _audit(folder: Path, key: Key, before: date, clock: Clock) -> list[str]:
    return _journal(folder / AUDIT, key, before, clock)


def _labels(folder: Path, key: Key, before: date, clock: Clock) -> list[str]:
    return _journal(folder / LABELS, key, before, clock)


def _journal(root: Path, key: Key, before: date, clock: Clock) -> list[str]:
    heads, gone = Heads(root, key), []
    for path in sorted(root.glob("*/*.jsonl")):
        if date.fromisoformat(path.parent.name) >= before or journal.in_use(path):
            continue
        name = path.relative_to(root).as_posix()
        links = [digest for _, digest, _ in Chain(key.chain).read(path.read_bytes(), path)]
        known = heads.known().get(name)
        if known is not None and any(
            lines > len(links) or (lines and links[lines - 1] != digest)
            for lines, digest in known.digests.items()
        ):
            raise LedgerError(
                f"{str(path)!r} has {len(links)} lines, which are not those that the heads had "
                "seen: it is kept; ask python -m lucency.audit verify"
            )
        # Told first: stopped between the two, a purge is repeated, never mistaken for a theft.
        if links:
            heads.record("purged", name, len(links), links[-1], clock())
        path.unlink()
        gone.append(name)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    return gone


def _predictions(folder: Path, key: Key, before: date, clock: Clock) -> list[str]:
    last = predictions.purged_before(folder)
    if last is not None and last >= before:
        return predictions.purge(folder, before)  # told already; what a stopped purge left
    Heads(folder / AUDIT, key).note(_told(clock, before))
    return predictions.purge(folder, before)


def _told(clock: Clock, before: date) -> dict[str, Any]:
    return {
        "at": stamp(clock()),
        "kind": "purged predictions",
        "before": before.isoformat(),
    }


_ACTIONS: dict[str, Callable[[Path, Key, date, Clock], list[str]]] = {
    AUDIT: _audit,
    PREDICTIONS: _predictions,
    LABELS: _labels,
}
