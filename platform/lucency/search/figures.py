"""The figures of a search's page, as inline SVG text."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from lucency.evaluation import intervals, rule, svg
from lucency.evaluation.rule import ClinicalRule
from lucency.search.outcome import Outcome, Validation

_LEVELS = 60


@svg.style()
def frontier(outcomes: Sequence[Outcome], validation: Validation, clinical: ClinicalRule) -> str:
    """
    The best sensitivity of any trial at each specificity, with the interval of the trial that
    has it there; and every trial at the floor.
    """
    known = [each for each in outcomes if each.specificity is not None]
    if not known:
        return svg.missing("frontier", "it needs trials of two classes", svg.WHOLE_IN)
    figure, axes = svg.canvas(svg.WHOLE_IN, 4.0)
    floor = clinical.specificity_floor
    levels = np.linspace(max(0.0, floor - 0.3), 1.0, _LEVELS)
    sensitivities = np.array([_along(each, validation, levels) for each in known])
    for row in sensitivities:
        axes.plot(100 * levels, 100 * row, color=svg.PALE, linewidth=0.7)
    leaders = sensitivities.argmax(axis=0)
    bounds = [
        _at(known[place], validation, level, clinical)
        for place, level in zip(leaders, levels, strict=True)
    ]
    lower, upper = np.array([(each.lower, each.upper) for each in bounds]).T
    axes.fill_between(100 * levels, 100 * lower, 100 * upper, color=svg.WASH)
    axes.plot(100 * levels, 100 * sensitivities.max(axis=0), color=svg.BLUE, label="best of all")
    for each in known:
        _point(axes, each)
    axes.axvline(100 * floor, color=svg.MUTED, linewidth=0.8, dashes=(4, 3))
    axes.axhline(100 * clinical.sensitivity_floor, color=svg.MUTED, linewidth=0.8, dashes=(4, 3))
    axes.set(xlabel="specificity, %", ylabel="sensitivity, %", title="validation films")
    axes.set_xlim(100 * levels[0], 100.5)
    axes.grid(color=svg.HAIR, linewidth=0.6)
    axes.legend(loc="lower left")
    return svg.text(figure, "frontier", "The best sensitivity of any trial at each specificity")


@svg.style()
def curves(outcomes: Sequence[Outcome], column: str, label: str, winner: Outcome) -> str:
    """What every epoch of every trial reached; a cross where one was stopped."""
    known = [each for each in outcomes if each.history]
    if not known:
        return svg.missing("curves", "no trial has finished an epoch", svg.WHOLE_IN)
    figure, axes = svg.canvas(svg.WHOLE_IN, 3.6)
    for each in known:
        epochs = [row["epoch"] for row in each.history]
        values = [100 * row[column] for row in each.history]
        first = each.number == winner.number
        color = svg.BLUE if first else svg.PALE
        axes.plot(epochs, values, color=color, linewidth=2.2 if first else 0.9, zorder=3 * first)
        if each.state == "stopped":
            axes.plot(epochs[-1], values[-1], "x", color=svg.ORANGE, markersize=5)
        else:
            axes.plot(epochs[-1], values[-1], "o", color=color, markersize=4, zorder=3 * first)
    axes.set(xlabel="epoch", ylabel=f"{label}, %", title=f"{winner.folder.name} in blue")
    axes.grid(color=svg.HAIR, linewidth=0.6)
    return svg.text(figure, "trials", f"{label} of all trials by epoch")


@svg.style()
def importance(shares: Mapping[str, float], why: str) -> str:
    """The share of each key, the largest on top."""
    if not shares:
        return svg.missing("importance", why, svg.WHOLE_IN)
    figure, axes = svg.canvas(svg.WHOLE_IN, 0.8 + 0.32 * len(shares))
    names = sorted(shares, key=lambda name: shares[name])
    axes.barh([name.removeprefix("recipe.") for name in names], [shares[n] for n in names])
    for bar in axes.patches:
        bar.set_color(svg.BLUE)
    axes.set(xlabel="share of the variance among trials", xlim=(0, 1))
    return svg.text(figure, "importance", "Share of the variance that each open key explains")


def _along(found: Outcome, validation: Validation, levels: np.ndarray) -> np.ndarray:
    scores_n = found.logits_nk[:, 0]
    return np.array(
        [rule.sensitivity_at_specificity(validation.labels_n, scores_n, x) for x in levels]
    )


def _at(
    found: Outcome, validation: Validation, level: float, clinical: ClinicalRule
) -> intervals.Interval:
    scores_n, positive_n = found.logits_nk[:, 0], validation.labels_n == 1
    threshold = rule.threshold_at_specificity(validation.labels_n, scores_n, level)
    return intervals.proportion(
        scores_n[positive_n] > threshold, validation.patients_n[positive_n], clinical.confidence
    )


def _point(axes: Axes, found: Outcome) -> None:
    sensitivity, specificity = found.interval, found.specificity
    assert sensitivity is not None, "only measured trials are drawn"
    assert specificity is not None, "only trials of two classes are drawn"
    axes.plot(
        100 * specificity.value,
        100 * sensitivity.value,
        "x" if found.state == "stopped" else "o",
        color=svg.ORANGE if found.state == "stopped" else svg.BLUE,
        markersize=4,
    )
