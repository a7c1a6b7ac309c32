"""Files are seen whole or not at all; equal values have equal digests."""

import hashlib
import os
from pathlib import Path

import pytest

from lucency import files


def test_atomic_file_takes_its_place(tmp_path: Path) -> None:
    """After the block the name holds the new bytes, missing folders included, and nothing else."""
    path = tmp_path / "new" / "note.txt"

    with files.atomic_file(path) as temporary:
        temporary.write_text("whole")

    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["note.txt"]


def test_atomic_file_keeps_the_old_on_error(tmp_path: Path) -> None:
    """A block that fails half-way leaves the old file and no temporary one."""
    path = tmp_path / "note.txt"
    path.write_text("old")

    def fail() -> None:
        with files.atomic_file(path) as temporary:
            temporary.write_text("ha")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["note.txt"]


def test_old_file_is_seen_until_the_block_ends(tmp_path: Path) -> None:
    """A reader during the block still reads the old bytes."""
    path = tmp_path / "note.txt"
    path.write_text("old")

    with files.atomic_file(path) as temporary:
        temporary.write_text("new")
        during = path.read_text()

    assert (during, path.read_text()) == ("old", "new")


def test_atomic_file_is_readable_by_others(tmp_path: Path) -> None:
    """A temporary file belongs to one user; the finished one may be read by the service's."""
    path = tmp_path / "note.txt"

    files.write_text(path, "for all")

    assert path.stat().st_mode & 0o777 == 0o644


def test_atomic_folder_replaces_the_whole_folder(tmp_path: Path) -> None:
    """What the old folder held is gone, what the block wrote is there, nothing lies beside it."""
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "stale").touch()

    with files.atomic_folder(path) as temporary:
        (temporary / "fresh").touch()

    assert os.listdir(path) == ["fresh"]
    assert os.listdir(tmp_path) == ["bundle"]


def test_atomic_folder_keeps_the_old_on_error(tmp_path: Path) -> None:
    """A block that fails leaves the old folder as it was and no temporary one."""
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "old").touch()

    def fail() -> None:
        with files.atomic_folder(path) as temporary:
            (temporary / "fresh").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["bundle"]


def test_atomic_folder_comes_back_when_stopped_while_swapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt after the old folder moved away and before the new one came restores the old."""
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "old").touch()
    replace = os.replace

    def interrupted(source: Path, target: Path) -> None:
        if target == path and not source.name.endswith(".old"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), files.atomic_folder(path):
        pass

    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["bundle"]


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    """Each appended value is read again, also where its text holds line breaks."""
    path = tmp_path / "log" / "history.jsonl"
    values = [{"b": 1, "a": "two\nlines\u2028"}, [3], None]

    for value in values:
        files.append_line(path, value)

    assert files.read_lines(path) == values


@pytest.mark.parametrize("cut", [1, 3])
def test_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    """A process killed while it appended costs that line alone; the next one stands by itself."""
    path = tmp_path / "log.jsonl"
    for value in (1, [2, 3]):
        files.append_line(path, value)
    path.write_bytes(path.read_bytes()[:-cut])

    assert files.read_lines(path) == [1]

    files.append_line(path, 4)
    assert files.read_lines(path) == [1, 4]


def test_missing_log_has_no_lines(tmp_path: Path) -> None:
    """A log that nothing was appended to reads as empty."""
    assert files.read_lines(tmp_path / "history.jsonl") == []


def test_json_file_is_sorted_and_ends_with_a_line(tmp_path: Path) -> None:
    """The same values give the same bytes, whatever the order they were collected in."""
    first, second = tmp_path / "a.json", tmp_path / "b.json"

    files.write_json(first, {"b": 1, "a": tmp_path})
    files.write_json(second, {"a": tmp_path, "b": 1})

    assert first.read_bytes() == second.read_bytes()
    assert first.read_text().endswith("}\n")


def test_digest_ignores_the_order_of_keys() -> None:
    """Equal values have equal digests, and a path counts as its text."""
    one = files.digest({"a": Path("x/y"), "b": [1, 2]})

    assert one == files.digest({"b": [1, 2], "a": "x/y"})
    assert one != files.digest({"b": [2, 1], "a": "x/y"})


def test_digests_are_plain_sha256(tmp_path: Path) -> None:
    """Anyone can check a digest with ``sha256sum``."""
    path = tmp_path / "film"
    path.write_bytes(b"film")

    expected = hashlib.sha256(b"film").hexdigest()

    assert files.sha256(b"film") == files.sha256_file(path) == expected
