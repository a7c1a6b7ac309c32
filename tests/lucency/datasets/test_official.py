"""Published files are found in their folders and taken only as they were published."""

import hashlib
import os
from pathlib import Path

import pytest

from lucency.datasets import official
from lucency.datasets.fetch import Remote
from lucency.errors import DataError

NAMES = ("b.gz", "a.gz")
URL = "https://films.test/"


@pytest.mark.parametrize("place", [".", "inner/raw"])
def test_folder_and_the_one_around_it_are_both_right(tmp_path: Path, place: str) -> None:
    """The files are found in the folder given and where their reader puts them below it."""
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "a.gz").touch()

    assert official.folder(tmp_path, NAMES, below="inner/raw", published=URL) == tmp_path / place


def test_folder_of_something_else_is_one_line(tmp_path: Path) -> None:
    """A folder without any of the files is answered with what it holds and what it should."""
    (tmp_path / "holiday").mkdir()

    with pytest.raises(DataError) as caught:
        official.folder(tmp_path, NAMES, below="raw", published=URL)

    assert str(caught.value) == (
        f"folder {str(tmp_path)!r} holds ['holiday']; expected ['a.gz', 'b.gz'], here or in raw/"
        "; it is published at 'https://films.test/': put it there by hand, or let it be fetched "
        "with dataset.download=true"
    )


def test_missing_folder_is_one_line(tmp_path: Path) -> None:
    """A folder that is not there is named, with the files it should hold."""
    with pytest.raises(DataError, match=r"does not exist; give the one with \['a.gz', 'b.gz'\]"):
        official.folder(tmp_path / "none", NAMES, below="raw", published=URL)


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


def test_folder_to_be_filled_need_not_exist(tmp_path: Path) -> None:
    """Where files may be fetched, the folder is the one in which their reader looks for them."""
    found = official.folder(tmp_path / "none", NAMES, below="raw", published=URL, download=True)

    assert found == tmp_path / "none" / "raw"


def test_missing_file_is_offered_and_not_fetched(tmp_path: Path) -> None:
    """Nothing is fetched unasked: what is missing, where it is and how to get it is told."""
    with pytest.raises(DataError) as caught:
        official.complete(tmp_path, {"a.gz": Remote(URL + "a.gz", "0" * 32, 9)}, download=False)

    assert str(caught.value) == (
        f"'{tmp_path}/a.gz' is missing; it is published at 'https://films.test/a.gz': put it "
        "there by hand, or let it be fetched with dataset.download=true"
    )


def test_file_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    """A local file is somebody's, whatever it holds: no server is asked for it."""
    (tmp_path / "a.gz").write_bytes(b"mine")

    official.complete(tmp_path, {"a.gz": Remote(URL + "a.gz", "0" * 32, 9)}, download=True)

    assert (tmp_path / "a.gz").read_bytes() == b"mine"


@pytest.mark.parametrize("mirror", ["https://films.test", "https://films.test/"])
def test_address_has_one_slash(mirror: str) -> None:
    """A mirror is given with a slash at its end or without one."""
    assert official.address(mirror, "a.gz") == "https://films.test/a.gz"


def test_pipe_is_no_published_file(tmp_path: Path) -> None:
    """A pipe of the right name is refused; to read it would wait for ever."""
    os.mkfifo(tmp_path / "a.gz")

    with pytest.raises(DataError, match="it is no regular file"):
        official.read(tmp_path / "a.gz", None)


def test_endless_file_is_no_published_file(tmp_path: Path) -> None:
    """A file larger than any of a set is refused, however much of it is holes."""
    with (tmp_path / "a.gz").open("wb") as stream:
        stream.truncate(2**40)

    with pytest.raises(DataError, match="or has more than 1073741824 bytes"):
        official.read(tmp_path / "a.gz", None)


def test_file_is_held_against_an_md5(tmp_path: Path) -> None:
    """The MD5 that was asked for passes in any case of letters, another one is told."""
    (tmp_path / "a.npz").write_bytes(b"films")

    official.compare(tmp_path / "a.npz", hashlib.md5(b"films").hexdigest().upper())
    with pytest.raises(DataError, match="it is damaged or another edition"):
        official.compare(tmp_path / "a.npz", "0" * 32)
