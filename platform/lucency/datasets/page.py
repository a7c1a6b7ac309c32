"""
The report on a prepared table as one HTML file, nothing loaded from elsewhere.

The prose and the layout are in ``report.html.j2``; every figure comes from ``report.json``.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from lucency import pages
from lucency.datasets.report import grouped

_COLOURS = ("#1f5f8b", "#c2571a")
_WIDTH, _HEIGHT, _FOOT = 440, 150, 18
_LISTED = 300  # films a reason; report.json names all

UNITS = {
    "pixels": ("Size", "pixels, width times height"),
    "aspect ratio": ("Aspect ratio", "width over height"),
    "file size": ("File size", "bytes"),
    "mean brightness": ("Mean brightness", "8-bit gray levels"),
}


def render(report: Mapping[str, Any], sheet_png: bytes) -> str:
    """
    The page as HTML text.

    Args:
        report: What ``report.build`` gave, with the table's name and digests.
        sheet_png: Some films of each class and split.
    """
    environment = pages.environment("lucency.datasets", count="{:,}".format, figure=figure)
    return environment.get_template("report.html.j2").render(
        report=report,
        units=UNITS,
        curves={name: histogram(each) for name, each in report["differences"].items()},
        set_aside=grouped(report["set_aside"]),
        flagged=grouped(report["flagged"]),
        listed=_LISTED,
        sheet=base64.b64encode(sheet_png).decode("ascii"),
    )


def figure(value: float) -> str:
    """A number of any size with as many digits as are read: 1.49, 131.2, 50,176."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def histogram(difference: Mapping[str, Any]) -> Markup:
    """
    Share of films over the quantity, one line a class, as SVG.

    Of more than two classes: the one that stands out, and all others together.
    """
    stored = difference["histogram"]
    if stored["from"] == stored["to"]:
        return Markup('<p class="quiet">All films have the same.</p>')
    drawn = list(_lines(stored["films"], difference["stands_out"]))
    top = max(float(shares.max()) for _, shares in drawn) or 1.0
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="histogram">',
        f'<line x1="0" x2="{_WIDTH}" y1="{_HEIGHT - _FOOT}" y2="{_HEIGHT - _FOOT}" class="axis"/>',
    ]
    for number, (name, shares) in enumerate(drawn):
        points = _steps(shares / top)
        colour = _COLOURS[number]
        parts.append(
            f'<path d="{points}" fill="{colour}" fill-opacity="0.14" stroke="{colour}"/>'
            f'<text x="{_WIDTH}" y="{14 + 16 * number}" text-anchor="end" fill="{colour}">'
            f"{escape(name)}</text>"
        )
    for x, anchor, value in ((0, "start", stored["from"]), (_WIDTH, "end", stored["to"])):
        parts.append(
            f'<text x="{x}" y="{_HEIGHT - 3}" text-anchor="{anchor}" class="tick">'
            f"{figure(value)}</text>"
        )
    return Markup("".join(parts) + "</svg>")  # every name was escaped


def _lines(
    films: Mapping[str, Sequence[int]], stands_out: str | None
) -> Sequence[tuple[str, np.ndarray]]:
    counts = {name: np.array(each, float) for name, each in films.items() if sum(each)}
    if len(counts) > 2 and stands_out is not None:
        rest = np.sum([each for name, each in counts.items() if name != stands_out], axis=0)
        counts = {"all others": rest, stands_out: counts[stands_out]}
    return [(name, each / each.sum()) for name, each in counts.items()]


def _steps(heights: np.ndarray) -> str:
    """The outline of bars whose heights run from 0 to 1."""
    floor = _HEIGHT - _FOOT
    wide = _WIDTH / len(heights)
    corners = [f"M0 {floor}"]
    for place, height in enumerate(heights):
        y = floor - height * (floor - 8)
        corners.append(f"L{place * wide:.1f} {y:.1f}L{(place + 1) * wide:.1f} {y:.1f}")
    return "".join([*corners, f"L{_WIDTH} {floor}Z"])
