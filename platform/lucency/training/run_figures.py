"""
Figures of a run by epoch, drawn straight as SVG.

They are drawn anew after every epoch, beside a training that needs the same cores: all of a page
take milliseconds, where matplotlib takes a third of a second, and another to be imported.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

# In units of the drawing, which the page stretches to its column.
_WIDTH, _HEIGHT = 460, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 34, 24
_COLORS = ("#1f5f8b", "#c2571a", "#2c6e49", "#7b3f8c", "#8a6d1a")
_INK, _MUTED, _HAIR, _GOOD = "#1c2630", "#5a6570", "#d9dfe4", "#2c6e49"
# More than a factor of that, and a linear axis hides the small end.
_LOG_FROM = 30.0
_LOG_SPAN = 1000.0
# Beyond so many epochs dots would run into one another.
_MOST_DOTS = 80


@dataclass(frozen=True)
class Frame:
    """
    What all figures of a run share.

    Attributes:
        epochs: Those that are drawn, rising.
        phases: First epoch of each phase after the first, and its name.
        best: The epoch that is kept.
    """

    epochs: Sequence[int]
    phases: Mapping[int, str] = field(default_factory=dict)
    best: int | None = None

    def x(self, epoch: float) -> float:
        """Across the panel; each epoch has a column of its own."""
        first, last = self.epochs[0], self.epochs[-1]
        share = (epoch - first + 0.5) / (last - first + 1)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def lines(
    frame: Frame,
    series: Mapping[str, Sequence[float]],
    *,
    floors: Mapping[str, float] | None = None,
    from_zero: bool = False,
    logarithmic: bool = False,
) -> Markup:
    """
    One line a series, five at most; values that are not numbers leave a gap.

    Args:
        floors: Values not to be under, by the name of their series; drawn in its colour.
        logarithmic: Where the values span a wide range; what is far below the rest is then drawn
            at the foot, zeros not at all.
    """
    floors = floors or {}
    values = [value for line in series.values() for value in line if math.isfinite(value)]
    limits = [floor for name, floor in floors.items() if name in series]
    axis = _Axis.over([*values, *limits], from_zero, logarithmic)
    drawn = [
        _line(frame, axis, name, line, color)
        for (name, line), color in zip(series.items(), _COLORS, strict=False)
    ]
    drawn += [
        _floor(axis, floors[name], color)
        for name, color in zip(series, _COLORS, strict=False)
        if name in floors
    ]
    return _panel(frame, axis, drawn, series)


def bars(frame: Frame, parts: Mapping[str, Sequence[float]]) -> Markup:
    """One bar an epoch, its parts on top of each other."""
    totals = [sum(column) for column in zip(*parts.values(), strict=True)]
    axis = _Axis.over(totals, from_zero=True, logarithmic=False)
    width = 0.7 * (_WIDTH - _LEFT - _RIGHT) / (frame.epochs[-1] - frame.epochs[0] + 1)
    base = [0.0] * len(frame.epochs)
    drawn = []
    for (name, values), color in zip(parts.items(), _COLORS, strict=False):
        for place, (epoch, value) in enumerate(zip(frame.epochs, values, strict=True)):
            top, bottom = axis.y(base[place] + value), axis.y(base[place])
            drawn.append(
                f'<rect x="{frame.x(epoch) - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" '
                f'height="{bottom - top:.1f}" fill="{color}">{_hint(name, epoch, value)}</rect>'
            )
            base[place] += value
    return _panel(frame, axis, drawn, parts)


@dataclass(frozen=True)
class _Axis:
    lower: float
    upper: float
    logarithmic: bool

    @classmethod
    def over(cls, values: Iterable[float], from_zero: bool, logarithmic: bool) -> "_Axis":
        found = list(values) or [0.0, 1.0]
        positive = [value for value in found if value > 0]
        if logarithmic and positive and max(positive) > _LOG_FROM * min(positive):
            # A schedule that ends next to zero would press all the rest to the top.
            lowest = max(min(positive), max(positive) / _LOG_SPAN)
            return cls(lowest / 1.2, max(positive) * 1.2, True)
        lower, upper = (0.0 if from_zero else min(found)), max(found)
        room = 0.06 * (upper - lower) or abs(upper) * 0.05 or 1.0
        return cls(lower if from_zero else lower - room, upper + room, False)

    def y(self, value: float) -> float:
        ends = (self.lower, self.upper, value)
        lower, upper, here = map(math.log10, ends) if self.logarithmic else ends
        here = max(lower, here)
        return _HEIGHT - _BOTTOM - (here - lower) / (upper - lower) * (_HEIGHT - _TOP - _BOTTOM)

    def shows(self, value: float) -> bool:
        return math.isfinite(value) and (value > 0 or not self.logarithmic)

    def ticks(self) -> list[float]:
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.lower)), math.ceil(math.log10(self.upper)))
            found = [10.0**decade for decade in decades if 10.0**decade >= self.lower]
            return found[:: max(1, len(found) // 4)]
        return _round_numbers(self.lower, self.upper, 4)


def _round_numbers(lower: float, upper: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within the limits."""
    raw = (upper - lower) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.ceil(lower / step - 1e-9), math.floor(upper / step + 1e-9)
    return [count * step for count in range(first, last + 1)]


