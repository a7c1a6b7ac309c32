"""The loop on one rank: when it stops, what it tells, what ends it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch

from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.evaluation import selection
from lucency.evaluation.selection import SCORE
from lucency.training import checkpoint, loop, referee
from lucency.training.loop import Job, stopped
from lucency.training.pace import Pace
from lucency.training.ranks import Ranks
from lucency.training.step import Learner

RECIPE: dict[str, Any] = {
    "preprocess": {"size": 32, "color": "L", "mean": [0.5], "std": [0.25]},
    "model": {"name": "small", "width": 8, "blocks": 2},
    "loss": "bce",
    "optimizer": "adamw",
    "phases": [{"epochs": 2, "learning_rate": 0.003}],
    "batch_size": 4,
    "patience": 10,
    "ema_decay": 0.5,
    "rule": {"sensitivity_floor": 0.5, "specificity_floor": 0.5},
    "scaling": {"feeding": "cache", "checkpoint_minutes": 0},
}


class Noted:
    """Who keeps account of checkpoints."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.scores: list[float] = []

    def last(self) -> Path | None:
        return self.folders[-1] if self.folders else None

    def add(self, metrics: dict[str, float], folder: Path | None) -> None:
        assert folder is not None, "rank 0 names it"
        self.folders.append(folder)
        self.scores.append(metrics[SCORE])


def train(table: Table, folder: Path, referee: str | None = None, **changes: Any) -> Noted:
    """One run on this process's CPU."""
    recipe = Recipe.from_mapping({**RECIPE, **changes}, "test")
    reports = Noted()
    job = Job(recipe.plain(), table.source, str(folder), referee)
    loop.train(job, Ranks(), torch.device("cpu"), reports)
    return reports


@pytest.mark.parametrize(
    ("scores", "patience", "min_change", "expected"),
    [
        ([], 1, 0.0, False),
        ([0.5], 1, 0.0, False),
        ([0.5, 0.4], 1, 0.0, True),
        ([0.5, 0.4], 2, 0.0, False),
        ([0.5, 0.6, 0.5, 0.4], 2, 0.0, True),
        ([0.5, 0.4, 0.6, 0.5], 2, 0.0, False),
        ([0.5, 0.5, 0.5], 2, 0.0, True),
        ([0.5, 0.505, 0.509], 2, 0.01, True),
        ([0.5, 0.505, 0.515], 2, 0.01, False),
        ([0.5, 0.505, 0.51, 0.52], 2, 0.015, False),
    ],
)
def test_run_stops_when_its_best_is_old(
    scores: list[float], patience: int, min_change: float, expected: bool
) -> None:
    """Patience is counted from the first of the best epochs; a little better renews nothing."""
    history = [{SCORE: value} for value in scores]

    assert stopped(history, patience, min_change) is expected


def test_history_is_about_the_measured_weights(table: Table, tmp_path: Path) -> None:
    """Rows, logits and ``measured`` go together: the average's, where there is one."""
    reports = train(table, tmp_path)

    assert [folder.name for folder in reports.folders] == ["epoch_001", "epoch_002"]
    rows = json.loads((tmp_path / loop.HISTORY).read_text())
    state = checkpoint.load(reports.folders[-1])
    assert state.history == rows
    assert reports.scores == [row[SCORE] for row in rows]
    assert state.logits is not None
    labels_n = table.columns["label"][table.rows("validation")]
    figures = selection.figures(labels_n, state.logits.numpy(), 0.5, "auto")
    assert rows[-1]["auroc"] == figures["auroc"]
    worker = Loaded(table, tmp_path, reports)
    worker.average.model.load_state_dict(state.measured)
    assert worker._measure() == pytest.approx({key: rows[-1][key] for key in figures}, abs=1e-6)
    assert not torch.equal(state.measured["head.linear.bias"], state.model["head.linear.bias"])


def test_row_tells_where_the_time_went(table: Table, tmp_path: Path) -> None:
    """Waiting, computing and measuring add up; no energy is made up for a CPU."""
    train(table, tmp_path)

    for row in json.loads((tmp_path / loop.HISTORY).read_text()):
        parts = row["wait_s"] + row["compute_s"] + row["measure_s"]
        assert parts == pytest.approx(row["seconds"], rel=1e-6)
        assert min(row["wait_s"], row["compute_s"], row["measure_s"]) > 0
        assert row["images_per_s"] * (row["wait_s"] + row["compute_s"]) == pytest.approx(76)
        assert "gpu_energy_j" not in row


