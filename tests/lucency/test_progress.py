"""People read stderr; stdout stays for the result."""

import pytest

from lucency import progress


def test_people_are_spoken_to_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for people never mixes with a program's output."""
    progress.say("films checked")

    assert capsys.readouterr() == ("", "films checked\n")


def test_stage_says_its_name_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage is announced before its work and timed after it."""
    with progress.stage("train"):
        progress.say("working")

    first, second, last = capsys.readouterr().err.splitlines()
    assert (first, second) == ("==> train", "working")
    assert last.strip().startswith("train: 0.")


def test_tracked_items_pass_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    """Tracking gives every item on, in order, and ends with how many there were."""
    passed = list(progress.track(iter("abc"), "checked", 3, "films"))

    printed = capsys.readouterr()
    assert passed == ["a", "b", "c"]
    assert "3/3" in printed.err
    assert "films" in printed.err
    assert not printed.out


def test_log_is_not_flooded(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no terminal listens, a thousand quick steps are not a thousand lines."""
    with progress.meter("epoch", 1000, "films") as bar:
        for _ in range(1000):
            bar.update()

    assert capsys.readouterr().err.count("epoch") <= 3
