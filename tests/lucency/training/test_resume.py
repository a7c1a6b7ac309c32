"""A run that was interrupted anywhere ends with the weights of one that was not."""

import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.training import checkpoint, loop
from lucency.training.loop import Job
from lucency.training.ranks import Ranks
from lucency.training.step import Learner

# Everything that draws at random, remembers or adds up.
ALL: dict[str, Any] = {
    "preprocess": {"size": 28, "color": "L", "mean": [0.5], "std": [0.25]},
    "augmentation": {},
    "model": {"name": "small", "width": 4, "blocks": 2, "dropout": 0.5},
    "loss": "bce",
    "optimizer": {"name": "sgd", "momentum": 0.9},
    "phases": [
        {"epochs": 1, "learning_rate": 0.05, "train": "head", "batch_norm": "train"},
        {"epochs": 2, "learning_rate": 0.02, "layer_decay": 0.7},
    ],
    "batch_size": 3,
    "patience": 10,
    "mix": {"mixup": 0.4, "cutmix": 1.0},
    "clip_norm": 1.0,
    "ema_decay": 0.9,
    "rule": {"sensitivity_floor": 0.5, "specificity_floor": 0.5},
    "scaling": {"feeding": "cache", "checkpoint_minutes": 1e-9},
}
OTHERS: dict[str, dict[str, Any]] = {
    "everything": {},
    "fp16": {"precision": "fp16"},
    "bf16": {"precision": "bf16"},
    "adam": {"optimizer": "adamw", "ema_decay": None, "mix": None},
    "parts": {"batch_size": 7, "scaling": {**ALL["scaling"], "micro_batch": 3}},
    "plateau": {
        "phases": [
            {"epochs": 4, "learning_rate": 0.05, "schedule": {"name": "reduce_on_plateau"}},
        ],
        "patience": 10,
    },
}


class Killed(Exception):
    """Stands for a process that ends between two steps; a real one is killed in test_killed."""


class Files:
    """Keeps account of checkpoints in a file of its own, as Ray Train does in its snapshot."""

    def __init__(self, folder: Path) -> None:
        self.account = folder / "account.json"

    def last(self) -> Path | None:
        return Path(json.loads(self.account.read_text())[-1]) if self.account.exists() else None

    def add(self, metrics: dict[str, float], folder: Path | None) -> None:
        known = json.loads(self.account.read_text()) if self.account.exists() else []
        self.account.write_text(json.dumps([*known, str(folder)]))


def recipe_of(**changes: Any) -> Recipe:
    """Everything at once, with some of it changed."""
    return Recipe.from_mapping({**ALL, **changes}, "test")


def train(recipe: Recipe, table: Table, folder: Path) -> None:
    """One attempt, from the last checkpoint in the folder."""
    folder.mkdir(exist_ok=True)
    job = Job(recipe=recipe.plain(), table=table.source, folder=str(folder))
    loop.train(job, Ranks(), torch.device("cpu"), Files(folder))


def digest(weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of names and bytes."""
    found = hashlib.sha256()
    for name, value in weights.items():
        found.update(name.encode() + value.contiguous().numpy().tobytes())
    return found.hexdigest()


def ends(folder: Path) -> tuple[str, str, list[dict[str, float]]]:
    """Digests of what a run ended with, and its history without what a clock says."""
    last = Files(folder).last()
    assert last is not None
    state = checkpoint.load(last)
    timed = ("images_per_s", "wait_s", "compute_s", "measure_s", "seconds", "memory_mib")
    rows = [{key: row[key] for key in row if key not in timed} for row in state.history]
    return digest(state.model), digest(state.measured), rows


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ends the next attempt after so many steps."""
    real = Learner.step

    def arrange(steps: int) -> None:
        left = iter(range(steps))

        def step(self: Learner, *args: Any, **keywords: Any) -> torch.Tensor:
            if next(left, None) is None:
                raise Killed
            return real(self, *args, **keywords)

        monkeypatch.setattr(Learner, "step", step)

    return arrange


@pytest.mark.parametrize("name", OTHERS)
def test_interrupted_run_ends_as_the_uninterrupted_one(
    name: str, table: Table, tmp_path: Path, dying: Any
) -> None:
    """Stopped at random steps, before and after checkpoints within an epoch: the same bits."""
    recipe = recipe_of(**OTHERS[name])
    train(recipe, table, tmp_path / "whole")

    draw = random.Random(name)
    attempts = 0
    while True:
        dying(draw.randint(5, 24) if attempts < 4 else 10**6)
        try:
            train(recipe, table, tmp_path / "broken")
            break
        except Killed:
            attempts += 1

    assert attempts >= 2
    assert ends(tmp_path / "broken") == ends(tmp_path / "whole")