def test_progress_is_told_within_the_epoch(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Films so far, the epoch, speed and share of waiting, in a file that is always whole."""
    monkeypatch.setattr("lucency.training.pace._EVERY_S", 0.0)
    told: list[dict[str, float]] = []
    real = Pace.show

    def show(self: Pace, *given: Any) -> None:
        real(self, *given)
        told.append(json.loads((tmp_path / loop.PROGRESS).read_text()))

    monkeypatch.setattr(Pace, "show", show)

    train(table, tmp_path)

    films = len(table.rows("train"))
    assert [each["done"] for each in told] == [
        int((epoch + (step + 1) / 19) * films) for epoch in (0, 1) for step in range(19)
    ]
    assert {each["epoch"] for each in told} == {1, 2}
    assert all(0 <= each["wait_share"] <= 1 and each["images_per_s"] > 0 for each in told)


def test_loss_that_is_no_number_ends_the_run(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very step is named, with its films; the last checkpoint is good and nothing is saved."""
    real = Learner.step

    def step(self: Learner, images: torch.Tensor, *given: Any, done: int, **named: Any) -> Any:
        return real(self, images * (torch.nan if done >= 24 else 1), *given, done=done, **named)

    monkeypatch.setattr(Learner, "step", step)

    reports = train(table, tmp_path)

    failed = json.loads((tmp_path / loop.FAILED).read_text())
    assert (failed["epoch"], failed["step"]) == (2, 6)
    assert "the loss is nan in epoch 2, step 6" in failed["error"]
    assert "checkpoint 'epoch_001' is good" in failed["error"]
    known = set(table.columns["sha256"][table.rows("train")])
    assert len(failed["films"]) == 4
    assert set(failed["films"]) <= known
    assert [folder.name for folder in reports.folders] == ["epoch_001"]
    state = checkpoint.load(reports.folders[0])
    assert all(value.isfinite().all() for value in state.model.values())


def test_weights_that_are_no_numbers_are_not_saved(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A last step whose loss is fine and whose update is not leaves no checkpoint."""
    real = Learner.step

    def step(self: Learner, *given: Any, done: int, **named: Any) -> torch.Tensor:
        loss = real(self, *given, done=done, **named)
        if done == 18:
            with torch.no_grad():
                self._trained[0].fill_(torch.inf)
        return loss

    monkeypatch.setattr(Learner, "step", step)

    reports = train(table, tmp_path)

    failed = json.loads((tmp_path / loop.FAILED).read_text())
    assert "a weight is no longer a number in epoch 1, step 19" in failed["error"]
    assert reports.folders == []


def test_checkpoint_of_another_order_is_refused(table: Table, tmp_path: Path) -> None:
    """The same folder with another batch size is an error that a restart can't cure."""
    reports = train(table, tmp_path)
    recipe = Recipe.from_mapping({**RECIPE, "batch_size": 5}, "test")
    recipe = recipe.model_copy(
        update={"phases": (recipe.phases[0].model_copy(update={"epochs": 3}),)}
    )

    job = Job(recipe.plain(), table.source, str(tmp_path))
    loop.train(job, Ranks(), torch.device("cpu"), reports)

    failed = json.loads((tmp_path / loop.FAILED).read_text())
    assert "was made in order" in failed["error"]
    assert len(reports.folders) == 2


def test_folder_that_stays_away_ends_the_run(table: Table, tmp_path: Path) -> None:
    """Without patience, a place that can't be written to is an error that says what to do."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "epoch_001").touch()  # a file where the checkpoint's folder must be

    train(table, tmp_path / "run", scaling={**RECIPE["scaling"], "storage_patience_s": 0})

    failed = json.loads((tmp_path / "run" / loop.FAILED).read_text())
    assert "could not be written to for 0 s" in failed["error"]
    assert "run the same command again" in failed["error"]


@pytest.fixture
def judge(ray_cluster: None) -> Iterator[Any]:
    """A referee that stops every run after its first epoch, and remembers what it heard."""

    @ray.remote(num_cpus=0)
    class Judge:
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def judge(self, run: str, epoch: int, *arrays: np.ndarray) -> dict[str, Any]:
            self.heard.append((run, epoch, [(str(a.dtype), a.shape) for a in arrays]))
            return {"stop": epoch == 1, "reason": "upper bound 0.41 is under the floor 0.5"}

        def told(self) -> list[Any]:
            return self.heard

    actor = Judge.options(name="judge", namespace=referee.NAMESPACE).remote()  # type: ignore[attr-defined]
    yield actor
    ray.kill(actor)


@pytest.mark.ray
def test_referee_stops_a_trial(table: Table, tmp_path: Path, judge: Any) -> None:
    """It hears the validation logits after saving; its reason is kept, and it is asked again."""
    reports = train(table, tmp_path / "trial", referee="judge")
    job = Job(
        Recipe.from_mapping(RECIPE, "test").plain(),
        table.source,
        str(tmp_path / "trial"),
        "judge",
    )
    loop.train(job, Ranks(), torch.device("cpu"), reports)

    assert [folder.name for folder in reports.folders] == ["epoch_001"]
    told = json.loads((tmp_path / "trial" / loop.STOPPED).read_text())
    assert told == {"epoch": 1, "reason": "upper bound 0.41 is under the floor 0.5"}
    films = len(table.rows("validation"))
    arrays = [("int64", (films,)), ("float32", (films, 1)), ("int64", (films,))]
    assert ray.get(judge.told.remote()) == [("trial", 1, arrays)] * 2


class Loaded(loop.Worker):
    """A worker of a finished run."""

    average: Any

    def __init__(self, table: Table, folder: Path, reports: Noted) -> None:
        recipe = Recipe.from_mapping(RECIPE, "test")
        job = Job(recipe.plain(), table.source, str(folder))
        super().__init__(job, Ranks(), torch.device("cpu"), reports)
