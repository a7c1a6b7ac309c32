"""Curves over severity, one small panel a corruption, as inline SVG text."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lucency.evaluation import svg

_COLUMNS = 4
_STYLES = {
    "auroc": (svg.INK, (1, 1.5), "AUROC"),
    "sensitivity": (svg.BLUE, (), "sensitivity"),
    "specificity": (svg.ORANGE, (), "specificity"),
    "accuracy": (svg.MUTED, (4, 2), "accuracy"),
}


@svg.style()
def curves(
    clean: Mapping[str, Any],
    corruptions: Mapping[str, Mapping[str, Any]],
    *,
    floors: Mapping[str, float],
) -> str:
    """
    Every measure from the clean films (0) to severity 5, with its interval.

    Args:
        corruptions: As ``figures.summarise`` gives them, by name; those of one severity have no
            curve and are left out.
        floors: By measure, drawn in its colour.
    """
    shown = {name: each for name, each in corruptions.items() if len(each["severities"]) > 1}
    if not shown:
        return svg.missing("curves", "no corruption with several severities", svg.WHOLE_IN)
    rows = math.ceil(len(shown) / _COLUMNS)
    figure = Figure(figsize=(svg.WHOLE_IN, 0.5 + 2.0 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    for axes, (name, each) in zip(panels, shown.items(), strict=False):
        points = [clean, *each["severities"].values()]
        _panel(axes, points, [0, *map(int, each["severities"])], floors)
        axes.set_title(name.replace("_", " "))
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(names))
    return svg.text(figure, "curves", "AUROC, sensitivity and specificity by severity")


def _panel(
    axes: Axes,
    points: Sequence[Mapping[str, Any]],
    severities: Sequence[int],
    floors: Mapping[str, float],
) -> None:
    for measure, (color, dashes, label) in _STYLES.items():
        if measure not in points[0]:
            continue
        value, lower, upper = (
            np.array([point[measure][key] for point in points], dtype=float)
            for key in ("value", "lower", "upper")
        )
        axes.fill_between(severities, lower, upper, color=color, alpha=0.12, linewidth=0)
        axes.plot(severities, value, color=color, dashes=dashes, linewidth=1.4, label=label)
        if measure in floors:
            axes.axhline(floors[measure], color=color, linewidth=0.6, dashes=(4, 3))
    axes.set(xlim=(0, max(severities)), ylim=(0, 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    axes.grid(axis="y", color=svg.HAIR, linewidth=0.5)
