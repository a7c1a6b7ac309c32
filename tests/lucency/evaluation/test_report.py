"""The report is one HTML file that hides nothing, invents nothing and loads nothing."""

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from lucency.evaluation import report
from lucency.evaluation.conformal import REASONS
from lucency.evaluation.metrics import assess_classes
from lucency.evaluation.report import Case
from lucency.evaluation.rule import ClinicalRule

LABELS_N = np.array([0, 1] * 30)
OF_THREE_N = np.array([0, 1, 2] * 20)
OF_THREE_NK = np.where(np.arange(60) < 45, OF_THREE_N, 0)[:, None] == np.arange(3)
PROBABILITIES_NK = np.stack([1 - np.linspace(0.02, 0.98, 60), np.linspace(0.02, 0.98, 60)], axis=1)
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
    names = (
        *("auroc", "auprc", "sensitivity", "specificity", "accuracy"),
        *("ppv", "npv", "f1", "brier"),
    )
    return {
        "model": {"name": "densenet", "digest": "a1" * 32},
        "data": {"name": "films", "digest": "b2" * 32, "drawn": False},
        "rule": {"sensitivity_floor": 0.95, "specificity_floor": 0.8, "confidence": 0.95},
        "threshold": 0.41,
        "calibrator": "temperature 1.700",
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
        "calibration": {
            "test_before": {"ece": 0.15, "brier": 0.25},
            "test": {"ece": 0.07, "brier": 0.12},
            "before": {"ece": 0.1, "brier": 0.2},
            "after": {"ece": 0.05, "brier": 0.1},
            "folds": 5,
        },
        "verdict": {"passed": False, "reasons": ["sensitivity under the floor"]},
        "at_prevalence": [{"prevalence": 0.05, "ppv": interval, "npv": interval}],
        "opened_at": "2026-02-03T14:22:00+00:00",
        "openings": [],
        "command": "python jobs/evaluate.py x.yaml",
        "versions": {"torch": "2.9.1"},
        "config": "epochs: 3\n",
        "labels": ["NORMAL", "PNEUMONIA"],
        "sets": {
            "promised": 0.95,
            "coverage": {"NORMAL": interval, "PNEUMONIA": interval},
            "abstained": interval,
            "wrong": {"answered": interval, "abstained": dict.fromkeys(interval)},
            "reasons": {"clear": 50, "several_labels": 7, "no_label": 3},
        },
        **changes,
    }


def render(
    facts: dict[str, Any] | None = None,
    *,
    labels_n: np.ndarray = LABELS_N,
    history: Sequence[dict[str, float]] = (ROW,),
    cases: Sequence[Case] = (CASE,),
    variants: Sequence[dict[str, Any]] = (),
) -> str:
    """A report on 60 films."""
    return report.render(
        evidence=facts or evidence(),
        labels_n=labels_n,
        probabilities_nk=PROBABILITIES_NK,
        uncalibrated_nk=PROBABILITIES_NK,
        variants=variants,
        history=history,
        cases=cases,
    )


def variant(name: str, **changes: Any) -> dict[str, Any]:
    """A row of the table of variants."""
    return {
        "name": name,
        "runs": "openvino bf16",
        "speed": {"ratio": 1.94, "ms": 24.3, "reference_ms": 47.1, "cpu": "a CPU", "measured": ""},
        "found": {
            "auroc": 0.98765,
            "auroc_drop": 0.00011,
            "called_alike": 0.9967,
            "metrics": {"sensitivity": {"value": 0.97, "lower": 0.94321, "upper": 0.98}},
        },
        "state": "may serve",
        **changes,
    }


def evidence_of_three(**changes: Any) -> dict[str, Any]:
    """What an evaluation of three classes stores: bees and cats are called ants at times."""
    figures = assess_classes(
        OF_THREE_N,
        OF_THREE_NK * 0.8 + 0.2 / 3,
        changes.pop("patients", np.arange(60)),
        np.array(["unknown"] * 60),
        classes=("Ant", "Bee", "Cat"),
        clinical_rule=ClinicalRule(),
    )
    labels = ["Ant", "Bee", "Cat"]
    return {**evidence(), **figures, "threshold": None, "labels": labels, **changes}


