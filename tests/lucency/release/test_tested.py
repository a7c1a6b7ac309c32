"""Reports of tests, and whether a release may rest on them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lucency.errors import DataError
from lucency.release import tested
from tests.lucency.release.conftest import junit

TESTS = (Path("tests/test_right.py"),)
REVISED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "inside", "fault"),
    [
        ("2026-01-02T00:00:00+00:00", "", None),
        ("2025-12-31T00:00:00+00:00", "", "older than the code's revision"),
        ("2026-01-02T00:00:00+00:00", "<failure/>", "1 of 1 tests fail"),
        ("2026-01-02T00:00:00+00:00", "<error/>", "1 of 1 tests fail"),
        ("2026-01-02T00:00:00+00:00", "<skipped/>", "no test of it passed"),
    ],
)
def test_only_a_new_report_of_passed_tests_counts(
    tmp_path: Path, when: str, inside: str, fault: str | None
) -> None:
    """Old, failed and skipped tests prove nothing."""
    report = junit(tmp_path / "junit.xml", when, inside).read_bytes()

    found = tested.faults(report, TESTS, REVISED)

    assert found == [] if fault is None else fault in found[0]


def test_a_file_that_was_not_run_is_missed(tmp_path: Path) -> None:
    """The report has to speak of every file asked for."""
    report = junit(tmp_path / "junit.xml", "2026-01-02T00:00:00+00:00").read_bytes()

    found = tested.faults(report, (Path("tests/test_other.py"),), REVISED)

    assert found == ["tests/test_other.py: no test of it passed"]


def test_another_file_is_no_report() -> None:
    """What is no XML is refused."""
    with pytest.raises(DataError, match="no JUnit XML"):
        tested.faults(b"passed", TESTS, REVISED)


def test_tests_are_run(tmp_path: Path) -> None:
    """A file that fails when it is run is found out."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_right.py").write_text("def test_right():\n    assert False\n")

    report = tested.run(tmp_path, TESTS)

    assert tested.faults(report, TESTS, None) == ["tests/test_right.py: 1 of 1 tests fail"]


def test_tests_that_do_not_end_are_missed(tmp_path: Path) -> None:
    """The error says for how long they were waited for, and what to do."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_right.py").write_text("import time\n\ntime.sleep(300)\n")

    with pytest.raises(DataError, match=r"did not end within 1 s .* give junit=FILE"):
        tested.run(tmp_path, TESTS, patience_s=0.6)


def test_what_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """No child lives on for a machine to stumble over."""
    command = ["sh", "-c", "sleep 300 & echo $! > child; wait"]

    with pytest.raises(DataError, match="did not end"):
        tested._ended(command, tmp_path, 1.0)

    assert _ended(int((tmp_path / "child").read_text()))


def _ended(process: int) -> bool:
    """Nobody may have asked for its exit status yet."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2]
    except FileNotFoundError:
        return True
    return state.startswith("Z")


def test_what_pytest_says_is_told(tmp_path: Path) -> None:
    """Where it makes no report, its last words are the reason."""
    (tmp_path / "pytest.py").write_text("raise SystemExit('no such plugin')")

    with pytest.raises(DataError, match=r"pytest did not run in .*: no such plugin; install"):
        tested.run(tmp_path, TESTS)
