"""The re-evaluation job as a person meets it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.lucency.pipeline.month import SECRET, Month
from tests.processes import run_job

DEFAULT = "configs/reevaluate/default.yaml"
KEY = {"LUCENCY_LOG_KEY": SECRET}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of the last six days of a model that misses four in ten."""
    folder = tmp_path_factory.mktemp("service") / "logs"
    month = Month(folder)
    month.at = datetime.now(UTC) - timedelta(days=6)
    for _ in range(6):
        month.day(60, sensitivity=0.6)
    return folder


@pytest.mark.slow
def test_verdict_is_the_last_line(logs: Path, tmp_path: Path) -> None:
    """A model that misses too many is told to programs, to people, and on a page."""
    done = run_job("reevaluate", DEFAULT, f"logs={logs}", f"output={tmp_path}/out", environment=KEY)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "below floor"
    assert "below floor: sensitivity 0." in done.stderr
    assert Path(found["page"]).is_file()


@pytest.mark.slow
def test_logs_under_another_key_are_one_clear_line(logs: Path, tmp_path: Path) -> None:
    """Logs that the key does not fit are not judged, and nothing is written."""
    other = {"LUCENCY_LOG_KEY": "another sixteen bytes"}

    done = run_job(
        "reevaluate", DEFAULT, f"logs={logs}", f"output={tmp_path}/out", environment=other
    )

    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 1
    assert "lucency.audit verify" in error
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["kind"] == "LedgerError"
    assert not (tmp_path / "out").exists()
