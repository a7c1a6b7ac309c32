"""A file that changes under a running service."""

import logging
import os
from pathlib import Path

import pytest

from lucency.errors import ConfigError
from serve.watched import Watched


def number(data: bytes) -> int:
    """The file's content, which must be a number."""
    if not data.isdigit():
        raise ConfigError("found no number")
    return int(data)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good file."""
    path = tmp_path / "number"
    path.write_text("1")
    return path


def test_change_is_seen(file: Path) -> None:
    """New content counts without a restart, also of the same size and time."""
    watched = Watched(file, number, every_s=0)
    before = file.stat()

    other = file.with_name("other")
    other.write_text("2")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)

    assert watched.value() == 2


def test_swapped_link_is_seen(tmp_path: Path) -> None:
    """A secret that Kubernetes mounts is a link to a folder, which it swaps for another."""
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(name)
    link = tmp_path / "data"
    link.symlink_to("1")
    watched = Watched(link / "number", number, every_s=0)

    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").replace(link)

    assert watched.value() == 2


@pytest.mark.parametrize("content", ["none", None])
def test_broken_change_keeps_what_was_good(
    file: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken or lost file is one line in the log; mended, it counts again."""
    watched = Watched(file, number, every_s=0)

    file.unlink()
    if content is not None:
        file.write_text(content)
    values = [watched.value() for _ in range(3)]
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    file.write_text("22")

    assert values == [1, 1, 1]
    assert len(said) == 1
    assert "what was read before stays in force" in said[0].message
    assert watched.value() == 22


def test_file_is_not_looked_at_in_each_request(file: Path) -> None:
    """Within the interval nothing is read, so that a flood of requests is none of stat calls."""
    watched = Watched(file, number, every_s=3600)

    file.write_text("22")

    assert watched.value() == 1


def test_first_reading_must_be_good(file: Path) -> None:
    """A service does not start with a file that is broken or not there."""
    file.write_text("none")
    with pytest.raises(ConfigError, match="number: found no number"):
        Watched(file, number)
    with pytest.raises(ConfigError, match="lost can't be read: No such file"):
        Watched(file.with_name("lost"), number)
