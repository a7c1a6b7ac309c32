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
    "missing": plots.curves([]),
}


@pytest.mark.parametrize("svg", FIGURES.values(), ids=FIGURES.keys())
def test_figure_is_one_labelled_svg_element(svg: str) -> None:
    """A figure is well-formed XML without a prologue and has a name for screen readers."""
    root = ElementTree.fromstring(svg)

    assert svg.startswith("<svg ")
    assert root.get("role") == "img"
    assert root.get("aria-label")


def test_figures_share_no_id() -> None:
    """Two figures in one page never have an element id in common."""
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in list(FIGURES.values())[:-1]]

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
