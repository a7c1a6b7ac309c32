"""Whether the tests that a release rests on were run on this code, and passed."""

import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from lucency.errors import DataError

_PATIENCE_S = 900.0
_BAD = ("failure", "error")


def run(root: Path, tests: Sequence[Path], patience_s: float = _PATIENCE_S) -> bytes:
    """
    Run test files with pytest; the JUnit report, whether they pass or not.

    Raises:
        DataError: pytest made no report, or did not end in time; then nothing of it is left.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "junit.xml"
        # Nothing is written into the tree, whose state is looked at before and after.
        command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        said = _ended([*command, f"--junitxml={report}", *map(str, tests)], root, patience_s)
        if not report.is_file():
            last = said.strip().splitlines()[-1:] or ["it said nothing"]
            raise DataError(
                f"pytest did not run in {str(root)!r}: {last[0]}; "
                "install the development group, or give junit=FILE of a run elsewhere"
            )
        return report.read_bytes()


def _ended(command: Sequence[str], root: Path, patience_s: float) -> str:
    """What a command said until it ended."""
    with subprocess.Popen(
        command,
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What the tests start belongs to one group, so that it can be ended with them.
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(timeout=patience_s)[0]
        except subprocess.TimeoutExpired as cause:
            raise DataError(
                f"the tests did not end within {patience_s:.0f} s in {str(root)!r}: run them there "
                "by hand to see which one hangs, or give junit=FILE of a run elsewhere"
            ) from cause
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def faults(report: bytes, tests: Sequence[Path], since: datetime | None) -> list[str]:
    """
    What speaks against a JUnit report; nothing is good.

    Args:
        tests: Files that must have been run, relative to the root.
        since: Time of the code's revision: an older report is of other code. None for a report
            that was made just now.

    Raises:
        DataError: it is no JUnit report.
    """
    try:
        tree = ElementTree.fromstring(report)
    except ElementTree.ParseError as cause:
        raise DataError(f"the test report is no JUnit XML: {cause}") from cause
    found = []
    if since is not None and (when := _when(tree)) < since:
        found.append(f"the report is of {when:%Y-%m-%d %H:%M}, older than the code's revision")
    for test in tests:
        module = test.with_suffix("").as_posix().replace("/", ".")
        cases = [case for case in tree.iter("testcase") if _of(case, module)]
        bad = sum(any(case.find(kind) is not None for kind in _BAD) for case in cases)
        passed = sum(not len(case) or case.find("system-out") is not None for case in cases) - bad
        if bad:
            found.append(f"{test}: {bad} of {len(cases)} tests fail")
        elif passed < 1:
            found.append(f"{test}: no test of it passed")
    return found


def _of(case: ElementTree.Element, module: str) -> bool:
    name = case.get("classname", "")
    return name == module or name.startswith(f"{module}.")


def _when(tree: ElementTree.Element) -> datetime:
    """When the oldest part of a report was made; the beginning of time where it does not say."""
    times = [each.get("timestamp") for each in tree.iter("testsuite")]
    if not times or None in times:
        return datetime.min.replace(tzinfo=UTC)
    parsed = [datetime.fromisoformat(str(each)) for each in times]
    return min(each if each.tzinfo else each.astimezone() for each in parsed)
