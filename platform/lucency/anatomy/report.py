"""
The anatomy of a network for people: aligned text, and one HTML file that loads nothing.

The layout of the page is in ``report.html.j2``.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lucency import pages
from lucency.anatomy.layers import Anatomy
from lucency.anatomy.what_if import Comparison
from lucency.anatomy.windows import ChainRow

COLUMNS = {
    "name": "layer",
    "kind": "kind",
    "kernel": "kernel",
    "stride": "stride",
    "padding": "pad",
    "dilation": "dil",
    "output": "output",
    "parameters": "parameters",
    "multiply_adds": "multiply-adds",
    "activation_bytes": "bytes",
    "receptive_field": "field",
    "jump": "jump",
    "start": "start",
    "sees_all": "sees all",
}
CHAIN_COLUMNS = {
    key: COLUMNS[key]
    for key in (
        "kind", "kernel", "stride", "padding", "dilation", "output", "parameters",
        "receptive_field", "jump", "start",
    )
}  # fmt: skip
_COMPARED = ("output", "receptive_field", "parameters", "multiply_adds")
COMPARED_COLUMNS = {"name": "layer"} | {
    f"{key}_{when}": f"{COLUMNS[key]} {when}" for key in _COMPARED for when in ("before", "after")
}
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Shown:
    """
    Pictures of a network and what they are of.

    Attributes:
        pictures: PNG by title, in order.
        film: What the network was shown.
        films: How many the gradients are averaged over: the film and noisy copies of it.
    """

    pictures: Mapping[str, bytes] = field(default_factory=dict)
    film: str = ""
    films: int = 1


def text(rows: Rows, columns: Mapping[str, str]) -> str:
    """A table of aligned columns; numbers to the right."""
    cells = [list(columns.values())]
    cells += [[cell(row[key]) for key in columns] for row in rows]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    right = [all(_is_number(row[key]) for row in rows) for key in columns]
    lines = [
        "  ".join(
            each.rjust(width) if number else each.ljust(width)
            for each, width, number in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """A value as people read it: 3x3 for two axes, thousands apart, nothing for None."""
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, list):
        return " x ".join(cell(each) for each in value)
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def summary(anatomy: Anatomy) -> list[str]:
    """What the table comes to, and what must be known to read it; one sentence a line."""
    record = anatomy.record()
    last = anatomy.last_stage
    found = [
        f"{record['parameters']:,} parameters, {record['multiply_adds']:,} multiply-adds, "
        f"{record['activation_bytes'] / 1e6:,.1f} MB of activations for one input of "
        f"{cell(record['input'])}; {anatomy.checked} computed sizes equal real tensors' "
        f"(graph from {anatomy.graph.tracer})"
    ]
    if anatomy.graph.why:
        found.append(f"torch.fx could not read the network: {anatomy.graph.why}")
    if last is not None:
        found.append(
            f"a unit of the last convolutional stage, {last.name}, sees "
            f"{cell(record['receptive_field'])} px and steps by {cell(record['jump'])} px"
        )
    if last is not None and last.sees_all:
        found.append(
            f"from {anatomy.sees_all_from} on each unit depends on the whole input through a gate "
            "(squeeze-and-excitation) or a norm; the column field leaves gates out, as published "
            "tables do"
        )
    elif anatomy.sees_all_from is not None:
        found.append(f"from {anatomy.sees_all_from} on each unit sees the whole input")
    if anatomy.unknown:
        found.append(
            f"not known are {', '.join(anatomy.unknown)}: they are taken to see everything, and "
            "their multiply-adds are not counted"
        )
    if anatomy.unused_parameters:
        found.append(f"{anatomy.unused_parameters:,} parameters serve training only, no answer")
    return found


def compared_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Before and after side by side: the layers that differ, then the whole network."""
    record = comparison.record()
    rows = [
        {
            "name": layer["name"] + (" (changed)" if layer["name"] in comparison.changed else ""),
            **{
                f"{key}_{when}": layer[when][key]
                for key in _COMPARED
                for when in ("before", "after")
            },
        }
        for layer in record["layers"]
    ]
    totals: dict[str, Any] = {"name": "whole network"}
    for key in _COMPARED:
        for when in ("before", "after"):
            totals[f"{key}_{when}"] = record[when].get(key)
    return [*rows, totals]


def html(
    *,
    title: str,
    weights: str,
    anatomy: Anatomy | None,
    comparison: Comparison | None,
    chain: Sequence[ChainRow],
    shown: Shown,
    settings: str,
) -> str:
    """
    The report as HTML text.

    Args:
        weights: Where the weights are from.
        settings: The resolved configuration, YAML.
    """
    environment = pages.environment("lucency.anatomy", cell=cell)
    return environment.get_template("report.html.j2").render(
        title=title,
        weights=weights,
        sentences=summary(anatomy) if anatomy else [],
        tables=_tables(anatomy, comparison, chain),
        pictures={
            name: f"data:image/png;base64,{base64.b64encode(png).decode()}"
            for name, png in shown.pictures.items()
        },
        film=shown.film,
        copies=shown.films - 1,
        settings=settings,
    )


def _tables(
    anatomy: Anatomy | None, comparison: Comparison | None, chain: Sequence[ChainRow]
) -> list[tuple[str, Mapping[str, str], Rows]]:
    found: list[tuple[str, Mapping[str, str], Rows]] = []
    if chain:
        found.append(("Chain", CHAIN_COLUMNS, [row.record() for row in chain]))
    if comparison:
        found.append(("Before and after", COMPARED_COLUMNS, compared_rows(comparison)))
    if anatomy:
        rows = [layer.record() for layer in anatomy.layers]
        found.append(("Layers", COLUMNS, rows))
    return found


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
