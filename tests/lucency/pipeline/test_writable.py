"""A folder to write to is asked for before the work."""

from pathlib import Path

import pytest

from lucency.pipeline import writable


def test_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    """What was tried in it is gone."""
    writable.ready(tmp_path / "a" / "b")

    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("folder", ["taken/out", "taken"])
def test_folder_that_cannot_be_is_refused_with_its_path(tmp_path: Path, folder: str) -> None:
    """A file is in the way."""
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(OSError, match="taken"):
        writable.ready(tmp_path / folder)


def test_folder_that_takes_no_files_is_refused() -> None:
    """It may be there and not be writable, as what the kernel shows of a process."""
    with pytest.raises(OSError, match=r"/proc/self") as refused:
        writable.ready(Path("/proc/self"))

    assert refused.value.filename is not None
