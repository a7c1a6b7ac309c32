"""Patients are divided, never films."""

from collections import Counter
from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from lucency.datasets import splits
from lucency.datasets.base import Sample
from lucency.datasets.splits import SplitPlan
from lucency.errors import DataError


def film(patient: str, label: int, site: str = "a", split: str | None = None) -> Sample:
    """A film whose pixels nobody asks for."""
    return Sample(patient, bytes, label, patient, site, split)


def clinic(patients: int, films: int = 3) -> list[Sample]:
    """Half of the patients are ill; each second pair was seen at site b."""
    return [
        film(f"p{number}", number % 2, "ab"[number // 2 % 2])
        for number in range(patients)
        for _ in range(films)
    ]


def by_patient(samples: Sequence[Sample], assigned: Sequence[str]) -> dict[str, set[str]]:
    """The splits in which each patient stands."""
    found: dict[str, set[str]] = {}
    for sample, split in zip(samples, assigned, strict=True):
        found.setdefault(sample.patient, set()).add(split)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_no_patient_is_in_two_splits(seed: int) -> None:
    """All films of one child are on the same side, whatever the seed."""
    samples = clinic(80)

    assigned = splits.assign(samples, SplitPlan(seed=seed))

    assert all(len(found) == 1 for found in by_patient(samples, assigned).values())


def test_shares_are_of_patients() -> None:
    """The plan's shares count patients, within each label and site."""
    samples = clinic(80, films=2)
    plan = SplitPlan(validation=0.2, test=0.1)

    assigned = splits.assign(samples, plan)

    assert Counter(assigned) == {"train": 2 * 56, "validation": 2 * 16, "test": 2 * 8}
    tested = {
        (sample.label, sample.site): 0
        for sample, split in zip(samples, assigned, strict=True)
        if split == "test"
    }
    assert len(tested) == 4


def test_division_repeats_itself() -> None:
    """The same plan divides the same patients alike, in whatever order their films come."""
    samples = clinic(40)

    forward = by_patient(samples, splits.assign(samples, SplitPlan()))
    backward = by_patient(samples[::-1], splits.assign(samples[::-1], SplitPlan()))

    assert forward == backward


def test_another_seed_divides_anew() -> None:
    """The seed is what decides who is judged."""
    samples = clinic(40)

    assert splits.assign(samples, SplitPlan(seed=0)) != splits.assign(samples, SplitPlan(seed=1))


@pytest.mark.parametrize("labels", [(0, 1), (1, 0)])
def test_patient_with_both_labels_counts_as_ill(labels: tuple[int, int]) -> None:
    """A child with a normal and an abnormal film is one patient, divided among the ill."""
    mixed = [*clinic(40), *(film("both", label) for label in labels)]
    ill = [*clinic(40), film("both", 1), film("both", 1)]

    assert splits.assign(mixed, SplitPlan()) == splits.assign(ill, SplitPlan())


def test_official_test_split_is_kept() -> None:
    """Films that the source calls test stay there, and nothing joins them."""
    tested = [film(f"t{number}", number % 2, split="test") for number in range(4)]
    samples = [*clinic(40), *tested]

    assigned = splits.assign(samples, SplitPlan(keep_official_test=True))

    assert [split == "test" for split in assigned] == [False] * (len(samples) - 4) + [True] * 4


def test_official_validation_is_divided_anew() -> None:
    """Only the official test split binds: the source's validation films may train."""
    others = [film(f"v{number}", number % 2, split="validation") for number in range(40)]
    tested = [film(f"t{number}", number % 2, split="test") for number in range(2)]

    assigned = splits.assign([*others, *tested], SplitPlan(keep_official_test=True))

    assert Counter(assigned) == {"train": 34, "validation": 6, "test": 2}


def test_official_split_that_leaks_is_refused() -> None:
    """A patient on both sides of the official test split is named, with the way out."""
    samples = [*clinic(40), film("p3", 1, split="test")]

    with pytest.raises(DataError, match="'p3': set keep_official_test to false"):
        splits.assign(samples, SplitPlan(keep_official_test=True))


def test_official_split_must_exist() -> None:
    """Keeping a test split that the source does not have is refused."""
    with pytest.raises(DataError, match="marks no film as test"):
        splits.assign(clinic(40), SplitPlan(keep_official_test=True))


def test_class_without_patients_in_a_split_is_refused() -> None:
    """A split in which a class can't be judged is refused, with the split and the class."""
    with pytest.raises(DataError, match="the validation split would hold no patient of class"):
        splits.assign(clinic(4), SplitPlan())


def test_leak_is_counted_and_named() -> None:
    """A table that holds a patient in two splits is refused with the first of them."""
    with pytest.raises(DataError, match=r"1 patients are in more than one split.* 'b'"):
        splits.refuse_leaks(["a", "b", "b"], ["train", "train", "test"])


def test_clean_division_passes() -> None:
    """Patients that are each in one split are let through."""
    splits.refuse_leaks(["a", "a", "b"], ["train", "train", "test"])


def test_plan_must_leave_patients_to_train_on() -> None:
    """Shares that use up all patients are refused."""
    with pytest.raises(ValidationError, match="leave nothing to train on"):
        SplitPlan(validation=0.5, test=0.5)
