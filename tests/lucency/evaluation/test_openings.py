"""The lock of the test split: one final model, or a reason in the record."""

from pathlib import Path

import pytest

from lucency.errors import LedgerError, TestSplitOpened
from lucency.evaluation import openings

DATA = "d" * 64


def opened(folder: Path, model: str, **changes: str) -> list[openings.Opening]:
    """An opening for a pneumonia model, unless told otherwise."""
    asked = {"lineage": "pneumonia", "model": model, "data": DATA, **changes}
    return openings.opened(folder, **asked)


def test_opening_says_who_when_and_what(tmp_path: Path) -> None:
    """The record holds both digests, and outlives the process."""
    (entry,) = opened(tmp_path, "first")

    assert (entry["model"], entry["data"], entry["lineage"]) == ("first", DATA, "pneumonia")
    assert entry["who"]
    assert entry["at"].startswith("20")
    assert (tmp_path / openings.FILE).is_file()


def test_same_model_may_look_again(tmp_path: Path) -> None:
    """A report that was lost is made again; the record then shows both."""
    opened(tmp_path, "first")

    assert [entry["model"] for entry in opened(tmp_path, "first")] == ["first", "first"]


def test_second_model_is_refused(tmp_path: Path) -> None:
    """The message says how many were tested, and refusing records nothing."""
    opened(tmp_path, "first")

    for _ in range(2):
        with pytest.raises(TestSplitOpened, match=r"1 other model.*'first'.*reason="):
            opened(tmp_path, "second")


def test_reason_opens_and_is_recorded(tmp_path: Path) -> None:
    """Whoever reads the report sees that another model came before, and why."""
    opened(tmp_path, "first")

    history = opened(tmp_path, "second", reason="the first one was never used")

    assert [entry["reason"] for entry in history] == ["", "the first one was never used"]


def test_model_opened_before_is_let_in_after_another(tmp_path: Path) -> None:
    """Looking at the first model again chooses nothing, whatever came since."""
    opened(tmp_path, "first")
    opened(tmp_path, "second", reason="the first one was never used")

    assert [entry["model"] for entry in opened(tmp_path, "first")] == ["first", "second", "first"]
    with pytest.raises(TestSplitOpened, match=r"2 other model"):
        opened(tmp_path, "third")


@pytest.mark.parametrize("other", [{"lineage": "fracture"}, {"data": "e" * 64}])
def test_other_lineage_and_other_films_are_apart(tmp_path: Path, other: dict[str, str]) -> None:
    """Another task, or a table divided anew, has seen nothing of these films' figures."""
    opened(tmp_path, "first")

    assert len(opened(tmp_path, "second", **other)) == 1


def test_edited_record_opens_nothing(tmp_path: Path) -> None:
    """Whoever edits the first model out of the record can't open the split with a second one."""
    opened(tmp_path, "first")
    path = tmp_path / openings.FILE
    path.write_text(path.read_text().replace("first", "second"))

    with pytest.raises(LedgerError):
        opened(tmp_path, "second")
