"""The jobs as a person meets them: as processes, with their exit status and their last line."""

import json
import signal
import socket
import textwrap
import time
from pathlib import Path

import pytest

from lucency.datasets.table import Table
from tests.processes import (
    alive,
    descendants,
    ending,
    run_job,
    start_job,
    wait_until,
)

PHANTOM = "configs/pipeline/phantom.yaml"
TINY = (
    "dataset.patients=120",
    "dataset.size=64",
    "recipe.preprocess.size=32",
    "recipe.model.width=8",
    "recipe.model.blocks=3",
)


def test_typo_is_one_clear_line() -> None:
    """A misspelt key ends the job with status 2, its path and the nearest name, no traceback."""
    done = run_job("pipeline", PHANTOM, "recipe.modle.width=8")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "recipe.modle: unknown key" in done.stderr
    assert "did you mean 'model'?" in done.stderr


@pytest.mark.parametrize("missing", ["nowhere", "empty_class"])
def test_wrong_folder_is_one_clear_line(missing: str, tmp_path: Path) -> None:
    """A folder that is not there, or a class without films, ends the job with one line."""
    if missing == "empty_class":
        for split in ("train", "test"):
            for name in ("NORMAL", "PNEUMONIA"):
                (tmp_path / missing / split / name).mkdir(parents=True)

    done = run_job(
        "prepare",
        "configs/prepare/chest_xray.yaml",
        f"dataset.root={tmp_path / missing}",
        f"output={tmp_path / 'out'}",
    )

    assert done.returncode == 1
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_port_in_use_is_said_before_any_work(tmp_path: Path) -> None:
    """A taken port ends the pipeline at once, before an hour of training is spent."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = run_job("pipeline", PHANTOM, f"work={tmp_path}/w", f"serve.port={port}")

    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "w").exists()


def test_interrupt_before_the_job_began_is_one_clear_line(tmp_path: Path) -> None:
    """Ctrl-C while Python still imports what a job needs ends it as it does later on."""
    # Imported by Python before the first line of the job; a signal from outside may come too late.
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent("""
            import os, signal, sys

            class Interrupt:
                def find_spec(self, name, path, target=None):
                    if name == "numpy":
                        sys.meta_path.remove(self)
                        os.kill(os.getpid(), signal.SIGINT)

            # As in a terminal: what a shell puts in the background ignores it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.meta_path.insert(0, Interrupt())
        """)
    )

    done = run_job(
        "predict", "configs/predict/default.yaml", environment={"PYTHONPATH": str(tmp_path)}
    )

    assert done.returncode == 130, done.stderr
    assert json.loads(done.stdout)["kind"] == "KeyboardInterrupt"
    assert done.stderr.splitlines() == [
        "interrupted: what was finished is kept, run it again to go on"
    ]


@pytest.mark.ray
@pytest.mark.slow
def test_interrupt_leaves_nothing_behind_and_resumes(table: Table, tmp_path: Path) -> None:
    """Ctrl-C in training leaves no process and no half-written file; a second run goes on."""
    config = _train_config(tmp_path, table, epochs=12)

    with ending(start_job("train", str(config))) as job:
        wait_until(lambda: _epochs(tmp_path / "runs") >= 2, 240, "two epochs")
        below = list(descendants(job.pid))
        job.send_signal(signal.SIGINT)
        out, err = job.communicate(timeout=60)
    reached = _epochs(tmp_path / "runs")

    assert job.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["kind"] == "KeyboardInterrupt"
    assert "Traceback" not in err
    wait_until(lambda: not alive(below), 20, "all processes to end")
    # Ray Train's own marker is empty; ours would be half-written files.
    assert {path.name for path in tmp_path.rglob(".*")} <= {".validate_storage_marker"}
    began = time.time()
    resumed = run_job("train", str(config))
    rows = json.loads(next((tmp_path / "runs").glob("*/history.json")).read_text())
    assert resumed.returncode == 0, resumed.stderr
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert 2 <= reached < 12
    checkpoints = (tmp_path / "runs").glob("*/epoch_*")
    assert all(int(path.name[-3:]) < 3 or path.stat().st_mtime > began - 60 for path in checkpoints)


def _epochs(runs: Path) -> int:
    return sum(len(json.loads(path.read_text())) for path in runs.glob("*/history.json"))


def _train_config(folder: Path, table: Table, *, epochs: int) -> Path:
    path = folder / "train.yaml"
    path.write_text(
        f"""
table: {table.path.parent}
runs: {folder}/runs
recipe:
  preprocess: {{size: 32}}
  model: {{name: small, width: 8, blocks: 3}}
  loss: {{name: focal}}
  optimizer: adamw
  phases:
    - {{epochs: 1, learning_rate: 0.003, train: head}}
    - {{epochs: {epochs - 1}, learning_rate: 0.003}}
  patience: {epochs}
  rule: {{sensitivity_floor: 0.1, specificity_floor: 0.1}}
  scaling: {{workers: 2}}
"""
    )
    return path
