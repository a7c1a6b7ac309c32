"""Prediction sets: their promise on new patients, and the reasons for leaving a film."""

import crepes
import numpy as np
import pytest

from lucency.evaluation import conformal
from lucency.evaluation.conformal import Conformal


def drawn(
    seed: int, patients: int, most_films: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities and patients of a model that errs; a patient's films are alike."""
    generator = np.random.default_rng(seed)
    films_p = generator.integers(1, most_films + 1, patients)
    patients_n = np.repeat(np.arange(patients), films_p)
    labels_n = (np.arange(patients) % 2)[patients_n]
    own_n = generator.normal(size=patients)[patients_n] + 0.3 * generator.normal(
        size=patients_n.size
    )
    positive_n = 1 / (1 + np.exp(-(own_n + 2.5 * (labels_n - 0.5))))
    return labels_n, np.stack([1 - positive_n, positive_n], axis=1), patients_n


@pytest.mark.parametrize("most_films", [1, 6])
def test_promise_holds_for_new_patients(most_films: int) -> None:
    """Over many draws, a film of a new patient has its label in the set as often as promised."""
    covered: dict[int, list[float]] = {0: [], 1: []}
    for seed in range(400):
        found = conformal.fit(*drawn(seed, 80, most_films), coverage=0.9)
        labels_n, given_nk, patients_n = drawn(10_000 + seed, 200, most_films)
        first_n = np.unique(patients_n, return_index=True)[1]
        inside_n = found.sets(given_nk)[np.arange(labels_n.size), labels_n][first_n]
        for label in covered:
            covered[label].append(inside_n[labels_n[first_n] == label].mean())

    means = [np.mean(shares) for shares in covered.values()]
    # Where each patient has one film no bound could be tighter by more than one patient's weight.
    assert all(0.9 - 0.006 < mean < 0.9 + 1 / 41 + 0.006 for mean in means), means


def test_one_film_a_patient_is_the_plain_method() -> None:
    """Without clusters the sets are those of a reference implementation."""
    labels_n, given_nk, patients_n = drawn(1, 300)
    _, others_nk, _ = drawn(2, 300)
    reference = crepes.ConformalClassifier().fit(
        1 - given_nk[np.arange(300), labels_n], bins=labels_n
    )
    expected = np.stack(
        [
            reference.predict_p(
                1 - others_nk, bins=np.full(300, label), all_classes=True, smoothing=False
            )[:, label]
            > 0.1
            for label in (0, 1)
        ],
        axis=1,
    )

    found = conformal.fit(labels_n, given_nk, patients_n, coverage=0.9).sets(others_nk)

    assert (found == expected).all()


def test_a_patient_weighs_the_same_however_often_filmed() -> None:
    """Copies of one patient's films change no bound."""
    labels_n, given_nk, patients_n = drawn(3, 100)
    again = np.concatenate([np.arange(100), np.repeat(17, 40)])

    once = conformal.fit(labels_n, given_nk, patients_n, coverage=0.9)
    often = conformal.fit(labels_n[again], given_nk[again], patients_n[again], coverage=0.9)

    assert once == often


def test_too_few_patients_rule_nothing_out() -> None:
    """Of 18 patients nothing is known of the worst 5 %: their label stays in every set."""
    labels_n, given_nk, patients_n = drawn(4, 36)

    found = conformal.fit(labels_n, given_nk, patients_n, coverage=0.95)

    assert found.least == (0.0, 0.0)
    assert found.sets(np.array([[1.0, 0.0]])).all()


@pytest.mark.parametrize(
    ("least", "positive", "called", "reason"),
    [
        ((0.7, 0.4), 0.9, 1, "clear"),
        ((0.7, 0.4), 0.1, 0, "clear"),
        ((0.4, 0.4), 0.5, 1, "several_labels"),
        ((0.8, 0.8), 0.5, 1, "no_label"),
        ((0.7, 0.4), 0.2, 1, "set_against_threshold"),
    ],
)
def test_every_film_has_its_reason(
    least: tuple[float, ...], positive: float, called: int, reason: str
) -> None:
    """A film is answered where one label alone remains and is the one that is called."""
    bounds = Conformal(coverage=0.9, least=least)
    (inside_k,) = bounds.sets(np.array([[1 - positive, positive]]))

    assert bounds.reason(inside_k, called) == reason


def test_assessment_counts_what_happened() -> None:
    """Coverage by class, errors among answered and abstained films, and films by reason."""
    bounds = Conformal(coverage=0.9, least=(0.6, 0.6))
    positive_n = np.array([0.1, 0.2, 0.5, 0.9, 0.9, 0.45])
    labels_n = np.array([0, 0, 0, 1, 0, 1])

    found = conformal.assess(
        bounds,
        labels_n,
        np.stack([1 - positive_n, positive_n], axis=1),
        (positive_n >= 0.5).astype(int),
        np.arange(6),
        classes=("NORMAL", "PNEUMONIA"),
        confidence=0.95,
    )

    assert found["coverage"]["NORMAL"].value == 0.5
    assert found["coverage"]["PNEUMONIA"].value == 0.5
    assert found["abstained"].value == pytest.approx(2 / 6)
    assert found["wrong"]["answered"].value == 0.25
    assert found["wrong"]["abstained"].value == 1.0
    assert found["reasons"] == {
        "clear": 4,
        "several_labels": 0,
        "no_label": 2,
        "set_against_threshold": 0,
    }
