"""Published files are found in their folders and taken only as they were published."""

import hashlib
from pathlib import Path

import pytest

from lucency.datasets import official
from lucency.errors import DataError

NAMES = ("b.gz", "a.gz")


@pytest.mark.parametrize("place", [".", "inner/raw"])
def test_folder_and_the_one_around_it_are_both_right(tmp_path: Path, place: str) -> None:
    """The files are found in the folder given and where their reader puts them below it."""
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "a.gz").touch()

    assert official.folder(tmp_path, NAMES, below="inner/raw") == tmp_path / place


def test_folder_of_something_else_is_one_line(tmp_path: Path) -> None:
    """A folder without any of the files is answered with what it holds and what it should."""
    (tmp_path / "holiday").mkdir()

    with pytest.raises(DataError) as caught:
        official.folder(tmp_path, NAMES, below="raw")

    assert str(caught.value) == (
        f"folder {str(tmp_path)!r} holds ['holiday']; expected ['a.gz', 'b.gz'], here or in raw/"
    )


def test_missing_folder_is_one_line(tmp_path: Path) -> None:
    """A folder that is not there is named, with the files it should hold."""
    with pytest.raises(DataError, match=r"does not exist; give the one with \['a.gz', 'b.gz'\]"):
        official.folder(tmp_path / "none", NAMES, below="raw")


def test_published_file_is_read(tmp_path: Path) -> None:
    """A file with the published digest is given whole."""
    (tmp_path / "a.gz").write_bytes(b"films")

    assert official.read(tmp_path / "a.gz", hashlib.md5(b"films").hexdigest()) == b"films"


def test_changed_file_is_refused(tmp_path: Path) -> None:
    """A file with another digest is named with both digests, and what to do is said."""
    (tmp_path / "a.gz").write_bytes(b"other films")

    with pytest.raises(DataError, match="It is damaged or of another set") as caught:
        official.read(tmp_path / "a.gz", "0" * 32)

    assert hashlib.md5(b"other films").hexdigest() in str(caught.value)
    assert "verify" in str(caught.value)


def test_without_a_digest_any_file_is_taken(tmp_path: Path) -> None:
    """Who made a file of the same form on purpose can have it read."""
    (tmp_path / "a.gz").write_bytes(b"my films")

    assert official.read(tmp_path / "a.gz", None) == b"my films"


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    """A file that is not there is an error that a person can act on."""
    with pytest.raises(DataError, match=r"a\.gz' can't be read \(No such file or directory\)"):
        official.read(tmp_path / "a.gz", None)
