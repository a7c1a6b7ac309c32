"""All figures of a set of films: what they are, and that JSON can hold them."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from lucency.evaluation.intervals import UNKNOWN, Interval
from lucency.evaluation.metrics import assess, auroc, confusion, plain
from lucency.evaluation.rule import ClinicalRule

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
PROBABILITIES = np.array([0.1, 0.2, 0.6, 0.3, 0.9, 0.8, 0.4, 0.7])
PATIENTS = np.array(list("aabbccdd"))
SITES = np.array(["east", "west"] * 4)


def figures(threshold: float = 0.5, **changes: np.ndarray) -> dict[str, Any]:
    """The eight films above, assessed."""
    return assess(
        changes.get("labels", LABELS),
        PROBABILITIES,
        PATIENTS,
        changes.get("sites", SITES),
        threshold=threshold,
        clinical_rule=ClinicalRule(),
    )


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_area_equals_scikit_learn(decimals: int) -> None:
    """Ties, even nearly all of them, count as scikit-learn counts them."""
    generator = np.random.default_rng(decimals)
    labels_n = generator.integers(0, 2, 100)
    scores_n = np.round(generator.random(100) + 0.3 * labels_n, decimals)

    assert auroc(labels_n, scores_n) == pytest.approx(roc_auc_score(labels_n, scores_n))


def test_area_of_one_class_is_unknown() -> None:
    """A set of one class has no area, and no warning."""
    assert np.isnan(auroc(np.zeros(3), np.arange(3.0)))


def test_confusion_equals_scikit_learn() -> None:
    """The four counts stand under the right names."""
    called_n = PROBABILITIES >= 0.5

    found = confusion(LABELS, called_n)

    (tn, fp), (fn, tp) = confusion_matrix(LABELS, called_n)
    assert found == {
        "true_positive": tp,
        "false_positive": fp,
        "true_negative": tn,
        "false_negative": fn,
    }


def test_figures_are_those_of_the_counts() -> None:
    """At 0.35 all positives and one of four negatives are called; all else follows from that."""
    found = figures(threshold=0.35)

    values = {name: metric["value"] for name, metric in found["metrics"].items()}
    assert values == {
        "auroc": pytest.approx(15 / 16),
        "sensitivity": 1.0,
        "specificity": 0.75,
        "accuracy": 0.875,
        "ppv": 0.8,
        "npv": 1.0,
    }
    assert (found["films"], found["patients"], found["positives"]) == (8, 4, 4)


def test_every_figure_lies_in_its_interval() -> None:
    """No metric is given without bounds, and none outside of them."""
    for metric in figures()["metrics"].values():
        assert 0 <= metric["lower"] <= metric["value"] <= metric["upper"] <= 1


def test_sites_are_assessed_apart() -> None:
    """Each site has the figures that its films alone would have."""
    found = figures(sites=np.repeat(["east", "west"], 4))["sites"]

    assert set(found) == {"east", "west"}
    assert found["west"]["sensitivity"]["value"] == 0.75
    assert found["west"]["patients"] == 2
    assert found["west"]["specificity"]["value"] is None
    assert found["west"]["auroc"]["value"] is None


def test_what_could_not_be_counted_is_null() -> None:
    """JSON has no NaN: with nothing called positive the predictive value is null."""
    found = figures(threshold=1.1)

    assert found["metrics"]["ppv"] == {"value": None, "lower": None, "upper": None}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_set_of_one_class_can_be_assessed() -> None:
    """Without negatives specificity and area are null and the rule is not passed."""
    found = figures(labels=np.ones(8))

    assert found["metrics"]["auroc"]["value"] is None
    assert found["metrics"]["specificity"]["value"] is None
    assert not found["verdict"]["passed"]


def test_verdict_is_the_rules() -> None:
    """Eight films can't prove a sensitivity of 0.9, and the reasons say so."""
    verdict = figures()["verdict"]

    assert verdict["passed"] is False
    assert verdict["reasons"][0].startswith("sensitivity 0.7500, lower 95% bound by patient 0.")


def test_interval_becomes_plain_values() -> None:
    """Value and bounds keep their names."""
    assert plain(Interval(0.5, 0.4, 0.6)) == {"value": 0.5, "lower": 0.4, "upper": 0.6}
    assert plain(UNKNOWN) == {"value": None, "lower": None, "upper": None}
