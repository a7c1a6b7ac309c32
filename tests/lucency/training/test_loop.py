"""The loop's pure parts: when to stop, what an epoch is worth."""

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from lucency.training.loop import SCORE, figures, score, stopped


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.4], 1, True),
        ([0.5, 0.4], 2, False),
        ([0.5, 0.6, 0.5, 0.4], 2, True),
        ([0.5, 0.4, 0.6, 0.5], 2, False),
        ([0.5, 0.5, 0.5], 2, True),
    ],
)
def test_run_stops_when_its_best_is_old(scores: list[float], patience: int, expected: bool) -> None:
    """Patience is counted from the first of the best epochs; an equal one renews nothing."""
    history = [{SCORE: value} for value in scores]

    assert stopped(history, patience) is expected


def test_sensitivity_ranks_before_loss() -> None:
    """No loss, however high, outweighs one film in ten thousand found."""
    worse = score(sensitivity=0.9000, loss=0.0)
    better = score(sensitivity=0.9002, loss=1e9)

    assert better > worse


def test_loss_tells_equal_sensitivities_apart() -> None:
    """Of two epochs that find the same films the one with the lower loss is kept."""
    assert score(0.9, 0.2) > score(0.9, 0.3)
    assert score(0.9, 0.2) == pytest.approx(0.9, abs=1e-4)


def test_figures_equal_scikit_learn() -> None:
    """Loss and area of an epoch are those of the reference implementation."""
    generator = np.random.default_rng(0)
    labels_n = generator.integers(0, 2, 80).astype(np.float32)
    logits_n = generator.normal(size=80) + labels_n

    found = figures(labels_n, logits_n, 0.7)

    assert found["auroc"] == pytest.approx(roc_auc_score(labels_n, logits_n))
    assert found["validation_loss"] == pytest.approx(
        log_loss(labels_n, 1 / (1 + np.exp(-logits_n)))
    )


def test_figures_are_counted_at_probability_one_half() -> None:
    """A logit of zero is positive; the score is built from the other figures."""
    found = figures(np.array([1, 1, 0, 0, 0]), np.array([0.0, -1.0, -1.0, 2.0, -2.0]), 0.6)

    assert found["sensitivity"] == 0.5
    assert found["specificity"] == pytest.approx(2 / 3)
    assert found["sensitivity_at_specificity"] == 0.5
    assert found[SCORE] == score(0.5, found["validation_loss"])


def test_figures_are_plain_finite_numbers() -> None:
    """History and Ray carry them as JSON: no arrays, no tensors, also for extreme logits."""
    found = figures(np.array([1, 0]), np.array([900.0, 800.0]), 0.7)

    assert all(type(value) is float and math.isfinite(value) for value in found.values())
