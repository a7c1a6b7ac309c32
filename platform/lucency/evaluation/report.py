"""
The report on a model: one HTML file for a reader of figures and an engineer, nothing loaded.

Two classes have ``report.html.j2``, more have ``report_classes.html.j2``; what both share is in
``report_base.html.j2``. The figures are in ``plots``.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, TypeGuard

import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from lucency import pages
from lucency.evaluation import plots
from lucency.evaluation.conformal import REASONS

NOT_AVAILABLE = "not available"
PERCENT = "\u202f%"  # after a narrow space that does not break
# Pairs of classes in the table of mistakes.
_CONFUSED = 10

# Truth, and probabilities of all classes; where two are compared, before and after calibration.
_Given = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Case:
    """One film, PNG, and the same film with what the model looked at where it has a map."""

    title: str
    film_png: bytes
    overlay_png: bytes | None


def render(
    *,
    evidence: Mapping[str, Any],
    labels_n: np.ndarray,
    probabilities_nk: np.ndarray,
    uncalibrated_nk: np.ndarray,
    variants: Sequence[Mapping[str, Any]] = (),
    history: Sequence[Mapping[str, float]],
    cases: Sequence[Case],
) -> str:
    """
    The report as HTML text.

    Args:
        evidence: What the evaluation stored as JSON; figures and verdict are taken from it,
            never computed again. Its threshold is None for more than two classes.
        labels_n: Truth of the test films, an index into the evidence's labels.
        probabilities_nk: Calibrated probabilities of all classes, 0 to 1.
        uncalibrated_nk: The same before calibration.
        variants: A row for each: ``name``, ``runs``, ``speed``, its figures ``found`` on these
            films or None, ``state``; may be empty.
        history: One row an epoch; may be empty.
        cases: Films to show, all with or all without overlays; may be empty.
    """
    rule = evidence["rule"]
    floors = {
        "sensitivity": rule["sensitivity_floor"],
        "specificity": rule["specificity_floor"],
    }
    test = labels_n, probabilities_nk
    compared = labels_n, uncalibrated_nk, probabilities_nk
    name, build = (
        ("report_classes.html.j2", _of_many)
        if evidence["threshold"] is None
        else ("report.html.j2", _of_two)
    )
    figures, facts = build(evidence, floors, test, compared)
    figures["curves"] = plots.curves(history)
    return (
        _environment()
        .get_template(name)
        .render(
            evidence=evidence,
            floors=floors,
            figures={name: Markup(svg) for name, svg in figures.items()},
            training=_training(history),
            variants=variants,
            cases=cases,
            reasons=REASONS,
            explained=any(case.overlay_png is not None for case in cases),
            **facts,
        )
    )


def draw(
    evidence: Mapping[str, Any], test: _Given, compared: _Given
) -> tuple[dict[str, str], dict[str, Any]]:
    """
    The figures of any films that were judged, for another page than the report on a test.

    Args:
        test: Truth and calibrated probabilities.
        compared: Truth, and probabilities of one calibration and of another.
    """
    rule = evidence["rule"]
    floors = {
        "sensitivity": rule["sensitivity_floor"],
        "specificity": rule["specificity_floor"],
    }
    build = _of_many if evidence["threshold"] is None else _of_two
    figures, facts = build(evidence, floors, test, compared)
    return figures, {"floors": floors, **facts}


def _of_two(
    evidence: Mapping[str, Any], floors: Mapping[str, float], test: _Given, compared: _Given
) -> tuple[dict[str, str], dict[str, Any]]:
    """Figures, and what else the page of two classes is told."""
    labels_n, probabilities_nk = test
    truth_n, before_nk, after_nk = compared
    # Data sets like to shout (PNEUMONIA); prose does not.
    labels = [name.lower() for name in evidence["labels"]]
    figures = {
        "roc": plots.roc(
            labels_n,
            probabilities_nk[:, 1],
            sensitivity=evidence["metrics"]["sensitivity"],
            specificity=evidence["metrics"]["specificity"],
            sensitivity_floor=floors["sensitivity"],
            specificity_floor=floors["specificity"],
        ),
        "reliability": plots.reliability(truth_n, before_nk[:, 1], after_nk[:, 1]),
        "confusion": plots.confusion(evidence["confusion"], labels=labels),
        "scores": plots.scores(
            labels_n, probabilities_nk[:, 1], threshold=evidence["threshold"], labels=labels
        ),
        "forest": plots.forest(_site_rows(evidence), floors=floors),
    }
    return figures, {"labels": labels}


def _of_many(
    evidence: Mapping[str, Any], floors: Mapping[str, float], test: _Given, compared: _Given
) -> tuple[dict[str, str], dict[str, Any]]:
    """Figures, and what else the page of more classes is told."""
    labels_n, probabilities_nk = test
    truth_n, before_nk, after_nk = compared
    labels, rows = evidence["labels"], _class_rows(evidence)
    figures = {
        "forest": plots.forest_of_classes(rows, floors=floors),
        "confusion": plots.confusion_matrix(evidence["confusion"], labels=labels),
        # Scaling moves no class past another: both columns are of the same calls.
        "reliability": plots.reliability_of_calls(
            after_nk.argmax(axis=1) == truth_n, before_nk.max(axis=1), after_nk.max(axis=1)
        ),
        "certainties": plots.certainties(
            probabilities_nk.argmax(axis=1) == labels_n, probabilities_nk.max(axis=1)
        ),
    }
    counts_kk = np.array(evidence["confusion"])
    facts = {
        "labels": labels,
        "rows": rows,
        "confused": _confused(counts_kk, labels),
        "wrong": int(counts_kk.sum() - counts_kk.trace()),
    }
    return figures, facts


def percent(value: float | None, rounding: str = ROUND_HALF_EVEN) -> str:
    """A share between 0 and 1 as ``95.3 %``."""
    if not _known(value):
        return NOT_AVAILABLE
    return _rounded(value, 100, 1, rounding) + PERCENT


def number(value: float | None, places: int = 3, rounding: str = ROUND_HALF_EVEN) -> str:
    """A number with a fixed count of decimals."""
    return _rounded(value, 1, places, rounding) if _known(value) else NOT_AVAILABLE


def percent_interval(interval: Mapping[str, float | None] | None) -> str:
    """
    Bounds as ``93.1 to 97.2 %``.

    Bounds round outward: 94.97 % must not read as the 95.0 % that it missed.
    """
    bounds = _bounds(interval, 100, 1)
    return NOT_AVAILABLE if bounds is None else bounds + PERCENT


def number_interval(interval: Mapping[str, float | None] | None) -> str:
    """Bounds as ``0.931 to 0.972``, rounded outward."""
    return _bounds(interval, 1, 3) or NOT_AVAILABLE


def data_uri(png: bytes) -> str:
    """An image as part of the page."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _environment() -> Environment:
    functions = (percent, number, percent_interval, number_interval, data_uri)
    return pages.environment(
        "lucency.evaluation", **{function.__name__: function for function in functions}
    )


