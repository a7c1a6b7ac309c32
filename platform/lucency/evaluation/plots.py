"""
The figures of a report as inline SVG text, drawn without pyplot and so without global state.

Every function answers with an SVG, also when its data can't be drawn: that one says why.
"""

import html
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

# A value and its bounds: ``{"value": 0.97, "lower": 0.95, "upper": 0.98}``.
Interval = Mapping[str, float]

INK, MUTED, HAIR, WASH = "#1c2630", "#66717d", "#d9dfe4", "#e9f0f5"
BLUE, PALE, ORANGE = "#1f5f8b", "#93b3c9", "#c2571a"
STYLE: Any = {
    # Text stays text: it can be searched and takes the page's typeface.
    "svg.fonttype": "none",
    "svg.hashsalt": "lucency",
    # A site called "$a$" is a name, not a formula.
    "text.parse_math": False,
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
    "savefig.transparent": True,
}
HALF_IN, WHOLE_IN = 4.7, 9.6  # widths of figures in inches: half the page, the whole page
BINS = np.linspace(0.0, 1.0, 41)


@contextmanager
def _style() -> Iterator[None]:
    """The house style for the time of one figure; also a decorator."""
    with matplotlib.rc_context(STYLE):
        yield


@_style()
def roc(
    labels_n: np.ndarray,
    probabilities_n: np.ndarray,
    *,
    sensitivity: Interval,
    specificity: Interval,
    sensitivity_floor: float,
    specificity_floor: float,
) -> str:
    """The ROC curve, the operating point with its two intervals, and what the floors allow."""
    if not _both_classes(labels_n):
        return _missing("roc", "it needs films of both classes")
    figure, axes = _figure(HALF_IN, 4.2)
    false_positive_rate, true_positive_rate, _ = roc_curve(labels_n, probabilities_n)
    allowed = (0.0, sensitivity_floor), 1 - specificity_floor, 1 - sensitivity_floor
    axes.add_patch(Rectangle(*allowed, facecolor=WASH, edgecolor="none"))
    axes.axhline(sensitivity_floor, color=MUTED, linewidth=0.8, dashes=(4, 3))
    axes.axvline(1 - specificity_floor, color=MUTED, linewidth=0.8, dashes=(4, 3))
    axes.plot([0, 1], [0, 1], color=HAIR, linewidth=1)
    axes.plot(false_positive_rate, true_positive_rate, color=BLUE)
    if _finite(sensitivity) and _finite(specificity):
        axes.errorbar(
            1 - specificity["value"],
            sensitivity["value"],
            # The axis is turned round: what lowers specificity points to the right.
            xerr=_arms(specificity)[::-1],
            yerr=_arms(sensitivity),
            fmt="o",
            color=ORANGE,
            markersize=5,
            linewidth=1.4,
            zorder=5,
            label="operating point",
        )
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.06))
    style = {"color": MUTED, "fontsize": 8}
    text = f"specificity floor {_percent(specificity_floor)}"
    axes.text(1 - specificity_floor + 0.02, 0.02, text, style)
    text = f"sensitivity floor {_percent(sensitivity_floor)}"
    axes.text(0.99, sensitivity_floor - 0.015, text, style, ha="right", va="top")
    axes.set(xlim=(-0.02, 1.01), ylim=(-0.01, 1.02), aspect="equal")
    axes.set(xlabel="1 - specificity (false alarms)", ylabel="sensitivity (films found)")
    return _svg(figure, "roc", "ROC curve with the operating point and the floors")


