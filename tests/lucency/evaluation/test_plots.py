"""Figures are inline SVG text that says what it shows, also where there is nothing to draw."""

import re
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from lucency.evaluation import plots

LABELS_N = np.array([0, 0, 0, 0, 1, 1, 1, 1])
PROBABILITIES_N = np.array([0.1, 0.2, 0.3, 0.7, 0.4, 0.8, 0.9, 0.95])
INTERVAL = {"value": 0.9, "lower": 0.8, "upper": 0.95}
COUNTS = {"true_positive": 3, "false_negative": 1, "false_positive": 1234, "true_negative": 0}
NAMES = ("normal", "pneumonia")
ROW = {"epoch": 1, "train_loss": 0.7, "validation_loss": 0.6, "auroc": 0.8}
OF_MANY = {**ROW, "accuracy": 0.7, "mean_sensitivity": 0.6}
COUNTS_KK = [[1500, 20, 0], [3, 0, 7], [0, 0, 12]]
RIGHT_N = (PROBABILITIES_N > 0.5) == LABELS_N


def roc(labels_n: np.ndarray, probabilities_n: np.ndarray) -> str:
    """The ROC figure at common floors."""
    return plots.roc(
        labels_n,
        probabilities_n,
        sensitivity=INTERVAL,
        specificity=INTERVAL,
        sensitivity_floor=0.975,
        specificity_floor=0.8,
    )


def words(svg: str) -> str:
    """All text that a reader sees in a figure."""
    return " | ".join(ElementTree.fromstring(svg).itertext())


FIGURES = {
    "roc": roc(LABELS_N, PROBABILITIES_N),
    "reliability": plots.reliability(LABELS_N, PROBABILITIES_N, PROBABILITIES_N),
    "confusion": plots.confusion(COUNTS, labels=NAMES),
    "scores": plots.scores(LABELS_N, PROBABILITIES_N, threshold=0.5, labels=NAMES),
    "curves": plots.curves([ROW]),
    "forest": plots.forest([{"name": "all", "sensitivity": INTERVAL}], floors={}),
    "matrix": plots.confusion_matrix(COUNTS_KK, labels=("ant", "bee", "cat")),
    "reliability of calls": plots.reliability_of_calls(RIGHT_N, PROBABILITIES_N, PROBABILITIES_N),
    "certainties": plots.certainties(RIGHT_N, PROBABILITIES_N),
    "curves of many": plots.curves([OF_MANY]),
    "forest of classes": plots.forest_of_classes(
        [{"name": "ant", "sensitivity": INTERVAL}], floors={"sensitivity": 0.9}
    ),
    "missing": plots.curves([]),
}


@pytest.mark.parametrize("svg", FIGURES.values(), ids=FIGURES.keys())
def test_figure_is_one_labelled_svg_element(svg: str) -> None:
    """A figure is well-formed XML without a prologue and has a name for screen readers."""
    root = ElementTree.fromstring(svg)

    assert svg.startswith("<svg ")
    assert root.get("role") == "img"
    assert root.get("aria-label")


@pytest.mark.parametrize(
    "names",
    [
        ("roc", "reliability", "confusion", "scores", "curves", "forest"),
        ("matrix", "reliability of calls", "certainties", "curves of many", "forest of classes"),
    ],
)
def test_figures_share_no_id(names: tuple[str, ...]) -> None:
    """Two figures in one page never have an element id in common."""
    ids = [set(re.findall(r'\bid="([^"]+)"', FIGURES[name])) for name in names]

    assert sum(len(own) for own in ids) == len(set().union(*ids))


@pytest.mark.parametrize("svg", FIGURES.values(), ids=FIGURES.keys())
def test_references_lead_to_ids_of_the_same_figure(svg: str) -> None:
    """Every clip path and marker that a figure refers to is inside it."""
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    references = set(re.findall(r'(?:url\(|href=")#([^")]+)', svg))

    assert references <= ids


