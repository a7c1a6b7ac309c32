"""
The figures of a report as inline SVG text.

Every function answers with an SVG, also when its data can't be drawn: that one says why.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from lucency.evaluation import svg
from lucency.evaluation.svg import (
    BLUE,
    HAIR,
    HALF_IN,
    INK,
    MUTED,
    ORANGE,
    PALE,
    WASH,
    WHOLE_IN,
)

# A value and its bounds: ``{"value": 0.97, "lower": 0.95, "upper": 0.98}``.
Interval = Mapping[str, float]

BINS = np.linspace(0.0, 1.0, 41)
# More classes than this leave no room for counts in the cells.
_COUNTED = 40
_LONGEST_NAME = 28


@svg.style()
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
        return svg.missing("roc", "it needs films of both classes")
    figure, axes = svg.canvas(HALF_IN, 4.2)
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
    return svg.text(figure, "roc", "ROC curve with the operating point and the floors")


def reliability(labels_n: np.ndarray, before_n: np.ndarray, after_n: np.ndarray) -> str:
    """Observed frequency against predicted probability of the positive class, equal-mass bins."""
    if not _both_classes(labels_n):
        return svg.missing("reliability", "it needs films of both classes")
    return _reliability(labels_n, before_n, after_n, "observed share of positive films")


def reliability_of_calls(right_n: np.ndarray, before_n: np.ndarray, after_n: np.ndarray) -> str:
    """The same for the class that is called: how often it is right, against its probability."""
    if not _both_classes(right_n):
        return svg.missing("reliability", "it needs images called right and wrong")
    return _reliability(right_n, before_n, after_n, "observed share of right calls")


@svg.style()
def _reliability(
    right_n: np.ndarray, before_n: np.ndarray, after_n: np.ndarray, observed_share: str
) -> str:
    # Fewer than 20 films in a bin would draw noise.
    bins = int(np.clip(len(right_n) // 20, 2, 10))
    figure, axes = svg.canvas(HALF_IN, 4.2)
    axes.plot([0, 1], [0, 1], color=HAIR, linewidth=1)
    for probabilities_n, name, color in ((before_n, "before", PALE), (after_n, "after", BLUE)):
        observed, predicted = calibration_curve(
            right_n, probabilities_n, n_bins=bins, strategy="quantile", pos_label=1
        )
        axes.plot(predicted, observed, "o-", markersize=4, color=color, label=f"{name} calibration")
    axes.legend(loc="lower right")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set(xlabel="predicted probability", ylabel=observed_share)
    return svg.text(figure, "reliability", "Reliability before and after calibration")


@svg.style()
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
    figure, axes = svg.canvas(HALF_IN, 3.4)
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
    return svg.text(figure, "confusion", "Confusion matrix")


@svg.style()
def confusion_matrix(counts_kk: Sequence[Sequence[int]], *, labels: Sequence[str]) -> str:
    """
    Rows by truth, columns by call, as a heat map: the diagonal is right, all else is wrong.

    Args:
        counts_kk: Images, each row of one truth.
    """
    grid = np.array(counts_kk)
    classes = len(grid)
    shares = grid / np.maximum(grid.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(2.2 + 0.5 * classes, 4.2, WHOLE_IN))
    figure, axes = svg.canvas(WHOLE_IN, side)
    # A cell has some 560 points over the number of classes; a digit is 0.6 of its size wide.
    longest = len(f"{grid.max(initial=0):,}")
    fontsize = float(np.clip(720 / classes / longest, 4.5, 10))
    for row, column in zip(*np.nonzero(grid), strict=True):
        # Square roots keep a class that is mistaken once in fifty visible.
        alpha = 0.06 + 0.6 * np.sqrt(shares[row, column])
        color = to_rgba(BLUE if row == column else ORANGE, alpha)
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=color, linewidth=0))
        if classes <= _COUNTED:
            count = f"{grid[row, column]:,}"
            axes.text(column, row, count, fontsize=fontsize, ha="center", va="center")
    edges = np.arange(classes + 1) - 0.5
    axes.hlines(edges, -0.5, classes - 0.5, color=HAIR, linewidth=0.5)
    axes.vlines(edges, -0.5, classes - 0.5, color=HAIR, linewidth=0.5)
    axes.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), aspect="equal")
    _name_both_axes(axes, labels, fontsize=float(np.clip(230 / classes, 7, 9)))
    return svg.text(figure, "confusion", "Confusion matrix")


def short(name: str) -> str:
    """A class name that leaves room for the figure."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "\u2026"


