"""
How a figure of a report is drawn: its look, and from matplotlib to inline SVG text.

Without pyplot and so without global state.
"""

import html
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, HAIR, WASH = "#1c2630", "#66717d", "#d9dfe4", "#e9f0f5"
BLUE, PALE, ORANGE = "#1f5f8b", "#93b3c9", "#c2571a"
HALF_IN, WHOLE_IN = 4.7, 9.6  # widths of figures in inches: half the page, the whole page

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


@contextmanager
def style() -> Iterator[None]:
    """The house style for the time of one figure; also a decorator."""
    with matplotlib.rc_context(STYLE):
        yield


def canvas(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """A figure of one panel."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    return figure, figure.subplots()


@style()
def missing(name: str, why: str, width_in: float = HALF_IN) -> str:
    """In place of a figure that can't be drawn: one that says why."""
    figure, axes = canvas(width_in, 1.6)
    axes.set_axis_off()
    words = f"not available: {why}"
    axes.text(0.5, 0.5, words, color=MUTED, ha="center", transform=axes.transAxes)
    return text(figure, name, words)


def text(figure: Figure, name: str, description: str) -> str:
    """
    A finished figure as one ``<svg>`` element.

    Args:
        name: Begins every id inside; unlike that of any other figure of the page.
        description: What a screen reader says.
    """
    stream = io.StringIO()
    # No date, no maker: equal data give equal bytes.
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata=nothing)
    svg = stream.getvalue()
    # Ids are global in an HTML page: two figures with one id would borrow each other's shapes.
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg[svg.index("<svg") :])
    label = html.escape(description)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
