"""The explain job as a person meets it."""

import json
from pathlib import Path

import pytest

from tests.processes import run_job


@pytest.mark.slow
def test_mistake_is_one_clear_line(tmp_path: Path) -> None:
    """A folder that is no run: status 1, one line on stderr, no traceback, nothing written."""
    done = run_job(
        "explain", "configs/explain/default.yaml", f"run={tmp_path}", f"output={tmp_path / 'out'}"
    )

    assert done.returncode == 1
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "not a finished run" in error
    assert json.loads(done.stdout)["ok"] is False
    assert not (tmp_path / "out").exists()
