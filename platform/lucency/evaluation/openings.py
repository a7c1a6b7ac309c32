"""
The lock of the test split: who opened it, when, for which model.

A test split that chooses between models is a validation split by another name, and its figures
flatter. So a second model of the same lineage is refused unless somebody says why, and the
report shows that as well.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lucency import environment
from lucency.errors import TestSplitOpened
from lucency.ledger import Ledger

FILE = "test_openings.jsonl"

Opening = Mapping[str, Any]


def opened(folder: Path, *, lineage: str, model: str, data: str, reason: str = "") -> list[Opening]:
    """
    Record an opening, before a film is read.

    Args:
        folder: Of the table; the record stands beside it.
        lineage: What the model is a version of: its bundle's name.
        model: Digest of the final model.
        data: Digest of the table.
        reason: Why another model of this lineage may see the films that one saw before.

    Returns:
        All openings of these data for this lineage, this one last.

    Raises:
        TestSplitOpened: another model of this lineage was tested on these data, this one was not,
            and no reason is given.
        LedgerError: the record was edited.
    """
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": environment.user(),
        "lineage": lineage,
        "model": model,
        "data": data,
        "reason": reason,
    }
    before = Ledger(folder / FILE).append(
        entry, check=lambda entries: _refuse_another(_alike(entries, entry), entry)
    )
    return [*_alike(before, entry), entry]


def _alike(entries: Sequence[Opening], entry: Opening) -> list[Opening]:
    """Those of the same lineage on the same data."""
    return [
        each
        for each in entries
        if (each["lineage"], each["data"]) == (entry["lineage"], entry["data"])
    ]


def _refuse_another(before: Sequence[Opening], entry: Opening) -> None:
    others = {each["model"]: each for each in before}
    # Whoever looks at the same model again chooses nothing, whatever came since.
    if not others or entry["model"] in others or entry["reason"]:
        return
    last = list(others.values())[-1]
    raise TestSplitOpened(
        f"the test split of {entry['data'][:12]!r} was opened for {len(others)} other model(s) of "
        f"{entry['lineage']!r}, last for {last['model'][:12]!r} on {last['at']}: choosing between "
        "models by their test figures makes these flatter. Choose on validation; to open it "
        "all the same give reason=TEXT, which the report will show"
    )
