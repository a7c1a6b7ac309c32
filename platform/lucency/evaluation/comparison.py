"""The page that holds architectures side by side; layout in ``comparison.html.j2``."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lucency import pages
from lucency.evaluation import svg

_COLORS = ("#1f5f8b", "#c2571a", "#2c6e49", "#7b3f8c", "#8a6d1a", "#1c2630", "#b3325a", "#4a7fa5")


def render(
    rows: Sequence[Mapping[str, Any]],
    curves: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    budget: Mapping[str, Any],
) -> str:
    """
    The comparison as HTML text, nothing loaded from elsewhere.

    Args:
        rows: One a pair of architecture and data set, as ``pipeline.compare`` draws them up.
        curves: What every epoch reached, by pair.
        budget: What all pairs were given alike.
    """
    environment = pages.environment("lucency.evaluation", count=count, share=share)
    sets = list(dict.fromkeys(row["set"] for row in rows))
    return environment.get_template("comparison.html.j2").render(
        sets={name: [row for row in rows if row["set"] == name] for name in sets},
        cost=Markup(_cost(rows)),
        curves=Markup(_curves(curves)),
        budget=budget,
    )


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table in one line a pair, for a terminal."""
    return [
        f"{row['model']:<22} {row['set']:<12} "
        + (
            f"failed: {row['failed']}"
            if "failed" in row
            else f"{row['measure']} {share(row['figure'])}  "
            f"{count(row['parameters'])} parameters  {count(row['multiply_adds'])} multiply-adds  "
            f"{row['images_per_s']:.0f} images/s  {row['minutes']:.1f} min"
        )
        for row in rows
    ]


def count(number: float) -> str:
    """Three digits and a unit: 1.2 million is ``1.20 M``."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def share(figure: Mapping[str, float | None]) -> str:
    """A measured share with its interval, in percent."""
    value, lower, upper = (figure[key] for key in ("value", "lower", "upper"))
    if value is None or lower is None or upper is None:
        return "not available"
    return f"{100 * value:.2f} % ({100 * lower:.2f} to {100 * upper:.2f})"


def _cost(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is reached against what it costs, one panel a data set."""
    good = [row for row in rows if "failed" not in row and row["figure"]["value"] is not None]
    sets = list(dict.fromkeys(row["set"] for row in good))
    models = list(dict.fromkeys(row["model"] for row in rows))
    with svg.style():
        figure = Figure(figsize=(svg.WHOLE_IN, 3.4), layout="constrained")
        panels = figure.subplots(1, max(1, len(sets)), squeeze=False)[0]
        for axes, name in zip(panels, sets, strict=False):
            for row in (row for row in good if row["set"] == name):
                _point(axes, row, _COLORS[models.index(row["model"]) % len(_COLORS)])
            axes.set(title=name, xscale="log", xlabel="multiply-adds an image")
            axes.margins(0.25, 0.15)
            axes.grid(color=svg.HAIR, linewidth=0.6)
        if sets:
            panels[0].set_ylabel(f"{good[0]['measure']}, %")
        return svg.text(figure, "cost", "What each reaches against what it costs")


def _point(axes: Axes, row: Mapping[str, Any], color: str) -> None:
    value, lower, upper = (100 * row["figure"][key] for key in ("value", "lower", "upper"))
    axes.errorbar(
        row["multiply_adds"],
        value,
        yerr=[[max(0, value - lower)], [max(0, upper - value)]],
        fmt="o",
        color=color,
    )
    axes.annotate(
        row["model"],
        (row["multiply_adds"], value),
        xytext=(6, 5),
        textcoords="offset points",
        color=color,
    )


def _curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    with svg.style():
        figure = Figure(figsize=(svg.WHOLE_IN, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        for place, (name, history) in enumerate(curves.items()):
            color = _COLORS[place % len(_COLORS)]
            epochs = [row["epoch"] for row in history]
            left.plot(epochs, [row["validation_loss"] for row in history], color=color, label=name)
            right.plot(epochs, [100 * row["accuracy"] for row in history], color=color)
        left.set(title="validation loss", xlabel="epoch", yscale="log")
        right.set(title="validation accuracy, %", xlabel="epoch")
        for axes in (left, right):
            axes.grid(color=svg.HAIR, linewidth=0.6)
        if curves:
            figure.legend(loc="outside right upper")
        return svg.text(figure, "curves", "Validation loss and accuracy by epoch")
