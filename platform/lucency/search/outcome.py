"""What came of a trial, read from its run's folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.evaluation import intervals, rule, selection
from lucency.evaluation.intervals import Interval
from lucency.search import bounds
from lucency.training import failure, loop, trainer
from lucency.training.trainer import Run

State = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Validation:
    """The films that trials are judged on."""

    labels_n: np.ndarray
    patients_n: np.ndarray

    @classmethod
    def of(cls, table: Table) -> "Validation":
        """The validation split of a table; the test split stays closed."""
        rows = table.rows("validation")
        return cls(table.columns["label"][rows], table.columns["patient"][rows])


@dataclass(frozen=True)
class Outcome:
    """
    What one trial reached in its best epoch, and how it ended.

    Attributes:
        values: What its recipe has at the open keys.
        reason: Why it ended, a sentence.
        epochs: That it trained.
        figure: Name of what is measured: sensitivity at the specificity floor, or accuracy.
        interval: Of that figure, by patient; None if the trial failed.
        specificity: Held where the figure is a sensitivity; else None.
        standing: What trials are ranked by; see ``rule.Measure.standing``.
    """

    number: int
    folder: Path
    values: Mapping[str, Any]
    state: State
    reason: str
    epochs: int = 0
    best_epoch: int = 0
    seconds: float = 0.0
    figure: str = ""
    interval: Interval | None = None
    specificity: Interval | None = None
    standing: float = float("nan")

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """One row an epoch."""
        return trainer.history(self.folder)

    @cached_property
    def logits_nk(self) -> np.ndarray:
        """Of its best epoch on the validation films."""
        return Run.open(self.folder).validation_logits


def read(
    number: int,
    folder: Path,
    values: Mapping[str, Any],
    recipe: Recipe,
    validation: Validation,
) -> Outcome | None:
    """The outcome of a trial that has ended, None of one that has not."""
    if not (folder / trainer.RECORD).is_file():
        wrong = folder / failure.FAILED
        if not wrong.is_file():
            return None
        return failed(number, folder, values, json.loads(wrong.read_text())["error"])
    run = Run.open(folder)
    name, interval, specificity = measured(run, recipe, validation)
    epochs = int(run.record["epochs"])
    best = int(run.record["best"]["epoch"])
    stopped = folder / loop.STOPPED
    if stopped.is_file():
        state, reason = "stopped", json.loads(stopped.read_text())["reason"]
    elif epochs < recipe.epochs:
        state, reason = "finished", f"no better epoch since epoch {best} (patience)"
    else:
        state, reason = "finished", "went to the end"
    return Outcome(
        number,
        folder,
        values,
        "stopped" if state == "stopped" else "finished",
        reason,
        epochs,
        best,
        float(run.record["seconds"]),
        name,
        interval,
        specificity,
        _standing(run, recipe, validation),
    )


def failed(number: int, folder: Path, values: Mapping[str, Any], reason: str) -> Outcome:
    """The outcome of a trial that ended with an error."""
    return Outcome(
        number,
        folder,
        values,
        "failed",
        reason.strip().splitlines()[-1],
        len(trainer.history(folder)),
    )


def measured(
    run: Run, recipe: Recipe, validation: Validation
) -> tuple[str, Interval, Interval | None]:
    """The figure of a run's best epoch, its name, and of two classes the specificity held."""
    logits_nk, clinical = run.validation_logits, recipe.rule
    name, interval = selection.headline(
        validation.labels_n,
        logits_nk,
        validation.patients_n,
        clinical.specificity_floor,
        clinical.confidence,
    )
    if logits_nk.shape[1] > 1:
        return name, interval, None
    negative_n = validation.labels_n == 0
    threshold = rule.threshold_at_specificity(
        validation.labels_n, logits_nk[:, 0], clinical.specificity_floor
    )
    specificity = intervals.proportion(
        logits_nk[negative_n, 0] <= threshold,
        validation.patients_n[negative_n],
        clinical.confidence,
    )
    return name, interval, specificity


def best(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """
    Those that were measured, the best first: by the mean of their figure over draws of patients.

    Of equals the earlier one leads. On recorded curves with 40 positives the winner of a search is
    1.0 points (standard error 0.3) short of the best trial, 0.1 with 160 (bench/search.py).
    """
    known = [each for each in outcomes if each.interval is not None]
    return sorted(known, key=lambda each: (-np.nan_to_num(each.standing, nan=-1.0), each.number))


def _standing(run: Run, recipe: Recipe, validation: Validation) -> float:
    drawn_r = bounds.replicates(
        validation.labels_n,
        run.validation_logits,
        validation.patients_n,
        recipe.rule.specificity_floor,
    )
    return float(drawn_r.mean())
