"""What predictions say about a trial, and how surely."""

import numpy as np
import pytest

from lucency.evaluation import rule, selection
from lucency.search import bounds

Films = tuple[np.ndarray, np.ndarray, np.ndarray]


def films(seed: int, positives: int = 40, negatives: int = 14, apart: float = 2.5) -> Films:
    """Labels, logits and patients of two normal distributions, one film a patient."""
    generator = np.random.default_rng(seed)
    labels_n = np.repeat([1, 0], [positives, negatives])
    logits_nk = (generator.normal(size=labels_n.size) + apart * labels_n)[:, None]
    return labels_n, logits_nk, np.arange(labels_n.size)


def test_even_weights_give_the_sensitivity_at_the_floor() -> None:
    """Where the floor lies on a film, draws that all weigh alike give the headline figure."""
    labels_n, logits_nk, _ = films(0, 200, 100)

    found = bounds._sensitivity(np.ones((1, 300)), labels_n == 1, logits_nk[:, 0], 0.1)

    expected = rule.sensitivity_at_specificity(labels_n, logits_nk[:, 0], 0.9)
    assert found[0] == pytest.approx(expected, abs=1 / 200)


def test_constant_scores_are_worth_what_chance_is() -> None:
    """A network that calls all films alike finds, at specificity 0.9, one positive in ten."""
    labels_n, logits_nk, patients_n = films(0)

    found_r = bounds.replicates(labels_n, np.zeros_like(logits_nk), patients_n, 0.9)

    np.testing.assert_allclose(found_r, 0.1)


def test_the_order_of_films_changes_no_draw() -> None:
    """Patients are drawn, not rows: the same films in another order have the same replicates."""
    labels_n, logits_nk, patients_n = films(1)
    order = np.random.default_rng(0).permutation(labels_n.size)

    first_r = bounds.replicates(labels_n, logits_nk, patients_n, 0.9)
    other_r = bounds.replicates(labels_n[order], logits_nk[order], patients_n[order], 0.9)

    np.testing.assert_allclose(first_r, other_r)


def test_parts_give_the_same_draws_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many weights are held at once changes nothing."""
    given = films(1)
    whole_r = bounds.replicates(*given, 0.9)

    monkeypatch.setattr(bounds, "_WEIGHTS", 54 * 7)

    np.testing.assert_allclose(bounds.replicates(*given, 0.9), whole_r)


def test_films_of_one_patient_are_drawn_together() -> None:
    """Ten copies of each film under its patient say no more than one: the draws are the same."""
    labels_n, logits_nk, patients_n = films(2)

    once_r = bounds.replicates(labels_n, logits_nk, patients_n, 0.9)
    tenfold = [np.repeat(each, 10, axis=0) for each in (labels_n, logits_nk, patients_n)]
    often_r = bounds.replicates(tenfold[0], tenfold[1], tenfold[2], 0.9)

    np.testing.assert_allclose(often_r, once_r)


def test_paired_differences_are_surer_than_either_figure() -> None:
    """Two trials that err on the same films differ by far less than each one's own doubt."""
    labels_n, logits_nk, patients_n = films(3, 160, 56)
    nearly_nk = logits_nk + np.random.default_rng(9).normal(0, 0.1, logits_nk.shape)

    first_r = bounds.replicates(labels_n, logits_nk, patients_n, 0.9)
    other_r = bounds.replicates(labels_n, nearly_nk, patients_n, 0.9)

    assert (first_r - other_r).std() < 0.5 * first_r.std()


def test_accuracy_takes_the_place_of_sensitivity() -> None:
    """Of three classes the draws are of the accuracy, and the interval encloses it."""
    generator = np.random.default_rng(4)
    labels_n = generator.integers(0, 3, 200)
    logits_nk = generator.normal(size=(200, 3)) + 2 * np.eye(3)[labels_n]
    patients_n = np.arange(200)

    drawn_r = bounds.replicates(labels_n, logits_nk, patients_n, 0.9)
    name, interval = bounds.headline(labels_n, logits_nk, patients_n, drawn_r, 0.9, 0.95)

    assert name == "accuracy"
    assert drawn_r.mean() == pytest.approx(interval.value, abs=0.01)
    assert interval.lower < interval.value < interval.upper


@pytest.mark.parametrize(("positives", "negatives"), [(40, 14), (160, 56)])
def test_the_upper_bound_errs_as_seldom_as_it_says(positives: int, negatives: int) -> None:
    """
    The true sensitivity at the true threshold is over the upper 95 % bound in few of 300 sets,
    and far more often over the bound that takes the threshold for known.
    """
    truth, missed, naive = 0.888, 0, 0  # P(Z > z_0.9 - 2.5)

    for seed in range(300):
        labels_n, logits_nk, patients_n = films(seed, positives, negatives)
        drawn_r = bounds.replicates(labels_n, logits_nk, patients_n, 0.9, rounds=100)
        _, interval = bounds.headline(labels_n, logits_nk, patients_n, drawn_r, 0.9, 0.95)
        missed += interval.upper < truth
        naive += selection.headline(labels_n, logits_nk, patients_n, 0.9, 0.95)[1].upper < truth

    # 2.5 % are 7.5 sets; 14 is what a right bound would pass in one of a hundred tests.
    assert missed <= 14
    assert naive > 25


def test_a_set_without_negatives_is_unknown() -> None:
    """Sensitivity at a specificity says nothing without negatives."""
    labels_n, logits_nk, patients_n = films(0, 40, 0)

    drawn_r = bounds.replicates(labels_n, logits_nk, patients_n, 0.9)
    _, interval = bounds.headline(labels_n, logits_nk, patients_n, drawn_r, 0.9, 0.95)

    assert np.isnan(drawn_r).all()
    assert np.isnan([interval.value, interval.lower, interval.upper]).all()
