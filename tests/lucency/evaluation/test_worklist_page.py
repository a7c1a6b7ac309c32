"""The page of a worklist."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lucency import images
from lucency.evaluation.worklist import Case
from lucency.evaluation.worklist_page import Shown, render

CASE = Case(
    case="abcdef01-0001",
    film="0" * 12,
    kind="false_negative",
    label="PNEUMONIA",
    called="NORMAL",
    probability=0.1,
    distance_logit=-2.0,
    distance_probability=-0.4,
    reason="clear",
    site="<b>north</b>",
)
FILM = images.encode_png(np.zeros((20, 20, 1), np.uint8))


def _record(**changes: Any) -> dict[str, Any]:
    return {
        "digest": "abcdef01" * 8,
        "model": {"name": "test", "digest": "1" * 64},
        "data": {"name": "phantom", "digest": "2" * 64, "drawn": True},
        "split": "validation",
        "reason": "",
        "threshold": 0.5,
        "labels": ["NORMAL", "PNEUMONIA"],
        "films": 9,
        "patients": 8,
        "cases": {"false_negative": 3, "false_positive": 0, "uncertain": 2},
        **changes,
    }


def test_a_case_stands_beside_its_overlay() -> None:
    """Two pictures a case, read when they are scrolled to, and nothing from elsewhere."""
    page = render(_record(), [Shown(CASE, FILM, FILM)])

    assert page.count('loading="lazy"') == 2
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page.replace("http-equiv", "")


def test_a_network_without_maps_has_films_alone() -> None:
    """No overlay, no empty picture."""
    assert render(_record(), [Shown(CASE, FILM, None)]).count("<img") == 1


@pytest.mark.parametrize("text", ["1 of 3 cases", "2 cases, none shown here", "None."])
def test_the_page_says_what_it_leaves_out(text: str) -> None:
    """Of each kind it tells how many there are, shown or not."""
    assert text in render(_record(), [Shown(CASE, FILM, None)])


def test_a_site_is_text() -> None:
    """A name with markup stays a name."""
    page = render(_record(), [Shown(CASE, FILM, None)])

    assert "&lt;b&gt;north" in page
    assert "<b>north" not in page


def test_test_films_are_told_as_such() -> None:
    """The reason for which the split was opened is on the page."""
    page = render(_record(split="test", reason="errors of label"), [])

    assert "opened for this: errors of label" in page
    assert "opened for this" not in render(_record(), [replace(Shown(CASE, FILM, None))])
