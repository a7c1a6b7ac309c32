"""Servers of the serving benchmark: all of their processes are counted, and ended."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.serving_hosts import hear, say, started, watch_idle
from tests.processes import alive

# A child that leaves its parent, as daemons do, and then works for longer than the test takes.
_DAEMON = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pass
    os._exit(0)
os.wait()
time.sleep(60)
"""
_ECHO = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"


def test_a_daemon_is_counted_and_ended(tmp_path: Path) -> None:
    """What left the process that started it is still the server's: its time, and its end."""
    with started("busy", [sys.executable, "-c", _DAEMON], tmp_path) as host:
        end = time.monotonic() + 10
        while len(host.tree()) < 2 or host.cpu_s() < 0.1:
            assert time.monotonic() < end
            time.sleep(0.05)
        (share,) = watch_idle([host], 0.5).values()
        tree = host.tree()

    assert share > 0.05
    assert alive([process.pid for process in tree]) == []


def test_a_process_that_listens_is_told_and_heard(tmp_path: Path) -> None:
    """One line of JSON each way."""
    command = [sys.executable, "-c", _ECHO]

    with started("echo", command, tmp_path, stdin=subprocess.PIPE) as host:
        say(host, {"films": 3})
        assert hear(host) == {"films": 3}


def test_a_server_that_ends_at_once_is_reported(tmp_path: Path) -> None:
    """Who can't start says where its own words are."""
    command = [sys.executable, "-c", "raise SystemExit('no model')"]

    with (
        pytest.raises(SystemExit, match=r"broken did not start; .*broken\.log"),
        started("broken", command, tmp_path, port=1),
    ):
        pass

    assert "no model" in (tmp_path / "broken.log").read_text()
