"""Only films that show something, each once, get into a table; the rest is told with a reason."""

from pathlib import Path

import numpy as np
import pytest

from lucency.datasets import clean
from lucency.datasets.base import Sample
from lucency.images import encode_png


def picture(seed: int, shape: tuple[int, int] = (20, 30)) -> bytes:
    """A PNG that shows something."""
    return encode_png(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8))


def film(name: str, data: bytes, label: int = 0, patient: str | None = None) -> Sample:
    """A sample of these bytes."""
    return Sample(name, lambda: data, label, patient or name, "a")


def test_good_film_is_measured() -> None:
    """A film that passes is kept with its bytes and its size, width first."""
    data = picture(0)

    (kept,) = clean.inspect([film("one", data)]).films

    assert kept.data == data
    assert (kept.width, kept.height) == (30, 20)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a", "unsupported_type"),
        (picture(0)[:-200], "truncated"),
        (picture(0, (8, 8)), "too_small"),
        (encode_png(np.full((20, 30), 128, np.uint8)), "blank"),
    ],
    ids=["empty", "gif", "cut", "small", "blank"],
)
def test_unusable_film_is_set_aside(data: bytes, reason: str) -> None:
    """A film that can't be used is told by name and reason, and the others go on."""
    inspection = clean.inspect([film("bad", data), film("good", picture(1))])

    assert [kept.sample.name for kept in inspection.films] == ["good"]
    assert [(aside.name, aside.reason) for aside in inspection.set_aside] == [("bad", reason)]


def test_same_bytes_are_kept_once() -> None:
    """One film under two patients stays under its first name, so that it can't leak."""
    inspection = clean.inspect([film("a", picture(0)), film("b", picture(0))])

    (aside,) = inspection.set_aside
    assert [kept.sample.name for kept in inspection.films] == ["a"]
    assert (aside.name, aside.reason) == ("b", "duplicate")
    assert aside.message == "the same bytes as 'a'"


def test_unreadable_file_is_set_aside(tmp_path: Path) -> None:
    """A file that the disk does not give is a film set aside and not the end of the work."""
    missing = Sample("gone", (tmp_path / "gone.png").read_bytes, 0, "p", "a")

    inspection = clean.inspect([missing, film("good", picture(1))])

    assert inspection.set_aside[0].reason == "unreadable"
    assert "No such file" in inspection.set_aside[0].message
    assert len(inspection.films) == 1


def test_report_counts_films_and_patients() -> None:
    """The report gives both counts, for the whole and for each split."""
    samples = [
        film("a1", picture(0), 0, "a"),
        film("a2", picture(1), 0, "a"),
        film("b", picture(2), 1),
        film("c", b"", 1),
    ]

    report = clean.report(clean.inspect(samples), ["train", "train", "test"], ("NO", "YES"))

    assert (report["films"], report["patients"]) == (3, 2)
    assert report["splits"]["train"] == {"films": 2, "patients": 1, "classes": {"NO": 2}}
    assert report["splits"]["validation"] == {"films": 0, "patients": 0, "classes": {}}
    assert report["set_aside_by_reason"] == {"empty": 1}


def test_report_shows_a_shape_that_gives_the_class_away() -> None:
    """Aspect ratios are told by class, because a network would learn such a difference."""
    samples = [film("a", picture(0, (20, 40)), 0), film("b", picture(1, (40, 20)), 1)]

    report = clean.report(clean.inspect(samples), ["train", "train"], ("NO", "YES"))

    assert report["aspect_ratio_by_class"]["NO"]["median"] == 2.0
    assert report["aspect_ratio_by_class"]["YES"]["median"] == 0.5


def test_film_with_two_labels_is_not_kept() -> None:
    """The same bytes under two labels are both set aside, because one of the labels is wrong."""
    samples = [film(f"film {label}", picture(0), label) for label in (0, 1)]

    inspection = clean.inspect(samples)

    assert not inspection.films
    assert {refused.reason for refused in inspection.set_aside} == {"duplicate", "label_conflict"}