def _line(frame: Frame, axis: _Axis, name: str, values: Sequence[float], color: str) -> str:
    path, dots, pen = [], [], "M"
    for epoch, value in zip(frame.epochs, values, strict=True):
        if not axis.shows(value):
            pen = "M"
            continue
        x, y = frame.x(epoch), axis.y(value)
        # A line of no length has round ends: a value between two gaps is still seen.
        path.append(f"{pen}{x:.1f} {y:.1f}" + ("h0" if pen == "M" else ""))
        pen = "L"
        if len(frame.epochs) <= _MOST_DOTS:
            dots.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{color}">'
                f"{_hint(name, epoch, value)}</circle>"
            )
    look = f'fill="none" stroke="{color}" stroke-width="1.7" stroke-linecap="round"'
    return f'<path d="{"".join(path)}" {look}/>{"".join(dots)}'


def _floor(axis: _Axis, value: float, color: str) -> str:
    y = axis.y(value)
    return (
        f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{color}" stroke-dasharray="5 3"/>'
        + _text(_WIDTH - _RIGHT, y - 3, f"floor {value:g}", color, "end")
    )


def _panel(frame: Frame, axis: _Axis, drawn: Sequence[str], names: Iterable[str]) -> Markup:
    names = list(names)
    parts = [_grid(frame, axis), *_marks(frame), *drawn]
    x = float(_LEFT)
    for name, color in zip(names, _COLORS, strict=False):
        parts.append(f'<rect x="{x:.0f}" y="3" width="9" height="9" fill="{color}"/>')
        parts.append(_text(x + 13, 11, name, _INK))
        x += 13 + 6.0 * len(name) + 16
    label = escape(f"{', '.join(names)} by epoch")
    return Markup(  # every text in it went through escape
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(frame: Frame, axis: _Axis) -> str:
    parts = []
    for value in axis.ticks():
        y = axis.y(value)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{_HAIR}"/>')
        parts.append(_text(_LEFT - 5, y + 3.5, _short(value), _MUTED, "end"))
    first, last = frame.epochs[0], frame.epochs[-1]
    for epoch in _round_numbers(first, max(last, first + 1), 8):
        if epoch == int(epoch) and epoch <= last:
            x = frame.x(epoch)
            parts.append(_text(x, _HEIGHT - _BOTTOM + 15, f"{epoch:.0f}", _MUTED, "middle"))
    return "".join(parts)


def _marks(frame: Frame) -> list[str]:
    """Where phases begin and which epoch is best, as upright lines."""
    parts = []
    shown = {e: name for e, name in frame.phases.items() if frame.epochs[0] < e <= frame.epochs[-1]}
    for epoch, name in shown.items():
        x = frame.x(epoch - 0.5)
        parts += [_upright(x, _MUTED, "2 3"), _text(x + 3, _TOP - 4, name, _MUTED)]
    if frame.best is not None:
        parts.append(_upright(frame.x(frame.best), _GOOD, "none"))
        # In the row of names: inside the panel a bar or a line would cross it.
        parts.append(_text(_WIDTH - _RIGHT, 11, f"best: epoch {frame.best}", _GOOD, "end"))
    return parts


def _upright(x: float, color: str, dashes: str) -> str:
    return (
        f'<path d="M{x:.1f} {_TOP - 2}V{_HEIGHT - _BOTTOM}" stroke="{color}" '
        f'stroke-opacity="0.6" stroke-dasharray="{dashes}"/>'
    )


def _text(x: float, y: float, words: str, color: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{color}">{escape(words)}</text>'


def _hint(name: str, epoch: int, value: float) -> str:
    """What a pointer over a mark shows."""
    return f"<title>{escape(name)}, epoch {epoch}: {value:.5g}</title>"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
