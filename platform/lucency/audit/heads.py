"""
How far each file of a journal had come, and when: what a chain can't say of its own end.

``heads.jsonl`` is a ledger under the same key, shared by all replicas. A record is made when a
file is opened, every few minutes, when it is sealed at the day's end, and when it is purged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from lucency.audit.key import Key
from lucency.ledger import Ledger

FILE = "heads.jsonl"

Kind = Literal["opened", "anchored", "sealed", "purged"]


@dataclass
class Known:
    """What the heads say of one file: digest by number of lines, and whether it went."""

    digests: dict[int, str] = field(default_factory=dict)
    purged: bool = False

    @property
    def lines(self) -> int:
        """The most lines that were recorded."""
        return max(self.digests)


class Heads:
    """The ledger beside a journal's days."""

    def __init__(self, root: Path, key: Key) -> None:
        self._ledger = Ledger(root / FILE, key.chain)

    def record(self, kind: Kind, file: str, lines: int, digest: str, at: datetime) -> None:
        """
        Add one record; it is on the disk before this returns.

        Raises:
            LedgerError: the heads were changed by somebody.
        """
        self._ledger.append(
            {
                "at": at.isoformat(timespec="seconds"),
                "kind": kind,
                "file": file,
                "lines": lines,
                "digest": digest,
            }
        )

    def note(self, value: Mapping[str, Any]) -> None:
        """Add what concerns no one file, as a purge of the prediction log."""
        self._ledger.append(value)

    def entries(self) -> list[dict[str, Any]]:
        """
        All records, oldest first.

        Raises:
            LedgerError: one is not what was written.
        """
        return self._ledger.entries()

    def digests(self) -> list[str]:
        """The heads' own digests; the last one, kept elsewhere, shows if their end was cut."""
        return [digest for _, digest in self._ledger.links()]

    def known(self) -> dict[str, Known]:
        """What they say, file by file."""
        found: dict[str, Known] = {}
        for entry in self.entries():
            if "file" in entry:
                known = found.setdefault(entry["file"], Known())
                known.digests[entry["lines"]] = entry["digest"]
                known.purged |= entry["kind"] == "purged"
        return found