def _name_both_axes(axes: Axes, labels: Sequence[str], *, fontsize: float) -> None:
    names, places = [short(name) for name in labels], range(len(labels))
    # Names side by side have half an inch each at most.
    turned = 90 if len(labels) > 15 else 45 if max(map(len, names)) > 5 else 0
    axes.set_yticks(places, names, fontsize=fontsize)
    axes.set_xticks(
        places,
        names,
        fontsize=fontsize,
        rotation=turned,
        ha="left" if turned == 45 else "center",
        rotation_mode="anchor" if turned == 45 else "default",
    )
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("called", color=MUTED)
    axes.set_ylabel("labelled", color=MUTED)


@svg.style()
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
    return svg.text(figure, "scores", "Histogram of probabilities by class with the threshold")


@svg.style()
def certainties(right_n: np.ndarray, probabilities_n: np.ndarray) -> str:
    """How many images were called with which probability, right and wrong ones apart."""
    figure = Figure(figsize=(HALF_IN, 4.2), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    parts = (("right", right_n, PALE), ("wrong", ~right_n, ORANGE))
    for axes, (name, chosen_n, color) in zip(panels, parts, strict=True):
        axes.hist(probabilities_n[chosen_n], BINS, color=color, rwidth=0.9)
        # Limits before the scale: an empty panel's own reach below zero, which has no root.
        axes.set(xlim=(0, 1), ylim=(0, None) if chosen_n.any() else (0, 1), ylabel="images")
        axes.set_title(f"{name}: {chosen_n.sum():,} images")
        # Square roots keep the few doubtful images visible beside the many certain ones.
        axes.set_yscale("function", functions=(np.sqrt, np.square))
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    panels[1].set_xlabel("calibrated probability of the class that was called")
    return svg.text(figure, "certainties", "Histogram of probabilities of right and wrong calls")


@svg.style()
def curves(history: Sequence[Mapping[str, float]]) -> str:
    """Loss, and what it buys on the validation films, by epoch."""
    if not history:
        return svg.missing("curves", "no training history was kept", width_in=WHOLE_IN)
    panels = {
        "loss": {"train_loss": "training", "validation_loss": "validation"},
        "validation": _measures(history),
    }
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(WHOLE_IN, 2.8), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        for (key, name), color in zip(names.items(), (PALE, BLUE), strict=True):
            values = [row.get(key, np.nan) for row in history]
            axes.plot(epochs, values, "o-", markersize=2.5, color=color, label=name)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
        axes.set(title=title, xlabel="epoch")
        axes.grid(axis="y", color=HAIR, linewidth=0.6)
        axes.legend()
    return svg.text(figure, "curves", "Training curves")


def _measures(history: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """What ranks epochs of two classes, or of more, beside the area."""
    if "mean_sensitivity" in history[0]:
        return {"accuracy": "accuracy", "auroc": "AUROC, mean over classes"}
    return {"sensitivity_at_specificity": "sensitivity at the specificity floor", "auroc": "AUROC"}


def forest(rows: Sequence[Mapping[str, Any]], *, floors: Mapping[str, float]) -> str:
    """
    Intervals of three measures, one line a site.

    Args:
        rows: ``name`` and, by measure, an interval or None; the first row is all sites together.
        floors: Floor by measure; a measure without one has no line.
    """
    measures = {"sensitivity": "sensitivity", "specificity": "specificity", "auroc": "AUROC"}
    description = "Sensitivity, specificity and AUROC by site, with intervals"
    return _forest(rows, floors, measures, description)


def forest_of_classes(rows: Sequence[Mapping[str, Any]], *, floors: Mapping[str, float]) -> str:
    """The same with one line a class against all others; the first row is the worst class."""
    measures = {
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "ppv": "positive predictive value",
    }
    description = "Sensitivity, specificity and predictive value by class, with intervals"
    return _forest(rows, floors, measures, description)


@svg.style()
def _forest(
    rows: Sequence[Mapping[str, Any]],
    floors: Mapping[str, float],
    measures: Mapping[str, str],
    description: str,
) -> str:
    figure = Figure(figsize=(WHOLE_IN, 1.0 + 0.36 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True)
    for axes, (measure, title) in zip(panels, measures.items(), strict=True):
        _forest_panel(axes, [row.get(measure) for row in rows])
        if measure in floors:
            axes.axvline(floors[measure], color=MUTED, linewidth=0.8, dashes=(4, 3))
            title = f"{title}, floor {_percent(floors[measure])}"
        if measure != "auroc":
            axes.xaxis.set_major_formatter(lambda share, _: _percent(share))
        axes.set_title(title)
    panels[0].set(ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
    panels[0].set_yticklabels([row["name"] for row in rows])
    return svg.text(figure, "forest", description)


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
    arms = np.array([[value - interval["lower"]], [interval["upper"] - value]])
    # A bootstrap of few patients can leave its own estimate outside.
    return np.asarray(np.maximum(arms, 0.0))


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
