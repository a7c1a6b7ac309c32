"""Verification: every kind of tampering is found, by file and line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lucency.audit.heads import FILE
from lucency.audit.journal import Journal
from lucency.audit.key import Key
from lucency.audit.verify import verify

from .conftest import Clock

NAME = "2026-03-01/one.jsonl"
Change = Callable[[list[bytes]], list[bytes]]


def test_untouched_journal_is_whole(root: Path, key: Key) -> None:
    """Nothing is found, and all lines are counted."""
    report = verify(root, key)

    assert report.problems == []
    assert (report.files, report.lines) == (1, 6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: [*x[:2], x[2].replace(b"p1", b"p9"), *x[3:]], "line 3: edited"),
        (lambda x: [*x[:5], x[5].replace(b"p4", b"p9")], "line 6: edited"),
        (lambda x: [*x[:2], *x[3:]], "line 3: removed: 1 line(s) before the one numbered 4"),
        (lambda x: x[2:], "line 1: removed: 2 line(s) before the one numbered 3"),
        (lambda x: [*x[:2], x[3], x[2], *x[4:]], "line 3: reordered: line 4"),
        (lambda x: [*x[:3], x[1], *x[3:]], "line 4: added: a line that bears number 2"),
        (lambda x: [*x[:3], b"{}\n", *x[3:]], "line 4: edited"),
        (lambda x: x[:4], "line 5: cut off: it has 4 lines, the heads had seen 6"),
        (lambda x: [], "line 1: cut off: it has 0 lines"),
    ],
    ids=["edited", "last", "removed", "first", "moved", "copied", "strange", "cut", "emptied"],
)
def test_changed_line_is_found(root: Path, key: Key, change: Change, told: str) -> None:
    """The file, the line and what was done to it are named."""
    path = root / NAME
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    (problem,) = verify(root, key).problems

    assert str(problem).startswith(f"{NAME} {told}")


def test_file_that_is_gone_is_found(root: Path, key: Key) -> None:
    """The heads had seen it."""
    (root / NAME).unlink()

    (problem,) = verify(root, key).problems

    assert str(problem) == f"{NAME}: removed; the heads had seen 6 lines"


def test_chain_computed_anew_is_found(root: Path, key: Key, tmp_path: Path, clock: Clock) -> None:
    """Who writes another history needs the key, for files and heads alike."""
    forged = Journal(tmp_path / "forged", Key(b"a key that is not theirs"), "one", clock=clock)
    forged.append([{"kind": "prediction", "at": "now", "id": "p9"}])
    forged.close()
    (tmp_path / "forged" / NAME).replace(root / NAME)

    assert [p.what[:16] for p in verify(root, key).problems] == ["sealed under key"]

    (tmp_path / "forged" / FILE).replace(root / FILE)
    assert verify(root, key).problems[0].file == FILE


def test_file_that_was_added_is_found(root: Path, key: Key) -> None:
    """A copy under another name is none of the heads' files."""
    (root / "2026-03-01" / "two.jsonl").write_bytes((root / NAME).read_bytes())

    (problem,) = verify(root, key).problems

    assert "the heads don't know it" in str(problem)


def test_edited_heads_are_found(root: Path, key: Key) -> None:
    """Whoever makes the heads forget a file breaks their chain."""
    lines = (root / FILE).read_bytes().splitlines(keepends=True)
    (root / FILE).write_bytes(b"".join(lines[1:]))

    assert verify(root, key).problems[0].file == FILE


def test_cut_of_both_ends_is_found_with_a_noted_head(root: Path, key: Key) -> None:
    """Heads and file cut together look whole; the head that was noted elsewhere tells."""
    noted = verify(root, key).head
    for path, kept in ((root / FILE, 1), (root / NAME, 1)):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))

    assert verify(root, key).problems == []
    (problem,) = verify(root, key, expect=noted).problems
    assert "its end was cut off" in str(problem)


def test_torn_last_line_is_a_note(tmp_path: Path, key: Key, clock: Clock) -> None:
    """A killed process leaves part of a line that nobody was promised."""
    journal = Journal(tmp_path, key, "one", clock=clock)
    journal.append([{"kind": "prediction"}])
    with (tmp_path / NAME).open("ab") as stream:
        stream.write(b'{"chain":')

    report = verify(tmp_path, key)

    assert report.problems == []
    assert "part of a last line" in report.notes[0]
