"""The robustness job as a person meets it."""

import json

from tests.processes import run_job


def test_the_locked_split_is_one_clear_line() -> None:
    """The test split without a reason ends the job with status 2 before anything is read."""
    done = run_job("robustness", "configs/robustness/default.yaml", "split=test")

    assert done.returncode == 2
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "reason=TEXT" in error
    assert json.loads(done.stdout)["ok"] is False
