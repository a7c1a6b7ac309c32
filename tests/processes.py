"""Processes that a test starts: their tree, free ports, waiting, and an end by their own ids."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    """A TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_job(
    name: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    """``python jobs/NAME.py ARGUMENTS`` from the root, in a process group of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, f"jobs/{name}.py", *arguments],
        cwd=ROOT,
        env={**clean, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_job(
    name: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a job to its end."""
    process = start_job(name, *arguments, environment=environment)
    out, err = process.communicate(timeout=280)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def descendants(root: int) -> dict[int, str]:
    """Living processes below a process: id -> command line."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                if status[0] != "Z":
                    parents.setdefault(int(status[1]), []).append(int(entry.name))
    found: dict[int, str] = {}
    waiting = [root]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{child}/cmdline").read_bytes()
                found[child] = line.replace(b"\0", b" ").decode(errors="replace")
            waiting.append(child)
    return found


def wait_until(truth: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Look four times a second; fail with what was waited for."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if truth():
            return
        time.sleep(0.25)
    raise AssertionError(f"waited {timeout_s} s in vain for {what}")


def alive(ids: Sequence[int]) -> list[int]:
    """Those of the given processes that still run (a zombie does not)."""
    found = []
    for number in ids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(number)
    return found


@contextlib.contextmanager
def ending(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """End a process and everything below it, whatever the block does."""
    try:
        yield process
    finally:
        below = list(descendants(process.pid))
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for number in alive([process.pid, *below]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.wait(20)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