def test_equal_data_give_equal_bytes() -> None:
    """A figure holds no date and no random id, so a report can be compared by its digest."""
    assert roc(LABELS_N, PROBABILITIES_N) == FIGURES["roc"]


def test_drawing_leaves_no_global_state() -> None:
    """Drawing leaves matplotlib's settings, which other code shares, as they were."""
    before = dict(matplotlib.rcParams)

    plots.curves([ROW])

    assert dict(matplotlib.rcParams) == before


def test_roc_names_both_floors_exactly() -> None:
    """A floor of 97.5 % is written so, not rounded to 98 %."""
    text = words(FIGURES["roc"])

    assert "sensitivity floor 97.5 %" in text
    assert "specificity floor 80 %" in text
    assert "operating point" in text


def test_roc_without_known_bounds_has_no_operating_point() -> None:
    """An operating point whose specificity is unknown is left out, the curve stays."""
    unknown = dict.fromkeys(("value", "lower", "upper"), float("nan"))

    svg = plots.roc(
        LABELS_N,
        PROBABILITIES_N,
        sensitivity=INTERVAL,
        specificity=unknown,
        sensitivity_floor=0.95,
        specificity_floor=0.8,
    )

    assert "operating point" not in words(svg)


@pytest.mark.parametrize("labels_n", [np.ones(8, int), np.zeros(8, int), np.array([], int)])
def test_one_class_has_no_curve(labels_n: np.ndarray) -> None:
    """With films of one class, or none, ROC and reliability say that they are not available."""
    probabilities_n = PROBABILITIES_N[: len(labels_n)]

    figures = (
        roc(labels_n, probabilities_n),
        plots.reliability(labels_n, probabilities_n, probabilities_n),
    )

    assert all("not available" in words(svg) for svg in figures)


def test_scores_count_a_film_at_the_threshold_as_positive() -> None:
    """A probability equal to the threshold is a positive call, as everywhere else."""
    svg = plots.scores(LABELS_N, PROBABILITIES_N, threshold=0.7, labels=NAMES)

    assert "pneumonia: 4 films, 1 missed" in words(svg)
    assert "normal: 4 films, 1 false alarms" in words(svg)


def test_scores_draw_a_class_without_films() -> None:
    """A class that no film belongs to gets an empty panel that says so."""
    svg = plots.scores(np.ones(2, int), np.array([0.2, 0.9]), threshold=0.5, labels=NAMES)

    assert "normal: 0 films, 0 false alarms" in words(svg)


def test_confusion_shares_are_of_the_row() -> None:
    """Each count stands with its share of the films that have the same label."""
    text = words(FIGURES["confusion"])

    assert "1,234" in text
    assert "missed, 25.0 %" in text
    assert "false alarms, 100.0 %" in text


def test_forest_says_what_a_site_lacks() -> None:
    """An absent, null or unknown interval is named, and the other sites are drawn."""
    null = dict.fromkeys(("value", "lower", "upper"))
    rows: list[dict[str, Any]] = [
        {"name": "all", "sensitivity": INTERVAL, "specificity": INTERVAL, "auroc": INTERVAL},
        {"name": "north", "sensitivity": INTERVAL, "specificity": null, "auroc": None},
    ]

    text = words(plots.forest(rows, floors={"sensitivity": 0.95}))

    assert text.count("not available") == 2
    assert "sensitivity, floor 95 %" in text


def test_names_are_text_not_formulas_or_markup() -> None:
    """A site named with dollar signs or angle brackets is shown as it is."""
    name = "$\\frac$ <script>"

    svg = plots.forest([{"name": name, "sensitivity": INTERVAL}], floors={})

    assert name in words(svg)
    assert "<script>" not in svg


def test_curves_show_what_ranks_the_epochs() -> None:
    """Sensitivity at the floor for two classes, accuracy for more; the area beside both."""
    two, many = words(FIGURES["curves"]), words(FIGURES["curves of many"])

    assert "sensitivity at the specificity floor" in two
    assert "accuracy" not in two
    assert "accuracy" in many
    assert "sensitivity" not in many
    assert "AUROC" in two
    assert "AUROC" in many


