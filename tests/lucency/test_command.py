"""How a job ends: exit status, last line of stdout, words for people on stderr."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lucency import command
from lucency.config.node import Node
from lucency.errors import DataError, GateRefused

Run = Callable[..., tuple[int, dict[str, Any], str]]


class Trip(Node):
    """What the job of these tests may be told."""

    days: int = 1
    fresh: bool = False
    name: str = "tour"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs an action as a job; gives exit status, the last line of stdout, and stderr."""
    path = tmp_path / "trip.yaml"
    path.write_text("days: 2\n")
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def run(action: Callable[[Trip], Mapping[str, Any]], *arguments: str) -> tuple[Any, ...]:
        with pytest.raises(SystemExit) as left:
            command.run(Trip, action, "A trip.", [str(path), *arguments])
        printed = capsys.readouterr()
        return left.value.code, json.loads(printed.out.splitlines()[-1]), printed.err

    yield run
    for each, handler in before.items():
        signal.signal(each, handler)


def echo(config: Trip) -> Mapping[str, Any]:
    """A job that reports its configuration."""
    print("a library's chatter")
    return config.plain()


def test_success_is_zero_and_json(run: Run) -> None:
    """A job that is done exits with 0, and its last line of stdout is its result."""
    code, result, _ = run(echo)

    assert code == 0
    assert result == {"ok": True, "days": 2, "fresh": False, "name": "tour"}


def test_overrides_change_the_file(run: Run) -> None:
    """``a=b`` after the file changes a value of it."""
    _, result, _ = run(echo, "days=5", "name=walk")

    assert (result["days"], result["name"]) == (5, "walk")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fresh",),
        ("--fresh=true",),
        ("fresh=true",),
        ("days=2", "--fresh"),
        ("--fresh", "days=2"),
    ],
)
def test_flag_is_short_for_true(run: Run, arguments: tuple[str, ...]) -> None:
    """``--key`` means ``key=true``, wherever it stands."""
    code, result, _ = run(echo, *arguments)

    assert code == 0
    assert result["fresh"] is True
    assert result["days"] == 2


def test_failure_is_one(run: Run) -> None:
    """An error that a person can correct exits with 1 and is said to people and programs."""

    def fail(config: Trip) -> Mapping[str, Any]:
        raise DataError("no film\ngive a folder")

    code, result, people = run(fail)

    assert code == 1
    assert result == {"ok": False, "error": "no film\ngive a folder", "kind": "DataError"}
    assert people.splitlines() == ["error: no film", "error: give a folder"]


def test_wrong_configuration_is_two(run: Run) -> None:
    """A misspelt override exits with 2 before the job starts."""
    code, result, people = run(pytest.fail, "dyas=3")

    assert code == 2
    assert result["kind"] == "ConfigError"
    assert "did you mean 'days'?" in people


def test_refusal_is_three_and_keeps_the_figures(run: Run) -> None:
    """A refusal by the gate exits with 3 and gives programs the figures."""

    def refuse(config: Trip) -> Mapping[str, Any]:
        raise GateRefused("0.81 is under 0.9", {"sensitivity": 0.81})

    code, result, people = run(refuse)

    assert code == 3
    assert (result["ok"], result["sensitivity"]) == (False, 0.81)
    assert people == "error: 0.81 is under 0.9\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_is_130(run: Run, number: signal.Signals) -> None:
    """Ctrl-C and a supervisor's SIGTERM both unwind the job and exit with 130."""

    def interrupted(config: Trip) -> Mapping[str, Any]:
        os.kill(os.getpid(), number)
        raise AssertionError("the signal should have ended this")

    code, result, people = run(interrupted)

    assert code == 130
    assert result == {"ok": False, "error": "interrupted", "kind": "KeyboardInterrupt"}
    assert people.startswith("interrupted")


def test_second_interrupt_does_not_undo_the_first(run: Run) -> None:
    """Ctrl-C pressed again while a job ends is answered, and the job ends in order."""
    ended = []

    def interrupted(config: Trip) -> Mapping[str, Any]:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            ended.append(config.name)
        raise AssertionError("the signal should have ended this")

    code, _, people = run(interrupted)

    assert code == 130
    assert ended == ["tour"]
    assert [line.split(";")[0].split(":")[0] for line in people.splitlines()] == [
        "still ending",
        "interrupted",
    ]


def test_what_the_system_refuses_is_one_clear_line(run: Run, tmp_path: Path) -> None:
    """A folder under a file, or a disk that is full, is told with its path and without a trace."""
    wrong = tmp_path / "trip.yaml" / "out"

    def write(config: Trip) -> Mapping[str, Any]:
        wrong.mkdir(parents=True)
        return {}

    def fill(config: Trip) -> Mapping[str, Any]:
        with Path("/dev/full").open("wb", buffering=0) as stream:
            stream.write(b"1")
        return {}

    code, result, people = run(write)
    full, _, told = run(fill)

    assert (code, full) == (1, 1)
    assert result == {"ok": False, "error": people[7:-1], "kind": "NotADirectoryError"}
    assert people == f"error: {str(wrong)!r}: Not a directory\n"
    assert told == "error: No space left on device\n"


def test_command_line_without_a_configuration_is_two(capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is told as everything else that is wrong with a configuration."""
    with pytest.raises(SystemExit) as left:
        command.run(Trip, echo, "A trip.", [])

    printed = capsys.readouterr()
    assert left.value.code == 2
    assert "required: config; usage" in json.loads(printed.out)["error"]
    assert printed.err.count("\n") == 1


def test_help_names_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """A person who asks a job for help is told what it may be told."""
    with pytest.raises(SystemExit):
        command.run(Trip, echo, "A trip.", ["--help"])

    assert "Keys: days, fresh, name" in capsys.readouterr().out


def test_our_own_mistakes_keep_their_traceback(run: Run) -> None:
    """An error that nobody's input explains is not dressed up as one."""

    def broken(config: Trip) -> Mapping[str, Any]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(broken)


def test_nobodys_error_is_told_to_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    """The traceback is for people; the last line of stdout is one JSON object all the same."""
    mistake = ZeroDivisionError("by zero")

    sys.excepthook(ZeroDivisionError, mistake, None)

    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "ok": False,
        "error": "ZeroDivisionError: by zero",
        "kind": "ZeroDivisionError",
    }
    assert "ZeroDivisionError: by zero" in printed.err
