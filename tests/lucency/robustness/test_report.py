"""The page on robustness."""

import re
from typing import Any

import numpy as np
import pytest

from lucency.robustness import report
from lucency.robustness.report import Example

FILM = np.random.default_rng(0).integers(0, 255, (64, 48, 1)).astype(np.uint8)


def _assessed(value: float, *, passed: bool = True) -> dict[str, Any]:
    figure = {"value": value, "lower": value - 0.05, "upper": value + 0.01}
    return {"auroc": figure, "sensitivity": figure, "specificity": figure, "passed": passed}


def _record(**changes: Any) -> dict[str, Any]:
    drop = {"auroc": 0.1234, "sensitivity": 0.0, "specificity": None}
    probe = {
        "auroc": {"value": 0.9, "lower": 0.8, "upper": 0.95},
        "shows": "the border",
        "shortcut": True,
        "sentence": "Shortcut: the model answers from <the border>.",
    }
    return {
        "model": {"name": "pneumonia", "digest": "ab12"},
        "data": {"name": "chest", "digest": "cd34", "drawn": False},
        "split": "validation",
        "seed": 0,
        "threshold": 0.3,
        "rule": {"sensitivity_floor": 0.9, "specificity_floor": 0.7, "confidence": 0.95},
        "films": 1234,
        "patients": 1000,
        "clean": _assessed(0.9),
        "corruptions": {
            "gamma": {
                "severities": {
                    str(severity): _assessed(0.9 - 0.1 * severity, passed=severity < 3)
                    for severity in (1, 2, 3, 4, 5)
                },
                "drop": drop,
                "rule_lost_at": 3,
            },
            "inverted": {"severities": {"1": _assessed(0.5)}, "drop": drop, "rule_lost_at": None},
        },
        "mean_corruption_drop": drop,
        "shortcut_auroc": 0.6,
        "probes": {"border only": probe},
        "shortcuts": [probe["sentence"]],
        **changes,
    }


EXAMPLES = [
    Example(name, severity, FILM)
    for name, severity in (("clean", 0), ("gamma", 1), ("inverted", 1), ("border only", 0))
]


def test_every_figure_of_the_record_stands_on_the_page() -> None:
    """Values of every severity, cells where the rule is lost marked, shortcuts in words."""
    page = report.render(_record(), EXAMPLES)

    assert page.count('class="heat broken"') == 3 * 3
    for value in ("0.800", "0.400", "1,234", "\u22120.123", "n/a"):
        assert value in page
    assert "Shortcut: the model answers from &lt;the border&gt;." in page
    assert page.count("data:image/png;base64,") == 4
    assert "Drawn phantom" not in page


def test_a_page_without_corruptions_shows_the_probes() -> None:
    """Nothing was corrupted: the tables are left out, what is left is told."""
    page = report.render(
        _record(corruptions={}, mean_corruption_drop={}), [EXAMPLES[0], EXAMPLES[3]]
    )

    assert "By corruption" not in page
    assert "border only" in page


def test_more_is_lost_more_colour() -> None:
    """A cell is white without a drop or with a gain, and ever stronger with what is lost."""
    strengths = [
        float(re.findall(r"/ ([\d.]+)", report.shade(0.9, found))[0])
        for found in (0.95, 0.9, 0.85, 0.7, 0.3)
    ]

    assert strengths[:2] == [0.0, 0.0]
    assert strengths == sorted(strengths)
    assert strengths[4] > strengths[3] > strengths[2] > 0
    assert report.shade(None, 0.5) == "none"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.25, "\u22120.250"), (-0.03, "+0.030"), (0.0001, "0.000"), (None, "n/a")]
)
def test_a_loss_has_a_minus(value: float | None, shown: str) -> None:
    """What is lost is written with a minus, what is gained with a plus, nothing without a sign."""
    assert report.figure(value, signed=True) == shown


@pytest.mark.parametrize(
    ("severity", "said"),
    [(None, "holds throughout"), (0, "missed on clean films"), (4, "lost at severity 4")],
)
def test_where_the_rule_is_lost_is_said(severity: int | None, said: str) -> None:
    """Never, before anything was done to the films, or at a severity."""
    assert said in report.lost(severity)


def test_the_terminal_gets_one_line_a_corruption() -> None:
    """Clean figures, what each corruption takes, the mean, and every probe's sentence."""
    lines = report.lines(_record())

    assert sum(line.startswith(("gamma", "inverted")) for line in lines) == 2
    assert "rule lost at severity 3" in lines[2]
    assert lines[-1].startswith("border only: Shortcut")
