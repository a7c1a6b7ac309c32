"""Runs as trials leave them behind, made by hand: the files of the trainer, without a training."""

from pathlib import Path
from typing import Any

import numpy as np

from lucency import files
from lucency.config.train import Recipe
from lucency.search import outcome
from lucency.search.outcome import Outcome, Validation
from lucency.training import failure, loop, trainer


def validation(films: int = 80, per_patient: int = 2) -> Validation:
    """Half of the patients ill, so many films each."""
    patients_n = np.repeat(np.arange(films // per_patient), per_patient)
    return Validation((patients_n % 2).astype(np.int64), patients_n)


def leave(
    folder: Path,
    recipe: Recipe,
    logits_nk: np.ndarray,
    values: list[float],
    *,
    stopped: str | None = None,
) -> Path:
    """A finished run whose epochs reached these values."""
    rows = [
        {
            "epoch": place + 1.0,
            "sensitivity_at_specificity": value,
            "accuracy": value,
            "score": value,
            "seconds": 2.0,
        }
        for place, value in enumerate(values)
    ]
    best = max(rows, key=lambda row: row["score"])
    record = {"epochs": len(rows), "best": best, "seconds": 2.0 * len(rows)}
    files.write_json(folder / loop.HISTORY, rows)
    files.write_text(folder / trainer.RECIPE, recipe.to_yaml())
    np.save(folder / trainer.LOGITS, logits_nk.astype(np.float32))
    if stopped is not None:
        files.write_json(folder / loop.STOPPED, {"epoch": len(rows), "reason": stopped})
    files.write_json(folder / trainer.RECORD, record)
    return folder


def fail(folder: Path, why: str) -> Path:
    """A run that diverged before its first epoch was over."""
    files.write_json(folder / failure.FAILED, {"error": why, "epoch": 1, "step": 3, "films": []})
    return folder


def logits(found: Validation, wrong: int) -> np.ndarray:
    """Scores that put all healthy films under all ill ones, but for so many ill patients' films."""
    scores_n = np.where(found.labels_n == 1, 2.0, -2.0)
    scores_n = scores_n + np.linspace(0, 0.5, scores_n.size)
    ill = np.flatnonzero(found.labels_n == 1)[:wrong]
    scores_n[ill] = -5.0
    return scores_n[:, None]


def trial(
    folder: Path,
    number: int,
    recipe: Recipe,
    found: Validation,
    *,
    wrong: int,
    values: list[float],
    given: dict[str, Any],
    stopped: str | None = None,
) -> Outcome:
    """What is read of such a run."""
    run = leave(
        folder / f"trial_{number:03d}", recipe, logits(found, wrong), values, stopped=stopped
    )
    read = outcome.read(number, run, given, recipe, found)
    assert read is not None
    return read
