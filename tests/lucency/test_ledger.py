"""Ledgers: what was appended comes back, and nothing can be changed unseen."""

import contextlib
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lucency.errors import LedgerError
from lucency.ledger import Ledger

Change = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Three records."""
    found = Ledger(tmp_path / "made" / "ledger.jsonl")
    for number in range(3):
        found.append({"number": number, "text": "two\nlines\u2028"})
    return found


def test_values_come_back_in_order(ledger: Ledger) -> None:
    """Also where their text holds line breaks."""
    assert ledger.entries() == [{"number": n, "text": "two\nlines\u2028"} for n in range(3)]


def test_ledger_without_a_file_is_empty(tmp_path: Path) -> None:
    """Nothing was recorded yet."""
    assert Ledger(tmp_path / "none.jsonl").entries() == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: [lines[0].replace(b'"number":0', b'"number":7'), *lines[1:]], 1),
        (lambda lines: [*lines[:2], lines[2].replace(b'"number":2', b'"number":7')], 3),
        (lambda lines: [lines[0], lines[2]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[1], lines[0], lines[2]], 1),
        (lambda lines: [lines[0], b'{"number":9}\n', *lines[1:]], 2),
        (lambda lines: [lines[0], lines[0], *lines[1:]], 2),
        (lambda lines: [lines[0], b"[]\n", *lines[1:]], 2),
        (lambda lines: [lines[0], b"\n", *lines[1:]], 2),
        (lambda lines: [lines[0], b"\xff\n", *lines[1:]], 2),
        (lambda lines: [lines[0], b"\r", *lines[1:]], 2),
    ],
    ids=[
        *("edited", "last", "removed", "beheaded", "moved", "added"),
        *("doubled", "list", "blank", "bytes", "return"),
    ],
)
def test_changed_line_is_found(ledger: Ledger, change: Change, line: int) -> None:
    """Reading and appending refuse, and name the first line whose chain is broken."""
    changed = b"".join(change(ledger.path.read_bytes().splitlines(keepends=True)))
    ledger.path.write_bytes(changed)

    with pytest.raises(LedgerError, match=f"line {line} of"):
        ledger.entries()
    with pytest.raises(LedgerError):
        ledger.append({"number": 3})

    assert ledger.path.read_bytes() == changed


@pytest.mark.parametrize("cut", [1, 20])
def test_torn_last_line_was_never_there(ledger: Ledger, cut: int) -> None:
    """A process killed in the middle of a line costs that line alone, and only that."""
    ledger.path.write_bytes(ledger.path.read_bytes()[:-cut])

    assert [entry["number"] for entry in ledger.entries()] == [0, 1]

    ledger.append({"number": 5})
    assert [entry["number"] for entry in ledger.entries()] == [0, 1, 5]


def test_refused_value_is_not_added(ledger: Ledger) -> None:
    """The check is shown what stands there, and what it raises leaves the file as it was."""
    before = ledger.path.read_bytes()

    def refuse(entries: list[dict[str, Any]]) -> None:
        raise LedgerError(f"{len(entries)} is enough")

    with pytest.raises(LedgerError, match="3 is enough"):
        ledger.append({"number": 3}, check=refuse)

    assert ledger.path.read_bytes() == before


def test_check_and_append_are_one_step(ledger: Ledger) -> None:
    """Of four processes that may each be the only one, one is."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_alone, args=(ledger.path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)

    assert len(ledger.entries()) == 4


def test_writers_take_turns(ledger: Ledger) -> None:
    """Four processes append at once: no line is lost and the chain holds."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append, args=(ledger.path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)

    entries = ledger.entries()

    assert sorted(entry["by"] for entry in entries[3:]) == sorted(list(range(4)) * 10)


def _append_alone(path: Path, number: int) -> None:
    def alone(entries: list[dict[str, Any]]) -> None:
        time.sleep(0.1)  # long enough for all to have looked
        if len(entries) > 3:
            raise LedgerError("another was first")

    with contextlib.suppress(LedgerError):
        Ledger(path).append({"by": number}, check=alone)


def _append(path: Path, number: int) -> None:
    for _ in range(10):
        Ledger(path).append({"by": number})
