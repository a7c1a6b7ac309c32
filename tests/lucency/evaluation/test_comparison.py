"""The page of architectures side by side: complete, self-contained, honest about failures."""

import re
from typing import Any

import pytest

from lucency.evaluation import comparison


def row(model: str, **changes: Any) -> dict[str, Any]:
    """One trained pair."""
    return {
        "set": "digits",
        "model": model,
        "depth": 5,
        "filters": ["5x5", "3x3"],
        "parameters": 61_706,
        "multiply_adds": 416_520,
        "activation_bytes": 42_000,
        "measure": "accuracy",
        "figure": {"value": 0.9812, "lower": 0.9771, "upper": 0.9846},
        "best_epoch": 2,
        "images_per_s": 1234.0,
        "memory_mib": 640.0,
        "minutes": 1.25,
        **changes,
    }


HISTORY = [{"epoch": epoch, "validation_loss": 1 / epoch, "accuracy": 0.9} for epoch in (1, 2)]


def test_page_holds_every_pair_and_nothing_from_elsewhere() -> None:
    """Costs and figure of each pair are in the text; no script, no address is loaded."""
    rows = [row("lenet5"), row("vgg_small", set="photos", parameters=3_000_000)]

    page = comparison.render(rows, {"lenet5 on digits": HISTORY}, budget={"batch_size": 64})

    for expected in ("lenet5", "vgg_small", "98.12 % (97.71 to 98.46)", "61.7 k", "3 M", "5x5"):
        assert expected in page
    assert "batch_size" in page
    assert not re.search(r"<script|(?:src|href)=\"http", page)


def test_failed_pair_says_why() -> None:
    """A pair without a figure stands in the table with its reason, escaped."""
    rows = [row("lenet5"), row("vgg16", failed="side 28 <too small>")]
    del rows[1]["figure"], rows[1]["measure"]

    page = comparison.render(rows, {}, budget={})

    assert "failed: side 28 &lt;too small&gt;" in page
    assert "failed: side 28 <too small>" in comparison.lines(rows)[1]


@pytest.mark.parametrize(
    ("number", "expected"),
    [(7, "7"), (1_234, "1.23 k"), (225_034, "225 k"), (22_245_957, "22.2 M"), (4.1e9, "4.1 G")],
)
def test_counts_are_short(number: float, expected: str) -> None:
    """Three digits and a unit."""
    assert comparison.count(number) == expected