@_style()
def reliability(
    labels_n: np.ndarray, before_n: np.ndarray, after_n: np.ndarray, *, bins: int = 10
) -> str:
    """Observed frequency against predicted probability, in at most ``bins`` equal-mass bins."""
    if not _both_classes(labels_n):
        return _missing("reliability", "it needs validation films of both classes")
    # Fewer than 20 films in a bin would draw noise.
    count = int(np.clip(len(labels_n) // 20, 2, bins))
    figure, axes = _figure(HALF_IN, 4.2)
    axes.plot([0, 1], [0, 1], color=HAIR, linewidth=1)
    for probabilities_n, name, color in ((before_n, "before", PALE), (after_n, "after", BLUE)):
        observed, predicted = calibration_curve(
            labels_n, probabilities_n, n_bins=count, strategy="quantile", pos_label=1
        )
        axes.plot(predicted, observed, "o-", markersize=4, color=color, label=f"{name} scaling")
    axes.legend(loc="lower right")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set(xlabel="predicted probability", ylabel="observed share of positive films")
    return _svg(figure, "reliability", "Reliability before and after temperature scaling")


@_style()
def confusion(counts: Mapping[str, int], *, labels: Sequence[str]) -> str:
    """The four counts, each with its share of the films labelled alike."""
    grid = np.array(
        [
            [counts["true_positive"], counts["false_negative"]],
            [counts["false_positive"], counts["true_negative"]],
        ]
    )
    shares = grid / np.maximum(grid.sum(axis=1, keepdims=True), 1)
    words = (("found", "missed"), ("false alarms", "cleared"))
    names = (labels[1], labels[0])
    figure, axes = _figure(HALF_IN, 3.4)
    for row, column in np.ndindex(2, 2):
        color = BLUE if row == column else ORANGE
        # Stronger for a larger share, yet pale enough for dark text.
        alpha = 0.08 + 0.32 * shares[row, column]
        corner = (column + 0.02, row + 0.02)
        axes.add_patch(Rectangle(corner, 0.96, 0.96, facecolor=color, alpha=alpha))
        x, y = column + 0.5, row + 0.46
        axes.text(x, y, f"{grid[row, column]:,}", fontsize=19, ha="center", va="center")
        text = f"{words[row][column]}, {100 * shares[row, column]:.1f} %"
        axes.text(x, y + 0.27, text, color=MUTED, ha="center", va="center")
    axes.set(xlim=(0, 2), ylim=(2, 0), xticks=(0.5, 1.5), yticks=(0.5, 1.5))
    axes.set_xticklabels([f"called {name}" for name in names])
    axes.set_yticklabels([f"labelled\n{name}" for name in names])
    axes.tick_params(length=0, labelcolor=INK)
    axes.xaxis.tick_top()
    axes.spines[:].set_visible(False)
    return _svg(figure, "confusion", "Confusion matrix")


@_style()
def scores(
    labels_n: np.ndarray, probabilities_n: np.ndarray, *, threshold: float, labels: Sequence[str]
) -> str:
    """How many films got which probability, one panel a class, errors in another colour."""
    figure = Figure(figsize=(HALF_IN, 3.4), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, label, error in zip(panels, (1, 0), ("missed", "false alarms"), strict=True):
        scores_n = probabilities_n[labels_n == label]
        right_n = (scores_n >= threshold) == bool(label)
        parts = [scores_n[right_n], scores_n[~right_n]]
        axes.hist(parts, BINS, stacked=True, color=[PALE, ORANGE], rwidth=0.9)
        axes.axvline(threshold, color=INK, linewidth=1)
        axes.set_title(f"{labels[label]}: {len(scores_n):,} films, {len(parts[1]):,} {error}")
        # Square roots keep the few errors visible beside the many certain films.
        axes.set_yscale("function", functions=(np.sqrt, np.square))
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.set(xlim=(0, 1), ylim=(0, None) if len(scores_n) else (0, 1), ylabel="films")
    panels[1].set_xlabel(f"calibrated probability; the line is the threshold, {threshold:.3f}")
    return _svg(figure, "scores", "Histogram of probabilities by class with the threshold")


@_style()
def curves(history: Sequence[Mapping[str, float]]) -> str:
    """Loss, and what it buys on the validation films, by epoch."""
    if not history:
        return _missing("curves", "no training history was kept", width_in=WHOLE_IN)
    panels = {
        "loss": {"train_loss": "training", "validation_loss": "validation"},
        "validation": {
            "sensitivity_at_specificity": "sensitivity at the specificity floor",
            "auroc": "AUROC",
        },
    }
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(WHOLE_IN, 2.8), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for (key, name), color in zip(names.items(), (PALE, BLUE), strict=True):
            values = [row.get(key, np.nan) for row in history]
            axes.plot(epochs, values, "o-", markersize=2.5, color=color, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set(title=title, xlabel="epoch")
        axes.grid(axis="y", color=HAIR, linewidth=0.6)
        axes.legend()
    return _svg(figure, "curves", "Training curves")


@_style()
def forest(rows: Sequence[Mapping[str, Any]], *, floors: Mapping[str, float]) -> str:
    """
    Intervals of three measures, one line a site.

    Args:
        rows: ``name`` and, by measure, an interval or None; the first row is all sites together.
        floors: Floor by measure; a measure without one has no line.
    """
    measures = {"sensitivity": "sensitivity", "specificity": "specificity", "auroc": "AUROC"}
    figure = Figure(figsize=(WHOLE_IN, 1.0 + 0.36 * len(rows)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (measure, title) in zip(panels, measures.items(), strict=True):
        _forest_panel(axes, [row.get(measure) for row in rows])
        if measure in floors:
            axes.axvline(floors[measure], color=MUTED, linewidth=0.8, dashes=(4, 3))
            title = f"{title}, floor {_percent(floors[measure])}"
            axes.xaxis.set_major_formatter(lambda share, _: _percent(share))
        axes.set_title(title)
    panels[0].set(ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
    panels[0].set_yticklabels([row["name"] for row in rows])
    return _svg(figure, "forest", "Sensitivity, specificity and AUROC by site, with intervals")


def _forest_panel(axes: Axes, intervals: Sequence[Interval | None]) -> None:
    lowers = [interval["lower"] for interval in intervals if interval and _finite(interval)]
    left = min(lowers, default=0.0)
    for y, interval in enumerate(intervals):
        if not interval or not _finite(interval):
            place = axes.get_yaxis_transform()
            axes.text(0.04, y, "not available", {"color": MUTED}, va="center", transform=place)
            continue
        color, size = (BLUE, 6) if y == 0 else (INK, 4)
        axes.errorbar(
            interval["value"], y, xerr=_arms(interval), fmt="o", color=color, markersize=size
        )
    # A twentieth of air on both sides; ticks stop at 1, as the measures do.
    air = (1 - left) / 20 or 0.01
    axes.set_xlim(left - air, 1 + min(air, 0.004))
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.grid(axis="x", color=HAIR, linewidth=0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)


def _both_classes(labels_n: np.ndarray) -> bool:
    return len(np.unique(labels_n)) == 2


def _finite(interval: Interval) -> bool:
    return all(value is not None and np.isfinite(value) for value in interval.values())


def _arms(interval: Interval) -> np.ndarray:
    """Lengths of an error bar down and up, shape (2, 1)."""
    value = interval["value"]
    return np.array([[value - interval["lower"]], [interval["upper"] - value]])


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure, figure.subplots()


@_style()
def _missing(name: str, why: str, width_in: float = HALF_IN) -> str:
    figure, axes = _figure(width_in, 1.6)
    axes.set_axis_off()
    text = f"not available: {why}"
    axes.text(0.5, 0.5, text, color=MUTED, ha="center", transform=axes.transAxes)
    return _svg(figure, name, text)


def _svg(figure: Figure, name: str, description: str) -> str:
    stream = io.StringIO()
    # No date, no maker: equal data give equal bytes.
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata=nothing)
    text = stream.getvalue()
    # Ids are global in an HTML page: two figures with one id would borrow each other's shapes.
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text[text.index("<svg") :])
    label = html.escape(description)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