def _site_rows(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [{"name": f"all, {evidence['films']:,} films", **evidence["metrics"]}]
    for name, site in sorted(evidence["sites"].items()):
        rows.append({**site, "name": f"{name}, {site['films']:,} films"})
    return rows


def _class_rows(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The worst class first, then by lower bound of sensitivity; unknown bounds before known."""
    rows = [
        {**figures, "label": label, "name": f"{plots.short(label)}, {figures['films']:,} images"}
        for label, figures in evidence["classes"].items()
    ]
    return sorted(
        rows,
        key=lambda row: (
            row["label"] != evidence["worst_class"],
            -1.0 if row["sensitivity"]["lower"] is None else row["sensitivity"]["lower"],
        ),
    )


def _confused(counts_kk: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The most frequent mistakes, pair by pair."""
    wrong_kk = counts_kk - np.diag(counts_kk.diagonal())
    truths, calls = np.unravel_index(
        np.argsort(-wrong_kk, axis=None, kind="stable"), wrong_kk.shape
    )
    return [
        {
            "labelled": labels[truth],
            "called": labels[call],
            "films": int(wrong_kk[truth, call]),
            "of_class": float(wrong_kk[truth, call] / counts_kk[truth].sum()),
        }
        for truth, call in zip(truths[:_CONFUSED], calls[:_CONFUSED], strict=True)
        if wrong_kk[truth, call]
    ]


def _training(history: Sequence[Mapping[str, float]]) -> dict[str, float] | None:
    if not history:
        return None
    return {
        "epochs": len(history),
        "minutes": sum(row["seconds"] for row in history) / 60,
        "images_per_s": float(np.median([row["images_per_s"] for row in history])),
    }


def _bounds(interval: Mapping[str, float | None] | None, scale: int, places: int) -> str | None:
    if interval is None or not _known(interval["lower"]) or not _known(interval["upper"]):
        return None
    lower = _rounded(interval["lower"], scale, places, ROUND_FLOOR)
    return f"{lower} to {_rounded(interval['upper'], scale, places, ROUND_CEILING)}"


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _rounded(value: float, scale: int, places: int, rounding: str) -> str:
    # Through the shortest decimal text: 0.29 * 100 is 28.999999999999996 in binary and would
    # round down to 28.9.
    exact = Decimal(repr(float(value))) * scale
    # And 0 is added for the sign of a zero: a drop of -0.0000 is none.
    return str(exact.quantize(Decimal(1).scaleb(-places), rounding=rounding) + 0)
