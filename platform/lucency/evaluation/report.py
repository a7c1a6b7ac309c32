"""
The report on a model: one HTML file for a physician and an engineer, nothing loaded from elsewhere.

The prose and the layout are in ``report.html.j2``, the figures in ``plots``.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, TypeGuard

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lucency.evaluation import plots

NOT_AVAILABLE = "not available"
PERCENT = "\u202f%"  # after a narrow space that does not break


@dataclass(frozen=True)
class Case:
    """One film and the same film with what the model looked at, both PNG."""

    title: str
    film_png: bytes
    overlay_png: bytes


def render(
    *,
    evidence: Mapping[str, Any],
    labels_n: np.ndarray,
    probabilities_n: np.ndarray,
    validation_labels_n: np.ndarray,
    validation_probabilities_n: np.ndarray,
    validation_uncalibrated_n: np.ndarray,
    history: Sequence[Mapping[str, float]],
    cases: Sequence[Case],
) -> str:
    """
    The report as HTML text.

    Args:
        evidence: What the evaluation stored as JSON; figures and verdict are taken from it,
            never computed again.
        labels_n: Truth of the test films, 0 or 1.
        probabilities_n: Calibrated probabilities of the positive class, 0 to 1.
        validation_uncalibrated_n: The validation probabilities before temperature scaling.
        history: One row an epoch; may be empty.
        cases: Films to show with their overlays; may be empty.
    """
    rule, metrics = evidence["rule"], evidence["metrics"]
    # Data sets like to shout (PNEUMONIA); prose does not.
    labels = [name.lower() for name in evidence["labels"]]
    floors = {
        "sensitivity": rule["sensitivity_floor"],
        "specificity": rule["specificity_floor"],
    }
    figures = {
        "roc": plots.roc(
            labels_n,
            probabilities_n,
            sensitivity=metrics["sensitivity"],
            specificity=metrics["specificity"],
            sensitivity_floor=floors["sensitivity"],
            specificity_floor=floors["specificity"],
        ),
        "reliability": plots.reliability(
            validation_labels_n, validation_uncalibrated_n, validation_probabilities_n
        ),
        "confusion": plots.confusion(evidence["confusion"], labels=labels),
        "scores": plots.scores(
            labels_n, probabilities_n, threshold=evidence["threshold"], labels=labels
        ),
        "curves": plots.curves(history),
        "forest": plots.forest(_site_rows(evidence), floors=floors),
    }
    template = _environment().get_template("report.html.j2")
    return template.render(
        evidence=evidence,
        floors=floors,
        labels=labels,
        figures={name: Markup(svg) for name, svg in figures.items()},
        training=_training(history),
        cases=cases,
    )


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
    # Autoescape is asked for by name: jinja2 would guess from ".j2" and leave it off.
    environment = Environment(
        loader=PackageLoader("lucency.evaluation", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (percent, number, percent_interval, number_interval, data_uri):
        environment.filters[function.__name__] = function
    return environment


def _site_rows(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [{"name": f"all, {evidence['films']:,} films", **evidence["metrics"]}]
    for name, site in sorted(evidence["sites"].items()):
        rows.append({**site, "name": f"{name}, {site['films']:,} films"})
    return rows


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
    return str(exact.quantize(Decimal(1).scaleb(-places), rounding=rounding))
