"""Folds by patient."""

import numpy as np
import pytest

from lucency.evaluation import folds


def test_every_film_is_judged_once_and_apart_from_its_patient() -> None:
    """No patient is on both sides of a fold, and each side knows every class."""
    labels_n, patients_n = np.arange(60) % 2, np.arange(60) // 3

    parts = folds.by_patient(labels_n, patients_n, 2)

    assert len(parts) == folds.FOLDS
    judged = np.concatenate([judged for _, judged in parts])
    assert sorted(judged.tolist()) == list(range(60))
    for learned, apart in parts:
        assert not set(patients_n[learned]) & set(patients_n[apart])
        assert set(labels_n[learned]) == {0, 1}


def test_few_patients_make_few_folds() -> None:
    """As many as the rarer class has patients."""
    labels_n = np.array([0] * 9 + [1] * 3)

    assert len(folds.by_patient(labels_n, np.arange(12), 2)) == 3


@pytest.mark.parametrize(("labels", "classes"), [([0, 0, 0, 1], 2), ([0, 1, 0, 1], 3)])
def test_one_patient_of_a_class_makes_none(labels: list[int], classes: int) -> None:
    """Nothing could be fitted on some and judged on others."""
    assert folds.by_patient(np.array(labels), np.arange(4), classes) == []
