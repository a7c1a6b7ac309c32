"""Who is trained on, who chooses, who judges: splits by patient, saved to be used again."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lucency import files, seed
from lucency.datasets.base import Sample
from lucency.errors import DataError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
NAME = "splits.json"

# A film's content hash, its patient, its split.
Entry = tuple[str, str, str]


class SplitPlan(BaseModel):
    """
    How patients are divided.

    Attributes:
        validation: Share of the patients.
        test: Share of the patients; ignored when the official test split is kept.
        keep_official_test: Films that the source calls ``test`` stay there and nothing joins
            them; all others are divided anew into train and validation.
        keep_official: All three splits stay as the source gives them.
        file: A saved division (``splits.json``) to use again, whatever the shares say.
        extend: Divide patients whom the file does not know by this plan, instead of refusing.
        seed: Another seed, another division, and another order of rows in the table.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: Annotated[float, Field(gt=0, lt=1)] = 0.15
    keep_official_test: bool = False
    keep_official: bool = False
    file: Path | None = None
    extend: bool = False
    seed: int = 0

    @model_validator(mode="after")
    def _leaves_patients_to_train_on(self) -> "SplitPlan":
        if not self.official and self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation} and test {self.test} leave nothing to train on"
            )
        return self

    @model_validator(mode="after")
    def _has_one_source(self) -> "SplitPlan":
        if self.file is not None and self.official:
            raise ValueError("a file and the official split are two divisions: name one of them")
        if self.extend and self.file is None:
            raise ValueError("extend needs a file to extend")
        return self

    @property
    def official(self) -> tuple[str, ...]:
        """Splits of the source whose films stay where they are."""
        if self.keep_official:
            return SPLITS
        return ("test",) if self.keep_official_test else ()


def assign(samples: Sequence[Sample], plan: SplitPlan) -> list[str]:
    """
    The split of every sample, stratified by the patient's label and site.

    Official splits are taken as they are, a patient in two of them included: that is for
    ``refuse_leaks`` and the leak gate to find.

    Raises:
        DataError: the source names no such official split, or a split would have no patient of
            some class.
    """
    _refuse_unmarked(samples, plan)
    labels = _labels(samples)
    # By patient, not by film: with two films of one child on both sides the model would be
    # graded on recognising the child.
    free = [sample for sample in samples if sample.split not in plan.official]
    chosen = _divided(free, labels, plan)
    assigned = [
        str(sample.split) if sample.split in plan.official else chosen[sample.patient]
        for sample in samples
    ]
    _refuse_empty(samples, assigned, labels)
    return assigned


def reuse(samples: Sequence[Sample], hashes: Sequence[str], plan: SplitPlan) -> list[str]:
    """
    The split of every sample as a saved division has it.

    Args:
        hashes: Content hash of every sample.

    Raises:
        DataError: the file is not one, was changed, or does not know all films.
    """
    assert plan.file is not None, "there is a file to use again"
    saved = load(plan.file)
    by_film = {sha256: split for sha256, _, split in saved}
    unknown = [sha256 for sha256 in hashes if sha256 not in by_film]
    if unknown and not plan.extend:
        raise DataError(
            f"{len(unknown)} of {len(hashes)} films are not in the saved division "
            f"{str(plan.file)!r}, the first has SHA-256 {unknown[0][:12]!r}: prepare the films "
            "that it was made of, or set splits.extend to true, which leaves its patients where "
            "they are and divides new ones by the shares"
        )
    by_patient = {patient: split for _, patient, split in saved}
    by_patient |= {
        sample.patient: by_film[sha256]
        for sample, sha256 in zip(samples, hashes, strict=True)
        if sha256 in by_film
    }
    new = [sample for sample in samples if sample.patient not in by_patient]
    by_patient |= _divided(new, _labels(new), plan)
    return [
        by_film.get(sha256, by_patient[sample.patient])
        for sample, sha256 in zip(samples, hashes, strict=True)
    ]


def digest(entries: Sequence[Entry]) -> str:
    """SHA-256 over who is where, whatever the order of the films."""
    return files.digest(sorted(entries))


