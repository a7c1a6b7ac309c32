"""Workers that are killed for real: SIGKILL under Ray Train, at steps drawn at random."""

import os
import random
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import ray.train
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from lucency import files
from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.evaluation.selection import SCORE
from lucency.training import checkpoint, loop
from lucency.training.loop import Job
from lucency.training.ranks import Ranks
from lucency.training.step import Learner

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]

# Two epochs of 38 steps; a save within each at steps 16 and 32.
RECIPE: dict[str, Any] = {
    "preprocess": {"size": 28, "color": "L", "mean": [0.5], "std": [0.25]},
    "model": {"name": "small", "width": 4, "blocks": 2, "dropout": 0.5},
    "loss": "bce",
    "optimizer": "sgd",
    "phases": [{"epochs": 2, "learning_rate": 0.02}],
    "batch_size": 2,
    "patience": 10,
    "mix": {"mixup": 0.4},
    "ema_decay": 0.9,
    "rule": {"sensitivity_floor": 0.5, "specificity_floor": 0.5},
    "scaling": {"feeding": "cache", "checkpoint_minutes": 1e-9},
}


def fit(
    table: Table, folder: Path, workers: int, *, kills: tuple[int, ...] = (), retries: int
) -> None:
    """
    Train under Ray, whose workers end themselves with SIGKILL.

    Args:
        kills: Before which steps of the run, each once; on rank 0 and 1 in turn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index, step in enumerate(kills):
        (folder / f"kill_{index % workers}_{step}").touch()

    def deadly(settings: dict[str, Any]) -> None:
        learn = Learner.step
        rank = ray.train.get_context().get_world_rank()

        def step(self: Learner, *given: Any, done: int, **named: Any) -> torch.Tensor:
            mark = Path(settings["folder"]) / f"kill_{rank}_{done}"
            if mark.exists():
                mark.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            return learn(self, *given, done=done, **named)

        Learner.step = step  # type: ignore[method-assign]
        loop.run(settings)

    recipe = Recipe.from_mapping(RECIPE, "test")
    job = Job(recipe=recipe.plain(), table=table.source, folder=str(folder))
    TorchTrainer(
        deadly,
        train_loop_config=asdict(job),
        scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 1}),
        run_config=RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            failure_config=FailureConfig(max_failures=retries),
            checkpoint_config=CheckpointConfig(
                num_to_keep=2, checkpoint_score_attribute=SCORE, checkpoint_score_order="max"
            ),
        ),
    ).fit()


def ends(folder: Path) -> list[str]:
    """SHA-256 of each weight that a run ended with, measured and not."""
    state = checkpoint.load(folder / "epoch_002")
    values = [*state.model.values(), *state.measured.values()]
    return [files.sha256(value.contiguous().numpy().tobytes()) for value in values]


@pytest.mark.usefixtures("ray_cluster")
def test_killed_run_ends_as_a_whole_one(table: Table, tmp_path: Path) -> None:
    """One worker, killed before its first checkpoint and after one within an epoch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = tmp_path / "alone"
        alone.mkdir()
        job = Job(Recipe.from_mapping(RECIPE, "test").plain(), table.source, str(alone))
        loop.train(job, Ranks(), torch.device("cpu"), NoReports())
    finally:
        torch.set_num_threads(threads)
    draw = random.Random(1)

    fit(table, tmp_path / "one", 1, kills=(draw.randrange(16), draw.randrange(55, 76)), retries=2)

    assert not list((tmp_path / "one").glob("kill_*"))
    assert ends(tmp_path / "one") == ends(alone)


@pytest.mark.usefixtures("ray_cluster")
def test_killed_rank_changes_nothing(table: Table, tmp_path: Path) -> None:
    """Two workers, of which one or the other is killed, end as two that were not."""
    draw = random.Random(2)

    fit(table, tmp_path / "whole", 2, retries=0)
    fit(
        table,
        tmp_path / "two",
        2,
        kills=(draw.randrange(55, 76), draw.randrange(18, 38)),
        retries=2,
    )

    assert not list((tmp_path / "two").glob("kill_*"))
    assert ends(tmp_path / "two") == ends(tmp_path / "whole")


@pytest.mark.usefixtures("ray_cluster")
def test_run_goes_on_with_other_workers(table: Table, tmp_path: Path) -> None:
    """What one worker began and did not survive, two workers end from its checkpoint."""
    with pytest.raises(ray.train.TrainingFailedError):
        fit(table, tmp_path / "run", 1, kills=(20,), retries=0)
    begun = sorted(path.name for path in (tmp_path / "run").glob("epoch_*"))

    fit(table, tmp_path / "run", 2, retries=0)

    assert begun == ["epoch_000_step_000016"]
    state = checkpoint.load(tmp_path / "run" / "epoch_002")
    assert [row["epoch"] for row in state.history] == [1, 2]


class NoReports:
    """A run that nobody keeps account of."""

    def last(self) -> Path | None:
        return None

    def add(self, metrics: dict[str, float], folder: Path | None) -> None:
        """Nothing to note."""
