"""The page of a study."""

import re
from typing import Any

import pytest

from lucency.explain import figures, report
from lucency.explain.study import Films, Study

RECORD = {
    "run": "made",
    "network": "<net>",
    "layer": "features",
    "map_size": [8, 8],
    "split": "validation",
    "films": 8,
    "patients": 4,
    "films_with_curves": 6,
    "films_randomised": 4,
    "films_by_target": {"opacity": 6},
    "explained": "ILL",
    "drawn": True,
    "unmeasured": {"lungs": "nobody knows them"},
}


def page(study: Study, films: Films, **changed: Any) -> str:
    """The report with a few of its facts changed."""
    return report.html(
        {**RECORD, **figures.record(study, films), **changed},
        study,
        films,
        grays=films.images_nchw[:, 0].numpy(),
        classes=("<WELL>", "ILL"),
        shown=4,
        settings="films: 8",
    )


def test_page_loads_nothing_and_escapes(small_study: Study, films: Films) -> None:
    """One file: pictures inside, no address, nothing that a name could smuggle in."""
    found = page(small_study, films)

    assert not re.search(r"(src|href)=.?https?:|<script|<link", found)
    assert "default-src 'none'" in found
    assert "&lt;net&gt;" in found
    assert "<WELL>" not in found


def test_films_stand_beside_every_method(small_study: Study, films: Films) -> None:
    """A row has the film and one picture a method."""
    found = page(small_study, films)

    assert found.count("data:image/png;base64,") == 4 * (1 + len(small_study.methods))
    assert found.count("<svg") == 2
    for name in ("CAM", "Grad-CAM", "integrated gradients", "saliency"):
        assert f"<th>{name}</th>" in found


def test_page_says_what_it_could_not_measure(small_study: Study, films: Films) -> None:
    """What no mask is known for is named with its reason, and drawn films are called so."""
    found = page(small_study, films)

    assert "Not measured for the lungs: nobody knows them." in found
    assert "Drawn films." in found


def test_doubts_are_told_first(small_study: Study, films: Films) -> None:
    """What speaks against a method is said before its pictures are shown."""
    record = figures.record(small_study, films)
    record["methods"]["cam"]["doubts"] = ["it was made up"]

    found = page(small_study, films, methods=record["methods"])

    assert found.index("it was made up") < found.index("data:image/png")


def test_shown_films_are_of_every_kind(small_study: Study, films: Films) -> None:
    """Both labels are among the first films, none is shown twice."""
    chosen = report.places(small_study, films, 4)

    assert set(films.labels_n[chosen].tolist()) == {0, 1}
    assert len(set(chosen)) == 4


@pytest.mark.parametrize(
    ("value", "signed", "said"),
    [
        (None, False, "\u2013"),
        ({"value": 0.5, "lower": 0.4, "upper": 0.6}, False, "0.50 (0.40\u20130.60)"),
        ({"value": 0.1, "lower": -0.1, "upper": 0.2}, True, "+0.10 (-0.10 to +0.20)"),
    ],
)
def test_intervals_read_as_people_write_them(
    value: dict[str, float] | None, signed: bool, said: str
) -> None:
    """Value and bounds; differences carry their sign; a dash where there is none."""
    assert report.interval(value, signed=signed) == said


def test_methods_have_their_usual_names() -> None:
    """Abbreviations are written as the field writes them."""
    assert [report._words(name) for name in ("cam", "grad_cam", "saliency")] == [
        "CAM",
        "Grad-CAM",
        "saliency",
    ]
