"""A journal read while it grows."""

import os
from datetime import date
from pathlib import Path

from serve.tail import Tail

DAY = date(2026, 3, 2)


def write(root: Path, name: str, text: str) -> Path:
    """Add to a file of the journal."""
    path = root / f"{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as stream:
        stream.write(text)
    return path


def test_every_line_comes_once(tmp_path: Path) -> None:
    """Of all replicas and days; of those that are there, then of those that were added."""
    tail = Tail(tmp_path)
    write(tmp_path, "2026-03-02/a", "1\n2\n")
    write(tmp_path, "2026-03-02/b", "3\n")
    first = tail.lines(DAY)
    write(tmp_path, "2026-03-02/a", "4\n")
    write(tmp_path, "2026-03-03/c", "5\n")

    assert first == ([b"1\n", b"2\n", b"3\n"], True)
    assert tail.lines(DAY) == ([b"4\n", b"5\n"], True)
    assert tail.lines(DAY) == ([], True)


def test_part_of_a_line_waits_for_its_end(tmp_path: Path) -> None:
    """A replica may be writing it at this moment."""
    tail = Tail(tmp_path)
    write(tmp_path, "2026-03-02/a", "whole\nha")
    first = tail.lines(DAY)
    write(tmp_path, "2026-03-02/a", "lf\n")

    assert first == ([b"whole\n"], True)
    assert tail.lines(DAY) == ([b"half\n"], True)


def test_long_log_is_read_in_parts(tmp_path: Path) -> None:
    """About a block at a reading, without a gap, until it says that this was all."""
    tail = Tail(tmp_path, block_bytes=100)
    text = "".join(f"{number:06}\n" for number in range(200))
    write(tmp_path, "2026-03-02/a", text[:700])
    write(tmp_path, "2026-03-03/b", text[700:])

    readings = [tail.lines(DAY)]
    while not readings[-1][1]:
        readings.append(tail.lines(DAY))

    assert len(readings) > 8
    assert max(len(b"".join(lines)) for lines, _ in readings) <= 200
    assert b"".join(line for lines, _ in readings for line in lines) == text.encode()


def test_old_days_are_left_out(tmp_path: Path) -> None:
    """What is too old to count is not read at all."""
    write(tmp_path, "2026-03-01/a", "old\n")
    write(tmp_path, "2026-03-02/a", "new\n")

    assert Tail(tmp_path).lines(DAY) == ([b"new\n"], True)


def test_file_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    """A writer takes back what the disk refused; what it wrote instead must not be missed."""
    tail = Tail(tmp_path)
    path = write(tmp_path, "2026-03-02/a", "1\n2\n3\n")
    tail.lines(DAY)
    os.truncate(path, 2)
    write(tmp_path, "2026-03-02/a", "4\n")

    assert tail.lines(DAY) == ([b"1\n", b"4\n"], True)


def test_file_that_is_deleted_is_no_error(tmp_path: Path) -> None:
    """Another replica may purge a day at any time."""
    tail = Tail(tmp_path)
    write(tmp_path, "2026-03-02/a", "1\n")
    gone = tmp_path / "2026-03-02" / "b.jsonl"
    gone.symlink_to(tmp_path / "nowhere")

    assert tail.lines(DAY) == ([b"1\n"], True)
