"""Patients are divided, never films."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

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


def test_official_split_is_not_mended() -> None:
    """A patient on both sides of an official split stays there, for the leak gate to find."""
    samples = [*clinic(40), film("p3", 1, split="test"), film("p2", 0, split="test")]

    assigned = splits.assign(samples, SplitPlan(keep_official_test=True))

    assert len(by_patient(samples, assigned)["p3"]) == 2
    with pytest.raises(DataError, match="2 patients are in more than one split"):
        splits.refuse_leaks([sample.patient for sample in samples], assigned)


def test_all_official_splits_can_be_kept() -> None:
    """Every film stays where the source put it."""
    samples = [
        film(f"{split}{number}", number % 2, split=split)
        for split in splits.SPLITS
        for number in range(4)
    ]

    assigned = splits.assign(samples, SplitPlan(keep_official=True))

    assert assigned == [sample.split for sample in samples]


def test_film_without_an_official_split_is_refused() -> None:
    """Where all splits are to be kept, every film must have one."""
    samples = [film(f"{s}{n}", n % 2, split=s) for s in splits.SPLITS for n in range(2)]

    with pytest.raises(DataError, match="1 films have no official split"):
        splits.assign([*samples, film("p", 1)], SplitPlan(keep_official=True))


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


def entries(samples: Sequence[Sample], assigned: Sequence[str]) -> list[splits.Entry]:
    """A division as it is saved; the patients' names stand in for hashes."""
    return [
        (f"hash of {sample.patient}", sample.patient, split)
        for sample, split in zip(samples, assigned, strict=True)
    ]


def hashes(samples: Sequence[Sample]) -> list[str]:
    """The hashes of ``entries``."""
    return [f"hash of {sample.patient}" for sample in samples]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The division of forty patients, one film each."""
    samples = clinic(40, films=1)
    path = tmp_path / splits.NAME
    splits.save(path, entries(samples, splits.assign(samples, SplitPlan())))
    return path


def test_saved_division_comes_back(saved: Path) -> None:
    """The same films get the same splits, whatever the shares and the seed say now."""
    samples = clinic(40, films=1)
    plan = SplitPlan(file=saved, validation=0.4, seed=7)

    assert splits.reuse(samples, hashes(samples), plan) == splits.assign(samples, SplitPlan())


def test_digest_does_not_depend_on_order(saved: Path, tmp_path: Path) -> None:
    """The file and its digest are the same in whatever order the films come."""
    again = tmp_path / "again.json"

    digest = splits.save(again, splits.load(saved)[::-1])

    assert again.read_bytes() == saved.read_bytes()
    assert digest in saved.read_text()


def test_changed_division_is_refused(saved: Path) -> None:
    """A film moved by hand from test to train is noticed."""
    saved.write_text(saved.read_text().replace('"test"', '"train"', 1))

    with pytest.raises(DataError, match="it was changed after it was saved"):
        splits.load(saved)


@pytest.mark.parametrize("content", ["", "[]", '{"films": 3, "digest": ""}', "{}"])
def test_other_file_is_refused(tmp_path: Path, content: str) -> None:
    """A file of another kind is no crash."""
    (tmp_path / "x.json").write_text(content)

    with pytest.raises(DataError, match="is no division that preparation saved"):
        splits.load(tmp_path / "x.json")


def test_missing_division_is_refused(tmp_path: Path) -> None:
    """A path without a file is told with what writes one."""
    with pytest.raises(DataError, match=r"No such file.*splits\.json"):
        splits.load(tmp_path / "no.json")


def test_unknown_films_are_refused_with_the_way_out(saved: Path) -> None:
    """How many films the division does not know, and how to extend it."""
    samples = [*clinic(40, films=1), film("new", 1), film("newer", 0)]

    with pytest.raises(DataError, match=r"2 of 42 films .* set splits\.extend to true"):
        splits.reuse(samples, hashes(samples), SplitPlan(file=saved))


def test_extended_division_moves_nobody(saved: Path) -> None:
    """Known patients stay with all their films, also new ones; new patients are divided."""
    before = clinic(40, films=1)
    more = [film(f"q{number}", number % 2) for number in range(40)]
    follow_up = [film(sample.patient, sample.label, sample.site) for sample in before]
    known = hashes(before)
    new = [f"hash of a second film of {sample.patient}" for sample in follow_up]

    assigned = splits.reuse(
        [*before, *follow_up, *more],
        [*known, *new, *hashes(more)],
        SplitPlan(file=saved, extend=True),
    )

    old = splits.reuse(before, known, SplitPlan(file=saved))
    assert assigned[:40] == assigned[40:80] == old
    assert Counter(assigned[80:]) == {"train": 28, "validation": 6, "test": 6}


@pytest.mark.parametrize(
    "wrong", [{"extend": True}, {"file": "s.json", "keep_official_test": True}]
)
def test_plan_has_one_source(wrong: dict[str, object]) -> None:
    """Extending needs a file, and a file leaves no room for the official split."""
    with pytest.raises(ValidationError, match=r"extend needs a file|two divisions"):
        SplitPlan.model_validate(wrong)
