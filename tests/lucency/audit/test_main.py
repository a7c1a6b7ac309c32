"""The commands: ``python -m lucency.audit``."""

import json
from pathlib import Path

import pytest

from lucency.audit.__main__ import main

from .conftest import Clock
from .test_retention import logs as logs


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCENCY_LOG_KEY", "sixteen bytes or more")


def test_verify_tells_programs_and_people(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0 and the head to be noted; after an edit status 1, file and line."""
    assert main(["verify", str(logs)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["audit"]["lines"], len(told["audit"]["head"])) == (True, 7, 64)
    path = logs / "audit" / "2026-03-01" / "one.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"id":"b"', b'"id":"z"'))

    assert main(["verify", str(logs), "--expect", told["audit"]["head"]]) == 1

    shown = capsys.readouterr()
    assert shown.err == "error: audit/2026-03-01/one.jsonl line 3: edited\n"
    assert json.loads(shown.out)["ok"] is False


def test_purge_keeps_verification_whole(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the clock of the wall both days are as old as they are; what is in use stays."""
    assert main(["purge", str(logs), "--older-than", "0d", "--only", "audit"]) == 0
    assert main(["verify", str(logs)]) == 0


@pytest.mark.parametrize(
    "arguments", [["verify", "nowhere"], ["purge", "."]], ids=["no logs", "no age"]
)
def test_mistake_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is said."""
    assert main(arguments) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_show_prints_the_last_lines(
    logs: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oldest first, without the beginnings of files."""
    assert main(["show", str(logs), "--last", "2"]) == 0

    lines = capsys.readouterr().err.splitlines()
    assert [line[-1] for line in lines] == ["d", "e"]


def test_recover_counts_parts(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is left to recover where every replica rolled its own."""
    assert main(["recover", str(logs)]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "parts": 0}


@pytest.mark.parametrize(
    ("line", "told"),
    [(["verifi", "logs"], "verifi"), (["purge", "logs", "--older-than", "soon"], "such as 90d")],
)
def test_wrong_command_line_is_told_to_programs_too(
    line: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, one line for people and one object for programs; nothing leaves the process."""
    assert main(line) == 2

    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert told in json.loads(shown.out)["error"]
