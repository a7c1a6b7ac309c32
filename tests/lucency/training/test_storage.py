"""Run folders that fill up, go away and come back."""

import errno
from pathlib import Path

import pytest

from lucency.errors import TrainingError
from lucency.training import storage


def test_full_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A write that fails for want of space is made again until there is some, and says so."""
    monkeypatch.setattr(storage, "_PAUSE_S", 0.01)
    disks = iter([Path("/dev/full"), Path("/dev/full"), tmp_path / "state"])

    storage.patiently(lambda: write(next(disks)), tmp_path, patience_s=10)

    assert (tmp_path / "state").read_text() == "state"
    assert "No space left on device); training waits, up to 10 s more" in capsys.readouterr().err


def test_patience_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder, the cause, and what to do."""
    monkeypatch.setattr(storage, "_PAUSE_S", 0.01)

    with pytest.raises(TrainingError, match=r"No space left.*free space.*same command") as caught:
        storage.patiently(lambda: write(Path("/dev/full")), tmp_path, patience_s=0.05)

    assert str(tmp_path) in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC


def test_other_errors_are_not_waited_for(tmp_path: Path) -> None:
    """Our own mistakes come out at once."""
    with pytest.raises(ZeroDivisionError):
        storage.patiently(lambda: print(1 / 0), tmp_path, patience_s=1000)


def write(path: Path) -> None:
    """Some bytes, flushed."""
    with path.open("w") as stream:
        stream.write("state")
