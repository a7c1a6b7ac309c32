"""The release job as a person meets it."""

import json
from pathlib import Path

import pytest

from tests.lucency.release.conftest import Built, built, tree
from tests.processes import run_job

__all__ = ["built", "tree"]


@pytest.mark.slow
def test_missing_item_is_status_three(built: Built, tmp_path: Path) -> None:
    """Every item is told; where one is missing the job says which and writes no pack."""
    config = built().plain() | {"junit": None}
    path = tmp_path / "release.yaml"
    path.write_text(json.dumps(config))

    done = run_job("release", str(path))

    found = json.loads(done.stdout)
    assert done.returncode == 3
    assert found["ok"] is False
    (missing,) = found["missing"]
    assert missing.startswith("tests: not run")
    assert f"error: {missing}" in done.stderr
    for item in found["checklist"]:
        assert f"{'met' if item['met'] else 'MISSING':8}{item['item']}: " in done.stderr
    assert not Path(config["output"]).exists()
