"""The report says what a table holds, and what could give a class away."""

from dataclasses import replace

import numpy as np
import pytest

from lucency.datasets import report
from lucency.datasets.base import Sample
from lucency.datasets.clean import Film, Inspection, SetAside

CLASSES = ("NO", "YES")


def film(number: int, label: int = 0, *, width: int = 20, patient: str = "") -> Film:
    """A film of which only the facts are known."""
    sample = Sample(f"film {number}", bytes, label, patient or f"p{number}", "a", view="PA")
    facts = (f"{number:064}", width, 20, "gray", "png", 1000, 100.0)
    return Film(sample, *facts, thumbnail=np.zeros((16, 16), np.uint8))


def test_films_and_patients_are_counted() -> None:
    """The report gives both counts, for the whole and for each split."""
    films = [film(0, patient="a"), film(1, patient="a"), film(2, 1)]
    inspection = Inspection(films, [SetAside("c", "empty", "no bytes")])

    told = report.build(inspection, ["train", "train", "test"], CLASSES)

    assert (told["films"], told["patients"]) == (3, 2)
    assert told["splits"]["train"] == {"films": 2, "patients": 1, "classes": {"NO": 2}}
    assert told["splits"]["validation"] == {"films": 0, "patients": 0, "classes": {}}
    assert told["set_aside_by_reason"] == {"empty": 1}
    assert told["views"] == {"PA": 3}
    assert told["scanners"] == {"not given": 3}
    assert (told["modes"], told["formats"]) == ({"gray": 3}, {"png": 3})


def test_flags_are_listed_by_film() -> None:
    """A film with two flags stands there twice."""
    inspection = Inspection([replace(film(0), flags=("lateral", "text"))], [])

    told = report.build(inspection, ["train"], CLASSES)

    assert told["flagged"] == [
        {"name": "film 0", "reason": "lateral"},
        {"name": "film 0", "reason": "text"},
    ]
    assert told["flagged_by_reason"] == {"lateral": 1, "text": 1}


def test_shape_that_gives_the_class_away_is_named() -> None:
    """Aspect ratios that tell the classes apart are a possible shortcut, with medians by class."""
    films = [film(n, n % 2, width=30 + 10 * (n % 2)) for n in range(80)]

    found = report.differences(films, CLASSES)

    assert found["aspect ratio"]["auroc"] == 1.0
    assert found["aspect ratio"]["shortcut"]
    assert found["aspect ratio"]["by_class"]["YES"]["median"] == 2.0
    assert found["file size"]["auroc"] == 0.5
    assert not found["file size"]["shortcut"]


def test_few_films_warn_of_nothing() -> None:
    """With a handful of films a difference is chance."""
    films = [film(n, n % 2, width=30 + 10 * (n % 2)) for n in range(8)]

    assert not report.differences(films, CLASSES)["aspect ratio"]["shortcut"]


def test_of_many_classes_the_worst_is_told() -> None:
    """One class against all others, the one that stands out most."""
    films = [film(n, n % 3, width=60 if n % 3 == 1 else 30) for n in range(150)]

    found = report.differences(films, ("A", "B", "C"))["aspect ratio"]

    assert (found["stands_out"], found["auroc"]) == ("B", 1.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 2, 3, 4], 1.0), ([4, 3, 2, 1], 0.0), ([1, 1, 1, 1], 0.5), ([1, 3, 2, 4], 0.75)],
)
def test_auroc_counts_pairs(values: list[int], expected: float) -> None:
    """The share of pairs in which the positive has the larger value, a tie counting half."""
    positive = np.array([False, False, True, True])

    assert report.auroc(np.array(values), positive) == expected


def test_histogram_counts_every_film() -> None:
    """No film falls out at the edges."""
    films = [film(n, n % 2, width=20 + n) for n in range(50)]

    stored = report.differences(films, CLASSES)["pixels"]["histogram"]

    assert {name: sum(counts) for name, counts in stored["films"].items()} == {"NO": 25, "YES": 25}
