"""The page on robustness; layout in ``report.html.j2``. Figures are taken from the record."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from lucency import images, pages
from lucency.robustness import plots
from lucency.robustness.base import SEVERITIES, resized
from lucency.robustness.figures import measures

NAMES = {
    "auroc": "AUROC",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}
# A measure that falls by this much, or more, has the strongest colour.
_STRONGEST = 0.4
_SIDE = 200  # pixels of an example's shorter side: enough to see what was done to it


@dataclass(frozen=True)
class Example:
    """A version of a film to show; severity 0 for the clean film and the probes."""

    name: str
    severity: int
    film_hwc: np.ndarray


def render(record: Mapping[str, Any], examples: Sequence[Example]) -> str:
    """
    The page as HTML text, nothing loaded from elsewhere.

    Args:
        record: What ``pipeline.robustness`` writes as JSON.
    """
    rule = record["rule"]
    floors = {name: rule[f"{name}_floor"] for name in ("sensitivity", "specificity")}
    environment = pages.environment(
        "lucency.robustness", words=words, figure=figure, interval=interval, png=_data_uri
    )
    shown: dict[str, list[Example]] = {}
    for example in examples:
        shown.setdefault(example.name, []).append(example)
    return environment.get_template("report.html.j2").render(
        record=record,
        names={name: NAMES[name] for name in measures(record["clean"])},
        severities=SEVERITIES,
        floors=floors,
        shade=shade,
        lost=lost,
        curves=Markup(plots.curves(record["clean"], record["corruptions"], floors=floors)),
        film=shown["clean"][0],
        corrupted={name: shown[name] for name in record["corruptions"]},
        probed={name: shown[name][0] for name in record["probes"] if name in shown},
    )


def lines(record: Mapping[str, Any]) -> list[str]:
    """What matters, one line each, for a terminal."""
    names = measures(record["clean"])
    told = [
        f"{words(name):<16} "
        + "  ".join(f"{measure} {figure(each['drop'][measure], signed=True)}" for measure in names)
        + f"  {lost(each['rule_lost_at'])}"
        for name, each in record["corruptions"].items()
    ]
    clean = "  ".join(f"{name} {figure(record['clean'][name]['value'])}" for name in names)
    drop = record["mean_corruption_drop"]
    mean = "  ".join(f"{name} {figure(value, signed=True)}" for name, value in drop.items())
    return [
        f"{'clean':<16} {clean}",
        "lost, mean over severities:",
        *told,
        f"{'mean':<16} {mean}",
        *(f"{name}: {each['sentence']}" for name, each in record["probes"].items()),
    ]


def lost(severity: int | None) -> str:
    """Where the clinical rule is lost."""
    if severity is None:
        return "rule holds throughout"
    return "rule missed on clean films" if severity == 0 else f"rule lost at severity {severity}"


def shade(clean: float | None, found: float | None) -> str:
    """The colour of a cell: white without a drop, orange with one, in square roots."""
    if clean is None or found is None:
        return "none"
    strength = float(np.clip((clean - found) / _STRONGEST, 0, 1)) ** 0.5
    return f"rgb(194 87 26 / {0.75 * strength:.3f})"


def words(name: str) -> str:
    """A registered name as prose."""
    return name.replace("_", " ")


def figure(value: float | None, signed: bool = False) -> str:
    """Three digits; what is lost has a minus before it, a true one."""
    if value is None:
        return "n/a"
    if not signed:
        return f"{value:.3f}"
    # A loss is given as a clean film's figure less a corrupted one's. No sign before a zero.
    lost = f"{-value:+.3f}"
    return "0.000" if float(lost) == 0 else lost.replace("-", "\u2212")


def interval(figures: Mapping[str, float | None]) -> str:
    """The bounds alone."""
    return f"{figure(figures['lower'])} to {figure(figures['upper'])}"


def _data_uri(film_hwc: np.ndarray) -> str:
    height, width = film_hwc.shape[:2]
    factor = min(1.0, _SIDE / min(height, width))
    small = resized(film_hwc, max(1, round(factor * height)), max(1, round(factor * width)))
    return "data:image/png;base64," + base64.b64encode(images.encode_png(small)).decode()
