"""All figures of a set of films: what they are, and that JSON can hold them."""

import json
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from lucency.evaluation.intervals import UNKNOWN, Interval
from lucency.evaluation.metrics import (
    assess,
    assess_classes,
    auroc,
    confusion,
    f1,
    mean_auroc,
    plain,
    predictive_values,
)
from lucency.evaluation.rule import ClinicalRule

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
PROBABILITIES = np.array([0.1, 0.2, 0.6, 0.3, 0.9, 0.8, 0.4, 0.7])
PATIENTS = np.array(list("aabbccdd"))
SITES = np.array(["east", "west"] * 4)


def figures(
    threshold: float = 0.5, prevalences: Sequence[float] = (), **changes: np.ndarray
) -> dict[str, Any]:
    """The eight films above, assessed."""
    return assess(
        changes.get("labels", LABELS),
        PROBABILITIES,
        PATIENTS,
        changes.get("sites", SITES),
        threshold=threshold,
        clinical_rule=ClinicalRule(),
        prevalences=prevalences,
    )


def of_classes(films: int, missing: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels of four classes, some or none of one of them, and probabilities of all."""
    generator = np.random.default_rng(films)
    labels_n = generator.choice([label for label in range(4) if label != missing], films)
    odds_nk = generator.random((films, 4)) + 0.8 * np.eye(4)[labels_n]
    return labels_n, odds_nk / odds_nk.sum(axis=1, keepdims=True)


def figures_of_classes(labels_n: np.ndarray, given_nk: np.ndarray) -> dict[str, Any]:
    """Films of two sites and of patients with three films each, assessed."""
    films = np.arange(labels_n.size)
    return assess_classes(
        labels_n,
        given_nk,
        films // 3,
        np.where(films % 2, "east", "west"),
        classes=("ant", "bee", "cat", "dog"),
        clinical_rule=ClinicalRule(sensitivity_floor=0.5, specificity_floor=0.5),
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
        "f1": pytest.approx(8 / 9),
        "auprc": pytest.approx(0.95),
        "brier": pytest.approx(brier_score_loss(LABELS, PROBABILITIES)),
    }
    assert (found["films"], found["patients"], found["positives"]) == (8, 4, 4)


def test_every_figure_lies_in_its_interval() -> None:
    """No metric is given without bounds, and none outside of them."""
    for metric in figures()["metrics"].values():
        assert 0 <= metric["lower"] <= metric["value"] <= metric["upper"] <= 1


@pytest.mark.parametrize("threshold", [0.2, 0.35, 0.5])
def test_f1_equals_scikit_learn(threshold: float) -> None:
    """The value of all films; the bounds of the same films drawn by patient."""
    called_n = np.greater_equal(PROBABILITIES, threshold)

    found = f1(LABELS, called_n, np.arange(8))

    assert found.value == pytest.approx(f1_score(LABELS, called_n))
    assert found.lower <= found.value <= found.upper


def test_predictive_values_follow_bayes() -> None:
    """Of 1,000 films, 100 positive, 90 are found and 90 called in vain; bounds take bounds."""
    found = predictive_values(Interval(0.9, 0.8, 0.95), Interval(0.9, 0.85, 0.95), 0.1)

    assert astuple(found[0]) == pytest.approx((90 / 180, 80 / (80 + 135), 95 / (95 + 45)))
    assert astuple(found[1]) == pytest.approx((810 / 820, 765 / 785, 855 / 860))


def test_predictive_values_at_the_share_here_are_those_counted() -> None:
    """With the set's own share of positives Bayes' rule gives the counts back."""
    found = figures(threshold=0.35, prevalences=(0.5, 0.01))

    here, rare = found["at_prevalence"]
    assert here["ppv"]["value"] == pytest.approx(found["metrics"]["ppv"]["value"])
    assert here["npv"]["value"] == pytest.approx(found["metrics"]["npv"]["value"])
    assert rare["ppv"]["value"] < 0.05


def test_nothing_called_has_no_predictive_value() -> None:
    """A model that calls nothing positive says nothing about what such a call would mean."""
    ppv, npv = predictive_values(Interval(0.0, 0.0, 0.0), Interval(1.0, 1.0, 1.0), 0.3)

    assert np.isnan(ppv.value)
    assert npv.value == pytest.approx(0.7)


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


def test_figures_of_classes_equal_scikit_learn() -> None:
    """Accuracy, area, confusion and every class's recall and precision are the reference's."""
    labels_n, given_nk = of_classes(300)
    called_n = given_nk.argmax(axis=1)

    found = figures_of_classes(labels_n, given_nk)

    assert found["metrics"]["accuracy"]["value"] == pytest.approx(
        accuracy_score(labels_n, called_n)
    )
    area = roc_auc_score(labels_n, given_nk, multi_class="ovr")
    assert found["metrics"]["auroc"]["value"] == pytest.approx(area)
    assert mean_auroc(labels_n, given_nk) == pytest.approx(area)
    assert found["confusion"] == confusion_matrix(labels_n, called_n).tolist()
    recalls = recall_score(labels_n, called_n, average=None)
    precisions = precision_score(labels_n, called_n, average=None)
    for own, recall, precision in zip(found["classes"].values(), recalls, precisions, strict=True):
        assert own["sensitivity"]["value"] == pytest.approx(recall)
        assert own["ppv"]["value"] == pytest.approx(precision)


def test_specificity_of_a_class_is_that_of_the_counts() -> None:
    """Of the films that are no bees the share that is not called bee."""
    labels_n, given_nk = of_classes(300)
    others = labels_n != 1

    found = figures_of_classes(labels_n, given_nk)["classes"]["bee"]

    expected = np.mean(given_nk.argmax(axis=1)[others] != 1)
    assert found["specificity"]["value"] == pytest.approx(expected)
    assert found["films"] == (~others).sum()


def test_worst_class_is_what_the_gate_will_judge() -> None:
    """Sensitivity is the worst class's, specificity the lowest of any; the reasons name both."""
    found = figures_of_classes(*of_classes(300))

    worst = found["classes"][found["worst_class"]]
    lowest = min(figure["sensitivity"]["lower"] for figure in found["classes"].values())
    assert worst["sensitivity"]["lower"] == lowest
    assert found["metrics"]["sensitivity"] == worst["sensitivity"]
    figures = {name: each["specificity"] for name, each in found["classes"].items()}
    overcalled = min(figures, key=lambda name: figures[name]["value"])
    assert found["metrics"]["specificity"] == figures[overcalled]
    sensitivity, specificity = found["verdict"]["reasons"]
    assert sensitivity.startswith(f"class '{found['worst_class']}': sensitivity")
    assert specificity.startswith(f"class '{overcalled}': specificity")


def test_sites_of_many_classes_are_assessed_apart() -> None:
    """Each site has the accuracy that its films alone have."""
    labels_n, given_nk = of_classes(300)
    right_n = given_nk.argmax(axis=1) == labels_n

    found = figures_of_classes(labels_n, given_nk)["sites"]

    assert found["east"]["accuracy"]["value"] == pytest.approx(right_n[1::2].mean())
    assert (found["east"]["films"], found["west"]["films"]) == (150, 150)


def test_set_without_a_class_can_be_assessed() -> None:
    """A class without films has nulls, is the worst one, and the rule is not passed."""
    found = figures_of_classes(*of_classes(300, missing=2))

    assert found["worst_class"] == "cat"
    assert found["classes"]["cat"]["sensitivity"]["value"] is None
    assert found["metrics"]["auroc"]["value"] is None
    assert not found["verdict"]["passed"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_interval_becomes_plain_values() -> None:
    """Value and bounds keep their names."""
    assert plain(Interval(0.5, 0.4, 0.6)) == {"value": 0.5, "lower": 0.4, "upper": 0.6}
    assert plain(UNKNOWN) == {"value": None, "lower": None, "upper": None}