def render_three(
    facts: dict[str, Any] | None = None,
    *,
    given_nk: np.ndarray = OF_THREE_NK,
    history: Sequence[dict[str, float]] = ({**ROW, "accuracy": 0.7, "mean_sensitivity": 0.7},),
    cases: Sequence[Case] = (CASE,),
    variants: Sequence[dict[str, Any]] = (),
) -> str:
    """A report on 60 images of three classes."""
    return report.render(
        evidence=facts or evidence_of_three(),
        labels_n=OF_THREE_N,
        probabilities_nk=given_nk * 0.8 + 0.2 / 3,
        uncalibrated_nk=given_nk * 0.9 + 0.1 / 3,
        variants=variants,
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


@pytest.mark.parametrize("render", [render, render_three])
def test_report_loads_nothing(render: Callable[[], str]) -> None:
    """Every source is inside the file, and the policy in its head forbids any other."""
    html = render()
    page = Links()

    page.feed(html)

    assert page.links == [link for link in page.links if link.startswith("data:image/png;base64,")]
    assert len(page.links) == 2
    assert "default-src 'none'" in html
    assert "@import" not in html


@pytest.mark.parametrize("render", [render, render_three])
def test_every_tag_is_closed(render: Callable[[], str]) -> None:
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


@pytest.mark.parametrize("other", ["c3" * 32, "a1" * 32])
def test_openings_for_other_models_are_shown(other: str) -> None:
    """Whoever tested two models says so in the report of each, with the reason given."""
    opening = {"at": "2026-01-01T00:00:00+00:00", "model": other, "reason": "a <b> leak mended"}

    html = render(evidence(openings=[opening]))

    assert ("for model <code>c3c3c3c3c3c3</code>: a &lt;b&gt; leak mended" in html) is (
        other.startswith("c3")
    )


def test_prevalences_have_their_own_table() -> None:
    """Where one film in twenty is positive a call means less than in the test split."""
    html = render(evidence())

    assert re.search(r"Where this share of films is pneumonia.*<th>5\.0.%</th>", html, re.DOTALL)


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


def test_evidence_of_an_earlier_version_is_shown() -> None:
    """A figure that was not measured then has no row, and the rest stands."""
    facts = evidence()
    del facts["metrics"]["f1"], facts["sets"]

    page = render(facts)

    assert "<th>F1</th>" not in page
    assert "<th>AUROC</th>" in page


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


@pytest.mark.parametrize("render", [render, render_three])
def test_report_states_its_limits(render: Callable[[], str]) -> None:
    """Every report ends with what it must not be used for."""
    footer = render().partition("<footer>")[2]

    assert "Not a medical device; research use." in footer


@pytest.mark.parametrize("render", [render, render_three])
def test_report_names_its_origin(render: Callable[[], str]) -> None:
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


def text_of(html: str) -> str:
    """What a reader sees of a part of a page, white space made one."""
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


@pytest.mark.parametrize("render", [render, render_three])
def test_what_is_left_to_a_reader_is_told(render: Callable[[], str]) -> None:
    """Coverage against its promise, films by reason in words, and what is unknown as such."""
    page = " ".join(render().split())

    assert "What it leaves to a reader" in page
    assert re.search(rf"7 (film|image)s: {REASONS['several_labels']}; 3 ", page)
    assert "would have been" in page


def test_verdict_of_many_names_the_worst_class() -> None:
    """The first section says which class decided, its figures, and the accuracy of all."""
    facts = evidence_of_three()

    text = text_of(render_three(facts).partition("<h2>")[0].partition("<header>")[2])

    assert facts["worst_class"] == "Bee"
    assert "Worst class, Bee: sensitivity, lower bound" in text
    assert "10 of 60 images are called wrong" in text
    assert f"accuracy {report.percent(50 / 60)}" in text
    assert "class &#39;Bee&#39;: sensitivity" in text


def test_every_class_has_its_row_worst_first() -> None:
    """The table gives each class its images and three measures with bounds."""
    table = render_three().partition("Class, worst first")[2].partition("</table>")[0]

    rows = [text_of(row) for row in table.split("<tr>")[1:]]
    assert [row.split()[:2] for row in rows] == [["Bee", "20"], ["Cat", "20"], ["Ant", "20"]]
    assert all(row.count(" to ") == 3 for row in rows)


def test_mistakes_are_listed_by_pair() -> None:
    """Each pair that was mistaken stands with its number and its shares, and no other."""
    counts = [[40, 0, 0], [5, 5, 0], [4, 0, 16]]

    html = render_three(evidence_of_three(confusion=counts))

    table = html.partition("Most frequent mistakes")[2].partition("</table>")[0]
    bee, cat = (report.percent(share) for share in (5 / 10, 4 / 20))
    first, second = (report.percent(share) for share in (5 / 9, 4 / 9))
    rows = [text_of(row) for row in table.split("<tr>")[1:]]
    assert rows == [f"Bee Ant 5 {bee} {first}", f"Cat Ant 4 {cat} {second}"]


def test_model_without_mistakes_is_reported() -> None:
    """Nothing called wrong: no table of mistakes, no films, no reliability, and that is said."""
    right_nk = OF_THREE_N[:, None] == np.arange(3)
    right = {"confusion": np.diag([20, 20, 20]).tolist()}

    html = render_three(evidence_of_three(**right), given_nk=right_nk, cases=())

    assert "Most frequent mistakes" not in html
    assert "No test image was called wrong." in html
    assert "not available: it needs images called right and wrong" in html


def test_class_without_films_is_reported() -> None:
    """A class that was not tested is the worst, and what is unknown is said in words."""
    facts = evidence_of_three()
    facts["classes"]["Cat"] |= {"films": 0, "sensitivity": UNKNOWN, "ppv": UNKNOWN}
    facts |= {"worst_class": "Cat", "metrics": {**facts["metrics"], "sensitivity": UNKNOWN}}
    facts["confusion"][2] = [0, 0, 0]

    html = render_three(facts, history=())

    assert "Worst class, Cat" in html
    assert html.count("not available") > 5
    assert not re.search(r">\s*(nan|None)\b", html)


@pytest.mark.parametrize("grouped", [True, False])
def test_patients_are_named_where_there_are_some(grouped: bool) -> None:
    """Pictures that nobody groups have no patients: the word would be wrong for grains of rice."""
    patients = np.arange(60) // 2 if grouped else np.arange(60)

    text = text_of(render_three(evidence_of_three(patients=patients)).partition("<svg")[0])

    assert ("60 images of 30 patients" in text) is grouped
    assert ("Intervals count patients, not images" in text) is grouped


@pytest.mark.parametrize("render", [render, render_three])
def test_films_without_maps_stand_alone(render: Callable[..., str]) -> None:
    """A network that gives no maps has its films shown without a second picture, and says so."""
    html = render(cases=[Case("one", b"film", None), Case("two", b"film", None)])

    page = Links()
    page.feed(html)
    assert len(page.links) == 2
    assert "This network gives no class-activation maps" in html
    assert "the areas that moved the score" not in html


def test_names_of_classes_are_escaped() -> None:
    """Class names come from folders: they can't bring markup into page or figures."""
    attack = "<script>alert(1)</script>"
    facts = evidence_of_three(labels=["Ant", attack, "Cat"], worst_class=attack)
    facts["classes"] = dict(zip(facts["labels"], facts["classes"].values(), strict=True))

    html = render_three(facts, cases=[Case(attack, b"", None)])

    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 5


@pytest.mark.parametrize("drawn", [True, False])
def test_drawn_images_are_announced(drawn: bool) -> None:
    """So are drawn images of many classes."""
    html = render_three(evidence_of_three(data={"name": "x", "digest": "b2", "drawn": drawn}))

    assert ("Drawn phantom images, not a clinical result" in html) is drawn
    assert ("All images in this report were drawn by a program" in html) is drawn


def test_calibration_in_force_is_told_with_its_worth() -> None:
    """Method, and errors of test films and of validation films judged by a fit on others."""
    page = " ".join(render(evidence(calibrator="Platt's sigmoid, shift +1.981")).split())

    assert "Platt&#39;s sigmoid, shift +1.981, fitted on validation films" in page
    assert "calibration error 0.150 before, 0.070 after" in page
    assert "each judged by a fit on other patients, the error is 0.100 before and 0.050" in page


def test_evidence_of_before_has_no_error_of_test_films() -> None:
    """A bundle that was evaluated by an older version still gives its page."""
    older = {"before": {"ece": 0.1, "brier": 0.2}, "after": {"ece": 0.05, "brier": 0.1}}

    page = " ".join(render(evidence(calibration=older)).split())

    assert "calibration error not available before" in page
    assert "other patients" not in page


@pytest.mark.parametrize("rendered", [render, render_three])
def test_variants_are_shown_with_their_verdicts(rendered: Callable[..., str]) -> None:
    """Speed, AUROC and the sensitivity bound of each; why one does not answer; what is unknown."""
    rows = [
        variant("bf16"),
        variant("int8", found=None, state="not offered: AUROC drop 0.0080, over 0.005"),
    ]

    page = rendered(variants=rows)

    (table,) = re.findall(r'<table class="variants">.*?</table>', page, re.DOTALL)
    for text in ("47.1", "24.3", "1.94", "0.9876", "0.0002", "0.9432", "99.7", "may serve"):
        assert text in table
    assert "not offered: AUROC drop 0.0080, over 0.005" in table
    assert table.count("not measured on these") == 1
    assert 'class="variants"' not in rendered()
