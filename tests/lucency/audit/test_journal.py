"""Journals: what was acknowledged is there, whatever happens to the process or the disk."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lucency.audit.heads import Heads
from lucency.audit.journal import Journal, LogBroken, in_use
from lucency.audit.key import Key
from lucency.audit.verify import verify

from .conftest import Clock

SECRET = b"sixteen bytes or more"
SETUP = f"""
import sys, time
from pathlib import Path
from lucency.audit.journal import Journal, LogBroken
from lucency.audit.key import Key
journal = Journal(Path(sys.argv[1]), Key({SECRET!r}), sys.argv[2], anchor_s=0.01)
"""


def child(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """A process that writes a journal."""
    return subprocess.Popen(
        [sys.executable, "-c", SETUP + textwrap.dedent(code), *arguments],
        env={"PYTHONPATH": "platform", "PATH": os.environ["PATH"]},
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
    )


def ids(root: Path) -> list[int]:
    """Every id in whole lines of a journal."""
    lines = [
        line
        for path in sorted(root.glob("*/*.jsonl"))
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]
    return [value["id"] for value in map(json.loads, lines) if "id" in value]


def test_lines_are_numbered_across_groups(root: Path) -> None:
    """The beginning is line 1; groups go on where the last one ended."""
    lines = (root / "2026-03-01" / "one.jsonl").read_text().splitlines()

    assert [json.loads(line)["n"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_next_day_has_a_file_that_names_the_one_before(
    tmp_path: Path, key: Key, clock: Clock
) -> None:
    """The day is sealed, and the next one begins with its last digest."""
    journal = Journal(tmp_path, key, "one", clock=clock)
    journal.append([{"id": 1}])
    clock.turn(days=1)
    journal.append([{"id": 2}])

    first, second = sorted(tmp_path.glob("*/*.jsonl"))
    last = json.loads(first.read_text().splitlines()[-1])
    begin = json.loads(second.read_text().splitlines()[0])
    assert begin["previous"] == {"file": "2026-03-01/one.jsonl", "digest": last["chain"]}
    assert [entry["kind"] for entry in Heads(tmp_path, key).entries()] == [
        *("opened", "sealed", "opened")
    ]
    assert not in_use(first)
    assert in_use(second)


def test_same_name_goes_on_after_a_torn_line(tmp_path: Path, key: Key, clock: Clock) -> None:
    """Part of a line makes room for the next whole one."""
    before = Journal(tmp_path, key, "one", clock=clock)
    before.append([{"id": 1}])
    before.close()
    with (tmp_path / "2026-03-01" / "one.jsonl").open("ab") as stream:
        stream.write(b'{"torn')

    Journal(tmp_path, key, "one", clock=clock).append([{"id": 2}])

    assert ids(tmp_path) == [1, 2]
    assert verify(tmp_path, key).problems == []


def test_second_writer_of_a_file_is_refused(tmp_path: Path, key: Key, clock: Clock) -> None:
    """Two processes of one name would break each other's chain."""
    Journal(tmp_path, key, "one", clock=clock).append([{"id": 1}])
    holder = Journal(tmp_path, key, "two", clock=clock)
    holder.append([{"id": 1}])

    with pytest.raises(LogBroken, match="can't be written"):
        Journal(tmp_path, key, "two", clock=clock).append([{"id": 2}])


def test_killed_process_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """kill -9 at six random moments: every id that came back stands in the log, which verifies."""
    chance = random.Random(7)
    promised: list[int] = []
    for number in range(6):
        process = child(
            """
            for n in range(10_000_000):
                group = [{"id": int(sys.argv[3]) * 10_000_000 + 3 * n + k} for k in range(3)]
                journal.append(group)
                print(*(each["id"] for each in group), flush=True)
            """,
            *(str(tmp_path), f"replica-{number % 3}", str(number)),
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 150)):
            promised += map(int, process.stdout.readline().split())
        os.kill(process.pid, signal.SIGKILL)
        for line in process.stdout:
            promised += map(int, line.split()) if line.endswith("\n") else []
        process.wait()
        process.stdout.close()

    found = ids(tmp_path)
    assert promised
    assert set(promised) <= set(found)
    assert len(found) == len(set(found))
    assert verify(tmp_path, Key(SECRET)).problems == []


def test_full_disk_takes_all_or_nothing_and_mends_itself(tmp_path: Path) -> None:
    """
    At a limit of the file's size (as on a full disk, writes come back short) a group fails whole;
    with space again the same journal goes on, and its chain is whole.
    """
    process = child(
        """
        import resource
        journal.append([{"id": 0}])
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (1200, hard))
        answers = []
        for n in range(1, 9):
            try:
                journal.append([{"id": n, "text": "x" * 100}, {"id": n + 100, "text": "x" * 100}])
                answers.append(n)
            except LogBroken as error:
                assert "File too large" in str(error), error
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        journal.append([{"id": 99}])
        print(*answers)
        """,
        *(str(tmp_path), "one"),
    )
    out, _ = process.communicate(timeout=60)

    taken = [int(word) for word in out.split()]
    assert process.returncode == 0
    assert 0 < len(taken) < 8
    assert ids(tmp_path) == [0, *(x for n in taken for x in (n, n + 100)), 99]
    assert verify(tmp_path, Key(SECRET)).problems == []
