"""A training killed anywhere goes on by the same command, to the same weights."""

import json
import os
import random
import signal
from pathlib import Path

import pytest

from lucency import files
from lucency.config.train import Recipe, TrainConfig
from lucency.datasets.table import Table
from lucency.training import trainer
from tests.processes import alive, descendants, ending, run_job, start_job, wait_until


def written(recipe: Recipe, table: Table, folder: Path, name: str) -> Path:
    """A configuration of three epochs on one worker, as a file."""
    asked = recipe.plain() | {"phases": [{"epochs": 3, "learning_rate": 0.003}]}
    config = TrainConfig(
        table=table.path,
        runs=folder / "runs",
        name=name,
        recipe=Recipe.from_mapping(asked, "test"),
    )
    path = folder / f"{name}.yaml"
    path.write_text(config.to_yaml())
    return path


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_driver_goes_on_to_the_same_weights(
    recipe: Recipe, table: Table, tmp_path: Path
) -> None:
    """
    SIGKILL of the driver at a moment of chance, then --resume: the run ends with all its epochs
    and with the weights, bit for bit, of a run that nobody touched.
    """
    runs = tmp_path / "runs"
    struck, calm = (written(recipe, table, tmp_path, name) for name in ("struck", "calm"))
    epoch = random.Random(os.getpid()).randint(1, 2)

    with ending(start_job("train", str(struck))) as job:
        begun = runs / "struck" / f"epoch_{epoch:03d}" / "state.pt"
        wait_until(lambda: begun.is_file() or job.poll() is not None, 600, f"epoch {epoch}")
        assert job.poll() is None, job.communicate()
        below = list(descendants(job.pid))
        os.kill(job.pid, signal.SIGKILL)
        job.wait(60)
        assert not (runs / "struck" / trainer.RECORD).exists()
        # Ray's processes notice by themselves that their driver is gone; that takes a while.
        untouched = run_job("train", str(calm))
        wait_until(lambda: not alive(below), 120, "the killed driver's processes to end")
    again = run_job("train", str(struck), "--resume")

    assert again.returncode == 0, again.stderr
    assert untouched.returncode == 0, untouched.stderr
    rows = json.loads((runs / "struck" / "history.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert files.sha256_file(runs / "struck" / trainer.WEIGHTS) == files.sha256_file(
        runs / "calm" / trainer.WEIGHTS
    )


def test_nothing_to_go_on_with_is_one_clear_line(
    recipe: Recipe, table: Table, tmp_path: Path
) -> None:
    """--resume where no run was begun ends the job with one line, before Ray starts."""
    done = run_job("train", str(written(recipe, table, tmp_path, "mine")), "--resume")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no run 'mine' was begun" in done.stderr
    assert not (tmp_path / "runs").exists()
