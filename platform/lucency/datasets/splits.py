"""Who is trained on, who chooses, who judges: splits by patient."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lucency import seed
from lucency.datasets.base import Sample
from lucency.errors import DataError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class SplitPlan(BaseModel):
    """
    How patients are divided.

    Attributes:
        validation: Share of the patients.
        test: Share of the patients; ignored when the official test split is kept.
        keep_official_test: Films that the source calls ``test`` stay there and nothing joins
            them; all others are divided anew into train and validation.
        seed: Another seed, another division.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: Annotated[float, Field(gt=0, lt=1)] = 0.15
    keep_official_test: bool = False
    seed: int = 0

    @model_validator(mode="after")
    def _leaves_patients_to_train_on(self) -> "SplitPlan":
        if not self.keep_official_test and self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation} and test {self.test} leave nothing to train on"
            )
        return self


def assign(samples: Sequence[Sample], plan: SplitPlan) -> list[Split]:
    """
    The split of every sample, stratified by the patient's label and site.

    Raises:
        DataError: a patient stands on both sides of the official test split, or a split
            would have no patient of some class.
    """
    fixed = {sample.patient for sample in samples if sample.split == "test"}
    if not plan.keep_official_test:
        fixed = set()
    else:
        _refuse_shared(samples)
    # By patient, not by film: with two films of one child on both sides the model would be
    # graded on recognising the child.
    strata: dict[tuple[int, str], set[str]] = defaultdict(set)
    labels: dict[str, int] = {}
    for sample in samples:
        labels[sample.patient] = max(sample.label, labels.get(sample.patient, 0))
    for sample in samples:
        if sample.patient not in fixed:
            strata[labels[sample.patient], sample.site].add(sample.patient)
    shares = {"validation": plan.validation}
    if not plan.keep_official_test:
        shares["test"] = plan.test
    chosen: dict[str, Split] = {patient: "test" for patient in fixed}
    for stratum, members in sorted(strata.items()):
        chosen.update(_divide(sorted(members), stratum, shares, plan.seed))
    _refuse_empty(chosen, labels)
    return [chosen[sample.patient] for sample in samples]


def refuse_leaks(patients: Sequence[str], splits: Sequence[str]) -> None:
    """
    Check that no patient is in two splits.

    Raises:
        DataError: names how many and the first of them.
    """
    seen: dict[str, set[str]] = defaultdict(set)
    for patient, split in zip(patients, splits, strict=True):
        seen[patient].add(split)
    shared = sorted(patient for patient, found in seen.items() if len(found) > 1)
    if shared:
        raise DataError(
            f"{len(shared)} patients are in more than one split, the first is {shared[0]!r}: "
            "prepare the table again so that each patient is in one"
        )


def _divide(
    members: list[str], stratum: tuple[int, str], shares: Mapping[str, float], seed_number: int
) -> dict[str, Split]:
    order = seed.generator(seed_number, "split", *stratum).permutation(len(members))
    shuffled = [members[index] for index in order]
    result: dict[str, Split] = {}
    start = 0
    for split in SPLITS[1:]:
        count = round(shares.get(split, 0.0) * len(members))
        result.update({patient: split for patient in shuffled[start : start + count]})
        start += count
    result.update({patient: "train" for patient in shuffled[start:]})
    return result


def _refuse_shared(samples: Sequence[Sample]) -> None:
    tested = {sample.patient for sample in samples if sample.split == "test"}
    others = {sample.patient for sample in samples if sample.split != "test"}
    if not tested:
        raise DataError(
            "keep_official_test is on, but the source marks no film as test: switch it off"
        )
    if shared := sorted(tested & others):
        raise DataError(
            f"{len(shared)} patients are in the official test split and outside it, the first is "
            f"{shared[0]!r}: set keep_official_test to false to divide all patients anew"
        )


def _refuse_empty(chosen: Mapping[str, Split], labels: Mapping[str, int]) -> None:
    present = {(split, labels[patient]) for patient, split in chosen.items()}
    for split in SPLITS:
        for label in sorted(set(labels.values())):
            if (split, label) not in present:
                raise DataError(
                    f"the {split} split would hold no patient of class {label}: the set has too "
                    "few patients of that class for these shares"
                )
