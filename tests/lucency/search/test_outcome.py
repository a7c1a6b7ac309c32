"""A trial's folder is the truth about it."""

from pathlib import Path

import numpy as np
import pytest

from lucency.config.train import Recipe
from lucency.evaluation.intervals import Interval
from lucency.search import outcome
from lucency.search.outcome import Outcome
from tests.lucency.search import runs


def test_finished_run_has_its_figure_by_patient(tmp_path: Path, recipe: Recipe) -> None:
    """Sensitivity at the floor of the best epoch, in an interval that counts patients."""
    found = runs.validation(films=80, per_patient=2)

    read = runs.trial(tmp_path, 3, recipe, found, wrong=4, values=[0.2, 0.9], given={"a": 1})

    assert (read.state, read.epochs, read.best_epoch, read.seconds) == ("finished", 2, 2, 4.0)
    assert read.reason == "went to the end"
    assert read.figure == "sensitivity at specificity 0.5"
    assert read.interval is not None
    assert read.interval.value == pytest.approx(36 / 40)
    alone = runs.validation(films=80, per_patient=1)
    single = runs.trial(tmp_path, 4, recipe, alone, wrong=4, values=[0.9], given={})
    assert single.interval is not None
    assert single.interval.lower > read.interval.lower, "twice as many patients, a closer bound"


def test_specificity_is_what_the_threshold_holds(tmp_path: Path, recipe: Recipe) -> None:
    """Beside the sensitivity stands the share of healthy films under its threshold."""
    read = runs.trial(tmp_path, 0, recipe, runs.validation(), wrong=0, values=[0.9], given={})

    assert read.specificity is not None
    assert recipe.rule.specificity_floor <= read.specificity.value < 0.6


def test_end_has_its_reason(tmp_path: Path, recipe: Recipe) -> None:
    """Stopped, out of patience, diverged: each says so; a run that goes on says nothing yet."""
    found = runs.validation()
    stopped = runs.trial(
        tmp_path, 0, recipe, found, wrong=0, values=[0.5], given={}, stopped="bound 0.4"
    )
    patient = runs.trial(tmp_path, 1, recipe, found, wrong=0, values=[0.5], given={})
    diverged = outcome.read(2, runs.fail(tmp_path / "f", "the loss\nis nan"), {}, recipe, found)

    assert (stopped.state, stopped.reason) == ("stopped", "bound 0.4")
    assert (patient.state, patient.reason) == (
        "finished",
        "no better epoch since epoch 1 (patience)",
    )
    assert diverged is not None
    assert (diverged.state, diverged.reason, diverged.interval) == ("failed", "is nan", None)
    assert outcome.read(3, tmp_path / "none", {}, recipe, found) is None


def test_many_classes_are_judged_by_accuracy(tmp_path: Path, recipe: Recipe) -> None:
    """With k logits a film the figure is accuracy and no specificity is held."""
    found = runs.validation()
    logits_nk = np.eye(3)[found.labels_n]
    folder = runs.leave(tmp_path / "run", recipe, logits_nk, [0.9])

    read = outcome.read(0, folder, {}, recipe, found)

    assert read is not None
    assert (read.figure, read.specificity) == ("accuracy", None)
    assert read.interval is not None
    assert read.interval.value == 1.0


def reached(number: int, standing: float) -> Outcome:
    """A trial that stands so."""
    interval = Interval(0.9, 0.8, 1.0)
    return Outcome(number, Path("x"), {}, "finished", "", interval=interval, standing=standing)


def test_best_stands_highest_over_draws() -> None:
    """Of equals the earlier leads; failures have no rank, and what is not known comes last."""
    low, high, same = reached(0, 0.8), reached(1, 0.95), reached(2, 0.95)
    unknown, failed = reached(3, float("nan")), outcome.failed(4, Path("x"), {}, "nan")

    assert outcome.best([failed, unknown, low, same, high]) == [high, same, low, unknown]


def test_trial_with_fewer_misses_stands_higher(tmp_path: Path, recipe: Recipe) -> None:
    """Standing is read from the films, and lies in 0..1."""
    found = runs.validation(films=40)
    better, worse = (
        runs.trial(tmp_path, number, recipe, found, wrong=wrong, values=[0.9], given={})
        for number, wrong in enumerate((1, 8))
    )

    assert 0 < worse.standing < better.standing <= 1