def save(path: Path, entries: Sequence[Entry]) -> str:
    """Write a division, one film a line, under its digest; gives the digest."""
    lines = ",\n".join(f"  {json.dumps(entry)}" for entry in sorted(entries))
    found = digest(entries)
    files.write_text(path, f'{{"digest": "{found}",\n "films": [\n{lines}\n]}}\n')
    return found


def load(path: Path) -> list[Entry]:
    """
    Read what ``save`` wrote.

    Raises:
        DataError: there is no such file, or it is not what was saved.
    """
    try:
        stored: Any = json.loads(path.read_text(encoding="utf-8"))
        entries = [
            (str(film), str(patient), str(split)) for film, patient, split in stored["films"]
        ]
        promised = stored["digest"]
    except OSError as cause:
        raise DataError(
            f"the saved division {str(path)!r} can't be read ({cause.strerror}); preparation "
            f"writes one beside each table, as {NAME}"
        ) from cause
    except (KeyError, TypeError, ValueError) as cause:
        raise DataError(
            f"{str(path)!r} is no division that preparation saved ({type(cause).__name__}: {cause})"
        ) from cause
    found = digest(entries)
    odd = sorted({split for _, _, split in entries} - set(SPLITS))
    if found != promised or odd:
        raise DataError(
            f"{str(path)!r} has digest {found[:12]!r} and promises {str(promised)[:12]!r}: it was "
            "changed after it was saved; take the original, or divide anew without it"
            if not odd
            else f"{str(path)!r} holds the splits {odd}; expected {list(SPLITS)}"
        )
    return entries


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


def _labels(samples: Sequence[Sample]) -> dict[str, int]:
    """By patient: one with a normal and an abnormal film counts as ill."""
    labels: dict[str, int] = {}
    for sample in samples:
        labels[sample.patient] = max(sample.label, labels.get(sample.patient, 0))
    return labels


def _divided(
    samples: Sequence[Sample], labels: Mapping[str, int], plan: SplitPlan
) -> dict[str, str]:
    """The split of every patient; nothing here depends on the order of samples."""
    sites: dict[str, str] = {}
    for sample in samples:
        sites[sample.patient] = min(sample.site, sites.get(sample.patient, sample.site))
    strata: dict[tuple[int, str], list[str]] = defaultdict(list)
    for patient, site in sorted(sites.items()):
        strata[labels[patient], site].append(patient)
    shares = {"validation": plan.validation, "test": 0.0 if plan.official else plan.test}
    return {
        patient: split
        for stratum, members in strata.items()
        for patient, split in _divide(members, stratum, shares, plan.seed).items()
    }


def _divide(
    members: list[str], stratum: tuple[int, str], shares: Mapping[str, float], seed_number: int
) -> dict[str, Split]:
    order = seed.generator(seed_number, "split", *stratum).permutation(len(members))
    shuffled = [members[index] for index in order]
    result: dict[str, Split] = {}
    start = 0
    for split in SPLITS[1:]:
        count = round(shares[split] * len(members))
        result.update({patient: split for patient in shuffled[start : start + count]})
        start += count
    result.update({patient: "train" for patient in shuffled[start:]})
    return result


def _refuse_unmarked(samples: Sequence[Sample], plan: SplitPlan) -> None:
    marked = {sample.split for sample in samples}
    if missing := [split for split in plan.official if split not in marked]:
        option = "keep_official" if plan.keep_official else "keep_official_test"
        raise DataError(
            f"{option} is on, but the source marks no film as {missing[0]}: switch it off"
        )
    unmarked = sum(sample.split not in SPLITS for sample in samples)
    if plan.keep_official and unmarked:
        raise DataError(
            f"keep_official is on, but {unmarked} films have no official split: switch it off"
        )


def _refuse_empty(
    samples: Sequence[Sample], assigned: Sequence[str], labels: Mapping[str, int]
) -> None:
    present = {
        (split, labels[sample.patient]) for sample, split in zip(samples, assigned, strict=True)
    }
    for split in SPLITS:
        for label in sorted(set(labels.values())):
            if (split, label) not in present:
                raise DataError(
                    f"the {split} split would hold no patient of class {label}: the set has too "
                    "few patients of that class for these shares"
                )
