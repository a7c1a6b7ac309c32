"""The report as a page: everything in it, nothing from elsewhere."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lucency.datasets import page, report
from lucency.datasets.base import Sample
from lucency.datasets.clean import Film, Inspection, SetAside


@pytest.fixture
def told() -> dict[str, Any]:
    """The report on sixty films, two set aside and one flagged."""
    films = [
        Film(
            Sample(f"film {n}", bytes, n % 2, f"p{n}", "<b>site</b>"),
            f"{n:064}", 20 + n, 20, "gray", "png", 1000 + n % 2, 100.0,
            thumbnail=np.zeros((16, 16), np.uint8),
        )
        for n in range(60)
    ]  # fmt: skip
    films[0] = replace(films[0], flags=("lateral",))
    refused = [SetAside(f"lost {n}", "truncated", "cut off") for n in range(2)]
    return {
        "dataset": "chest",
        "digest": "d" * 64,
        "splits_digest": "s" * 64,
        "leak_gate": {"gate": True, "near": True, "against": None},
        **report.build(Inspection(films, refused), ["train"] * 60, ("WELL", "ILL")),
    }


def test_page_tells_what_the_report_holds(told: dict[str, Any]) -> None:
    """Digests, lists by reason, and the shortcut with its figure are there."""
    html = page.render(told, b"PNG")

    for expected in ("d" * 64, "s" * 64, "lost 1", "truncated", "lateral", "AUROC 1.000"):
        assert expected in html
    assert "file size" in told["shortcuts"]


def test_page_loads_nothing(told: dict[str, Any]) -> None:
    """No address, no script; pictures are inside."""
    html = page.render(told, b"PNG")

    assert "default-src 'none'" in html
    assert not re.search(r"https?://|<script|<link|@import", html)
    assert re.findall(r'src="(.{22})', html) == ["data:image/png;base64,"]


def test_names_are_text(told: dict[str, Any]) -> None:
    """What a site or a class is called never becomes part of the page."""
    told["differences"]["pixels"]["histogram"]["films"]["<i>x</i>"] = [1] * 32

    html = page.render(told, b"PNG")

    assert "<b>site" not in html
    assert "<i>x" not in html
    assert "&lt;b&gt;site" in html


def test_gate_that_was_off_is_said(told: dict[str, Any]) -> None:
    """A table whose pixels nobody compared does not read as one that passed."""
    html = page.render({**told, "leak_gate": {"gate": False}}, b"PNG")

    assert "pixels were not compared" in html
    assert "passed" not in html


def test_long_lists_end(told: dict[str, Any]) -> None:
    """Of thousands of films the page lists some and says where the rest is."""
    many = [{"name": f"n{n}", "reason": "blank", "message": ""} for n in range(1000)]

    html = page.render({**told, "set_aside": many}, b"PNG")

    assert "and 700 more in report.json" in html


def test_equal_values_need_no_curve(told: dict[str, Any]) -> None:
    """A quantity that is the same everywhere is a sentence."""
    assert "All films have the same" in page.histogram(told["differences"]["mean brightness"])
    assert page.histogram(told["differences"]["pixels"]).count("<path") == 2


@pytest.mark.parametrize(
    ("value", "text"), [(1.4932, "1.49"), (131.24, "131.2"), (50176.0, "50,176")]
)
def test_figures_have_the_digits_that_are_read(value: float, text: str) -> None:
    """Small numbers keep two decimals, large ones none."""
    assert page.figure(value) == text