def test_single_epoch_is_one_tick() -> None:
    """A run of one epoch has no epoch 0.995."""
    found = words(plots.curves([OF_MANY]))

    assert "| 1 |" in re.sub(r"[\s|]*\|[\s|]*", " | ", found)
    assert "0.99" not in found


def test_matrix_writes_counts_and_leaves_nothing_empty() -> None:
    """Every count over zero stands in its cell, zeros don't; both axes name every class."""
    text = words(FIGURES["matrix"])

    assert "1,500" in text
    assert not re.search(r"\|\s*0\s*\|", text)
    assert text.count("ant") == text.count("bee") == text.count("cat") == 2
    assert "called" in text
    assert "labelled" in text


def test_matrix_colours_right_and_wrong_apart() -> None:
    """The diagonal is blue, the rest orange, and a larger share of a row is stronger."""
    fills = re.findall(
        r"fill: (#\w+); fill-opacity: ([\d.]+)|fill: (#\w+); opacity: ([\d.]+)", FIGURES["matrix"]
    )
    found = [(float(a or b), color or other) for color, a, other, b in fills]

    blue = [opacity for opacity, color in found if color == "#1f5f8b"]
    orange = [opacity for opacity, color in found if color == "#c2571a"]
    assert len(blue) == 2
    assert len(orange) == 3
    assert max(orange) == pytest.approx(0.06 + 0.6 * np.sqrt(7 / 10), abs=1e-3)
    assert min(orange) < 0.15


@pytest.mark.parametrize("classes", [3, 10, 30, 60])
def test_matrix_of_any_size_keeps_its_names(classes: int) -> None:
    """Thirty classes are readable with their counts; sixty keep names and colours."""
    counts = np.full((classes, classes), 2) + 1000 * np.eye(classes, dtype=int)

    text = words(
        plots.confusion_matrix(counts.tolist(), labels=[f"class {n}" for n in range(classes)])
    )

    assert f"class {classes - 1}" in text
    assert ("1,002" in text) is (classes <= 30)


def test_long_class_name_is_shortened() -> None:
    """A name as long as a sentence leaves room for the matrix; a common one stays whole."""
    assert plots.short("Karacadag") == "Karacadag"
    assert plots.short("x" * 100) == "x" * 27 + "\u2026"


@pytest.mark.parametrize("right", [True, False])
def test_calls_without_mistakes_have_no_reliability(right: bool) -> None:
    """With all right, or all wrong, that is said instead; the histogram has an empty panel."""
    right_n = np.full(8, right)

    reliability = plots.reliability_of_calls(right_n, PROBABILITIES_N, PROBABILITIES_N)
    certainties = plots.certainties(right_n, PROBABILITIES_N)

    assert "not available" in words(reliability)
    assert f"{'wrong' if right else 'right'}: 0 images" in words(certainties)


def test_certainties_count_right_and_wrong() -> None:
    """Each panel says how many images it shows."""
    text = words(FIGURES["certainties"])

    assert f"right: {RIGHT_N.sum()} images" in text
    assert f"wrong: {(~RIGHT_N).sum()} images" in text


def test_forest_of_classes_has_its_measures() -> None:
    """Sensitivity with its floor, specificity and predictive value; what lacks is said."""
    text = words(FIGURES["forest of classes"])

    assert "sensitivity, floor 90 %" in text
    assert "positive predictive value" in text
    assert text.count("not available") == 2


def test_estimate_outside_its_bounds_is_drawn() -> None:
    """A bootstrap of few patients may leave its own estimate out; the forest stands."""
    odd = {"value": 1.0, "lower": 0.8, "upper": 0.99}

    svg = plots.forest([{"name": "all", "auroc": odd}], floors={})

    assert "all" in words(svg)
