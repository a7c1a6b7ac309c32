"""The analyze job as a person meets it."""

import json
from pathlib import Path

import pytest

from tests.processes import run_job

DEFAULT = "configs/analyze/default.yaml"


@pytest.mark.slow
def test_last_line_has_the_figures(tmp_path: Path) -> None:
    """A table for people on stderr; one JSON object with VGG16's published field on stdout."""
    done = run_job("analyze", DEFAULT, "model.name=vgg16", "pictures=false", f"output={tmp_path}")

    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert found["ok"] is True
    assert found["receptive_field"] == 212
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"])
    assert found["multiply_adds"] > 15e9
    assert Path(found["report"]).is_file()
    assert "a unit of the last convolutional stage" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "status", "said"),
    [
        ("model.name=vgg61", 2, "'vgg61'"),
        ("change={features.1: {stride: 2}}", 2, "'features.1' is a BatchNorm2d"),
        ("size=15", 2, "size"),
    ],
)
def test_mistake_is_one_clear_line(tmp_path: Path, override: str, status: int, said: str) -> None:
    """Status 2 and one line on stderr beside the table, no traceback, no report."""
    done = run_job("analyze", DEFAULT, override, f"output={tmp_path / 'out'}")

    assert done.returncode == status
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert said in error
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["ok"] is False
    assert not (tmp_path / "out").exists()
