"""The report is one HTML file that hides nothing, invents nothing and loads nothing."""

import re
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from lucency.evaluation import report
from lucency.evaluation.report import Case

LABELS_N = np.array([0, 1] * 30)
PROBABILITIES_N = np.linspace(0.02, 0.98, 60)
ROW = {
    "epoch": 1,
    "train_loss": 0.7,
    "validation_loss": 0.6,
    "auroc": 0.8,
    "sensitivity": 0.9,
    "specificity": 0.8,
    "sensitivity_at_specificity": 0.9,
    "learning_rate": 1e-3,
    "images_per_s": 120.0,
    "seconds": 90.0,
}
CASE = Case("true positive, probability 0.93", b"film", b"overlay")
UNKNOWN = dict.fromkeys(("value", "lower", "upper"))


def evidence(**changes: Any) -> dict[str, Any]:
    """What an evaluation stores, with some of it changed."""
    interval = {"value": 0.97, "lower": 0.9497, "upper": 0.9812}
    names = ("auroc", "sensitivity", "specificity", "accuracy", "ppv", "npv")
    return {
        "model": {"name": "densenet", "digest": "a1" * 32},
        "data": {"name": "films", "digest": "b2" * 32, "drawn": False},
        "rule": {"sensitivity_floor": 0.95, "specificity_floor": 0.8, "confidence": 0.95},
        "threshold": 0.41,
        "temperature": 1.7,
        "films": 60,
        "patients": 40,
        "positives": 30,
        "metrics": dict.fromkeys(names, interval),
        "confusion": dict.fromkeys(
            ("true_positive", "false_positive", "true_negative", "false_negative"), 15
        ),
        "sites": {
            "north": {
                "films": 60,
                "patients": 40,
                "sensitivity": interval,
                "specificity": interval,
                "auroc": None,
            }
        },
        "calibration": {"before": {"ece": 0.1, "brier": 0.2}, "after": {"ece": 0.05, "brier": 0.1}},
        "verdict": {"passed": False, "reasons": ["sensitivity under the floor"]},
        "opened_at": "2026-02-03T14:22:00+00:00",
        "command": "python jobs/evaluate.py x.yaml",
        "versions": {"torch": "2.9.1"},
        "config": "epochs: 3\n",
        "labels": ["NORMAL", "PNEUMONIA"],
        **changes,
    }


def render(
    facts: dict[str, Any] | None = None,
    *,
    labels_n: np.ndarray = LABELS_N,
    history: Sequence[dict[str, float]] = (ROW,),
    cases: Sequence[Case] = (CASE,),
) -> str:
    """A report on 60 films."""
    return report.render(
        evidence=facts or evidence(),
        labels_n=labels_n,
        probabilities_n=PROBABILITIES_N,
        validation_labels_n=labels_n,
        validation_probabilities_n=PROBABILITIES_N,
        validation_uncalibrated_n=PROBABILITIES_N,
        history=history,
        cases=cases,
    )


class Links(HTMLParser):
    """Collects what a browser would fetch, and the tags that are still open."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_report_loads_nothing() -> None:
    """Every source is inside the file, and the policy in its head forbids any other."""
    html = render()
    page = Links()

    page.feed(html)

    assert page.links == [link for link in page.links if link.startswith("data:image/png;base64,")]
    assert len(page.links) == 2
    assert "default-src 'none'" in html
    assert "@import" not in html


def test_every_tag_is_closed() -> None:
    """The page and its figures are well nested."""
    page = Links()

    page.feed(render())

    assert page.open == []


@pytest.mark.parametrize(("passed", "word"), [(True, ">met<"), (False, ">not met<")])
def test_verdict_is_taken_from_the_evidence(passed: bool, word: str) -> None:
    """The headline repeats the verdict and its reasons, and judges nothing itself."""
    html = render(evidence(verdict={"passed": passed, "reasons": ["because of this"]}))

    assert word in html
    assert "<li>because of this</li>" in html


def test_lower_bound_is_not_rounded_up_to_the_floor() -> None:
    """A bound of 94.97 % reads 94.9 %, not the 95.0 % that it missed."""
    html = render()

    assert '<p class="large">94.9\u202f%</p>' in html
    assert "94.9 to 98.2\u202f%" in html
    assert "95.0 to" not in html


@pytest.mark.parametrize("drawn", [True, False])
def test_drawn_films_are_announced(drawn: bool) -> None:
    """A report on drawn films says so above its figures, and one on real films does not."""
    data = {"name": "films", "digest": "b2", "drawn": drawn}

    html = render(evidence(data=data))

    assert ("not a clinical result" in html) is drawn
    assert not drawn or html.index("not a clinical result") < html.index("<svg")


def test_everything_missing_is_said() -> None:
    """One class, no history, no sites, no cases and no bounds still make a report."""
    facts = evidence(
        metrics=dict.fromkeys(evidence()["metrics"], UNKNOWN),
        sites={},
        calibration={"before": {}, "after": {}},
        opened_at=None,
        versions={},
        config="",
    )

    html = render(facts, labels_n=np.ones(60, int), history=(), cases=())

    assert html.count("not available") > 15
    assert not re.search(r">\s*(nan|None)\b", html)


def test_site_without_auroc_keeps_its_row() -> None:
    """A site where AUROC can't be computed is listed with what it has."""
    row = re.search(r"<tr><th>north</th>.*?</tr>", render(), re.DOTALL)

    assert row
    assert "94.9 to 98.2" in row[0]
    assert "not available" in row[0]


def test_text_from_outside_is_escaped() -> None:
    """Names, reasons and titles can't bring markup into the page."""
    attack = "<script>alert(1)</script>"
    facts = evidence(
        verdict={"passed": False, "reasons": [attack]},
        labels=["normal", attack],
        sites={attack: evidence()["sites"]["north"]},
        config=attack,
    )

    html = render(facts, cases=[Case(attack, b"", b"")])

    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 5


def test_report_states_its_limits() -> None:
    """Every report ends with what it must not be used for."""
    footer = render().partition("<footer>")[2]

    assert "Not a medical device; research use." in footer


def test_report_names_its_origin() -> None:
    """Model, data, command, versions and configuration are all in the report."""
    html = render()

    for fact in (
        "a1" * 32,
        "b2" * 32,
        "python jobs/evaluate.py x.yaml",
        "torch 2.9.1",
        "epochs: 3",
    ):
        assert fact in html


@pytest.mark.parametrize(
    ("share", "rounding", "text"),
    [
        (0.95, ROUND_FLOOR, "95.0"),
        (0.29, ROUND_FLOOR, "29.0"),
        (0.9497, ROUND_FLOOR, "94.9"),
        (0.9501, ROUND_CEILING, "95.1"),
        (1.0, ROUND_CEILING, "100.0"),
    ],
)
def test_percent_rounds_the_decimal_that_was_meant(share: float, rounding: str, text: str) -> None:
    """Rounding works on the decimal number, free of the binary one's last digits."""
    assert report.percent(share, rounding) == f"{text}\u202f%"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_unknown_numbers_are_words(value: float | None) -> None:
    """What could not be counted is never shown as a number."""
    interval = {"lower": value, "upper": 0.9}

    assert report.percent(value) == report.number(value) == "not available"
    assert report.percent_interval(interval) == report.number_interval(interval) == "not available"
