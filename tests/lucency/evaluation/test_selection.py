"""What an epoch is worth, and how epochs are ranked."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, roc_auc_score

from lucency.errors import ConfigError
from lucency.evaluation.selection import SCORE, Selection, figures, outputs, resolve, score


def test_two_classes_have_one_logit() -> None:
    """The one logit of two classes is the second one's; more classes have one each."""
    assert [outputs(classes) for classes in (2, 3, 10)] == [1, 3, 10]


def test_value_ranks_before_loss() -> None:
    """No loss, however high, outweighs one film in ten thousand found."""
    assert score(0.9002, loss=1e9) > score(0.9000, loss=0.0)


def test_loss_tells_equal_values_apart() -> None:
    """Of two epochs that find the same films the one with the lower loss is kept."""
    assert score(0.9, 0.2) > score(0.9, 0.3)
    assert score(0.9, 0.2) == pytest.approx(0.9, abs=1e-4)


def test_figures_of_two_classes_equal_scikit_learn() -> None:
    """Loss, accuracy and area of an epoch are those of the reference implementation."""
    generator = np.random.default_rng(0)
    labels_n = generator.integers(0, 2, 80).astype(np.float32)
    logits_n = generator.normal(size=80) + labels_n

    found = figures(labels_n, logits_n[:, None], 0.7, "auto")

    assert found["auroc"] == pytest.approx(roc_auc_score(labels_n, logits_n))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels_n, logits_n >= 0))
    assert found["validation_loss"] == pytest.approx(
        log_loss(labels_n, 1 / (1 + np.exp(-logits_n)))
    )


def test_figures_of_many_classes_equal_scikit_learn() -> None:
    """So are those of three classes, with the mean sensitivity beside them."""
    generator = np.random.default_rng(1)
    labels_n = generator.integers(0, 3, 90)
    logits_nk = generator.normal(size=(90, 3)) + 2 * np.eye(3)[labels_n]
    given_nk = np.exp(logits_nk) / np.exp(logits_nk).sum(axis=1, keepdims=True)
    called_n = logits_nk.argmax(axis=1)

    found = figures(labels_n, logits_nk, 0.7, "auto")

    assert found["auroc"] == pytest.approx(roc_auc_score(labels_n, given_nk, multi_class="ovr"))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels_n, called_n))
    assert found["mean_sensitivity"] == pytest.approx(balanced_accuracy_score(labels_n, called_n))
    assert found["validation_loss"] == pytest.approx(log_loss(labels_n, given_nk))


def test_figures_are_counted_at_probability_one_half() -> None:
    """A logit of zero is positive; the score is built from the other figures."""
    logits_n = np.array([0.0, -1.0, -1.0, 2.0, -2.0])

    found = figures(np.array([1, 1, 0, 0, 0]), logits_n[:, None], 0.6, "auto")

    assert found["sensitivity"] == 0.5
    assert found["specificity"] == pytest.approx(2 / 3)
    assert found["sensitivity_at_specificity"] == 0.5
    assert found[SCORE] == score(0.5, found["validation_loss"])


@pytest.mark.parametrize("selection", ["sensitivity", "auroc", "accuracy"])
def test_named_figure_ranks(selection: Selection) -> None:
    """The score holds the figure that the recipe names."""
    labels_n = np.array([1, 1, 1, 0, 0])
    logits_nk = np.array([[2.0], [1.0], [-3.0], [-1.0], [1.5]])

    found = figures(labels_n, logits_nk, 0.6, selection)

    assert found[SCORE] == score(found[selection], found["validation_loss"])


def test_figures_are_plain_finite_numbers() -> None:
    """History and Ray carry them as JSON: no arrays, no tensors, also for extreme logits."""
    for logits_nk in (np.array([[900.0], [800.0]]), np.array([[900.0, 0, 0], [800.0, -900, 0]])):
        found = figures(np.array([1, 0]), logits_nk, 0.7, "accuracy")

        values = [value for name, value in found.items() if name != "auroc"]
        assert all(type(value) is float and math.isfinite(value) for value in values)


def test_rule_of_two_classes_is_refused_for_ten() -> None:
    """Sensitivity of ten classes is no one number: the message names what to use."""
    assert resolve("auto", 10) == "accuracy"
    with pytest.raises(ConfigError, match="use accuracy, auroc or auto"):
        resolve("sensitivity", 10)
