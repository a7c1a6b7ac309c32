"""Runs as a person meets them: begun, gone on with, refused, found finished."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lucency import files
from lucency.config.train import Recipe, Tracking
from lucency.datasets.table import Table
from lucency.errors import ClusterError, TrainingError
from lucency.evaluation.selection import SCORE
from lucency.models.base import PooledClassifier
from lucency.training import checkpoint, identity, loop, trainer, watcher
from lucency.training.ranks import Ranks
from tests.processes import descendants

# A machine whose cores are shared starts workers in minutes.
pytestmark = pytest.mark.timeout(900)


def changed(recipe: Recipe, **values: Any) -> Recipe:
    """The recipe with other values at its top level."""
    return Recipe.from_mapping(recipe.plain() | values, "test")


@contextmanager
def killed(title: str, after: Path) -> Iterator[list[int]]:
    """SIGKILL the first process of that title once a file is there; gives whom it killed."""
    ids: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            if after.is_file() and not ids:
                below = descendants(os.getpid()).items()
                ids.extend([number for number, line in below if title in line][:1])
                for number in ids:
                    os.kill(number, signal.SIGKILL)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield ids
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def calm(
    recipe: Recipe, table: Table, ray_cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> trainer.Run:
    """A run that nobody disturbed."""
    return trainer.fit(recipe, table.path, tmp_path_factory.mktemp("runs"), name="calm")


@pytest.mark.ray
@pytest.mark.slow
def test_run_survives_its_controller(
    recipe: Recipe,
    table: Table,
    tmp_path: Path,
    calm: trainer.Run,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """
    A controller that is killed is replaced, which is said; the weights are those of a run that
    was left alone, and a folder has what its run promises.
    """
    with killed("TrainController", tmp_path / "struck" / "epoch_001" / "state.pt") as ids:
        struck = trainer.fit(
            recipe,
            table.path,
            tmp_path,
            name="struck",
            tracking=Tracking(tensorboard=tmp_path / "events"),
        )

    said = capfd.readouterr().err
    assert len(ids) == 1
    assert "the training controller died; another one goes on from the last checkpoint" in said
    assert files.sha256_file(struck.folder / trainer.WEIGHTS) == files.sha256_file(
        calm.folder / trainer.WEIGHTS
    )
    assert [row["epoch"] for row in struck.history] == [1, 2]
    assert "waiting for films" in said
    assert struck.record["environment"]["data_digest"] == table.digest
    assert struck.record["environment"]["workers"] == 1
    assert not (struck.folder / identity.OWNER).exists()
    assert not (struck.folder / "preflight").exists()
    assert "struck" in (struck.folder / watcher.PAGE).read_text()
    assert list((tmp_path / "events" / "struck").rglob("events.*"))


@pytest.mark.ray
@pytest.mark.slow
def test_half_written_list_of_checkpoints_stops_nobody(
    recipe: Recipe, table: Table, tmp_path: Path, calm: trainer.Run
) -> None:
    """
    A run whose driver was killed after the last epoch, while Ray wrote its list, goes on to the
    end without an epoch more; a finished one is given as it is.
    """
    folder = tmp_path / "mine"
    shutil.copytree(calm.folder, folder)
    for left in (trainer.RECORD, trainer.WEIGHTS):
        (folder / left).unlink()
    (folder / "checkpoint_manager_snapshot.json").write_text('{"ray_ver')

    again = trainer.fit(recipe, table.path, tmp_path, name="mine", resume=True)
    found = trainer.fit(recipe, table.path, tmp_path, name="mine")

    assert files.sha256_file(folder / trainer.WEIGHTS) == files.sha256_file(
        calm.folder / trainer.WEIGHTS
    )
    assert again.history == calm.history
    assert found.record == again.record


@pytest.mark.ray
@pytest.mark.slow
def test_loss_that_is_no_number_fails_once(
    recipe: Recipe, table: Table, tmp_path: Path, ray_cluster: None
) -> None:
    """It is one error with the step, tried once; the page says it; the next call forgets it."""
    hopeless = changed(recipe, phases=[{"epochs": 1, "learning_rate": 1e30}])

    with pytest.raises(TrainingError, match=r"epoch 1, step \d+, films"):
        trainer.fit(hopeless, table.path, tmp_path, name="mine")

    folder = tmp_path / "mine"
    assert "step" in (folder / watcher.PAGE).read_text()
    assert json.loads((folder / loop.FAILED).read_text())["films"]
    with pytest.raises(TrainingError, match="was begun but not finished"):
        trainer.Run.open(folder)
    trainer._begin(folder, hopeless, table)
    assert not (folder / loop.FAILED).exists()


def test_resume_begins_nothing(recipe: Recipe, table: Table, tmp_path: Path) -> None:
    """Where no run was begun, resume says so and leaves no folder behind."""
    with pytest.raises(TrainingError, match="no run 'mine' was begun"):
        trainer.fit(recipe, table.path, tmp_path / "runs", name="mine", resume=True)

    assert not (tmp_path / "runs").exists()


def test_other_recipe_does_not_go_on(recipe: Recipe, table: Table, tmp_path: Path) -> None:
    """Under one name another recipe is refused before Ray starts, a finished run or not."""
    identity.settle(tmp_path / "mine", recipe, table.digest)

    with pytest.raises(TrainingError, match=r"recipe\.seed=0, now 1\. Give back"):
        trainer.fit(changed(recipe, seed=1), table.path, tmp_path, name="mine")


def test_second_driver_is_refused(recipe: Recipe, table: Table, tmp_path: Path) -> None:
    """The same command twice at once trains once."""
    with (
        identity.owned(tmp_path / "mine"),
        pytest.raises(TrainingError, match="is being trained by process"),
    ):
        trainer.fit(recipe, table.path, tmp_path, name="mine")


@pytest.mark.ray
def test_too_few_cpus_are_refused_by_the_fewest_workers(
    recipe: Recipe, table: Table, tmp_path: Path, ray_cluster: None
) -> None:
    """An elastic run asks for its fewest workers only, a fixed one for all of them."""
    elastic = changed(recipe, scaling={"workers": [2, 16], "cpus_per_worker": 400})

    with pytest.raises(ClusterError, match="asks for 800 CPU"):
        trainer.fit(elastic, table.path, tmp_path, name="mine")


def test_best_epoch_is_the_first_of_equals_that_is_kept(tmp_path: Path) -> None:
    """Ray keeps two checkpoints of equal score; a deleted best one is an error, not a guess."""
    rows = [{"epoch": epoch, SCORE: score} for epoch, score in enumerate([0.5, 0.9, 0.9, 0.2], 1)]
    with pytest.raises(TrainingError, match="'epoch_002' of the best epoch is gone"):
        trainer._best(tmp_path, rows)
    (tmp_path / "epoch_003").mkdir()
    (tmp_path / "epoch_004").mkdir()

    assert trainer._best(tmp_path, rows)["epoch"] == 3


class Unkept:
    """Reports that nobody keeps account of: the loop alone, without Ray."""

    def last(self) -> Path | None:
        """A run from its start."""
        return None

    def add(self, metrics: dict[str, float], folder: Path | None) -> None:
        """Nothing to note."""


def test_run_holds_the_weights_that_were_measured(
    recipe: Recipe, table: Table, network: PooledClassifier, tmp_path: Path
) -> None:
    """With an average of the weights it is the best epoch's average that the figures are about."""
    asked = changed(recipe, ema_decay=0.9, scaling={"feeding": "cache"})
    folder = tmp_path / "mine"
    trainer._begin(folder, asked, table)
    job = loop.Job(asked.plain(), table.source, str(folder))
    loop.train(job, Ranks(0, 1), torch.device("cpu"), Unkept())

    run = trainer._finish(folder, asked, table, network, [])

    best = checkpoint.load(folder / f"epoch_{int(run.record['best']['epoch']):03d}")
    stored = load_file(folder / trainer.WEIGHTS)
    assert best.ema is not None
    assert all(torch.equal(stored[key], value) for key, value in best.ema.items())
    assert any(not torch.equal(stored[key], value) for key, value in best.model.items())
    assert best.logits is not None
    assert (run.validation_logits == best.logits.numpy()).all()
    assert run.record["best"][SCORE] == max(row[SCORE] for row in run.history)
    assert run.record["environment"]["seconds"] == run.record["seconds"]
    assert trainer.Run.open(folder).record == run.record
    assert not (folder / loop.PROGRESS).exists()
