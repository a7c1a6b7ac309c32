"""
The arithmetic of sliding windows along one axis: sizes, and which input pixels a unit sees.

Araujo, Norris and Sim, "Computing receptive fields of convolutional neural networks", Distill,
2019, https://doi.org/10.23915/distill.00021.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from lucency.errors import ConfigError


@dataclass(frozen=True)
class Window:
    """
    A convolution's or a pool's window along one axis.

    Attributes:
        before: Padding at the low end.
        after: Padding at the high end.
        ceil: A last window that is only partly filled counts too.
    """

    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil: bool = False

    @property
    def span(self) -> int:
        """Inputs from the first to the last one that a window touches."""
        return self.dilation * (self.kernel - 1) + 1

    def output_size(self, size: int) -> int:
        """How many windows fit along ``size`` inputs; below one where none does."""
        room = size + self.before + self.after - self.span
        if not self.ceil:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        # A window may not begin in the padding at the far end: PyTorch drops it.
        return count - 1 if (count - 1) * self.stride >= size + self.before else count


@dataclass(frozen=True)
class Span:
    """
    What the units of one layer see along one axis, not cut off at the border.

    Unit i sees the input pixels from ``first + i * jump`` to ``last + i * jump``.
    """

    first: float = 0
    last: float = 0
    jump: float = 1

    @property
    def size(self) -> int:
        """The receptive field in pixels; parts of a pixel count whole."""
        return math.ceil(self.last - self.first + 1 - 1e-9)

    @property
    def start(self) -> float:
        """Centre of what unit 0 sees; the first pixel goes from 0 to 1, its centre is at 0.5."""
        return (self.first + self.last + 1) / 2

    def through(self, window: Window) -> "Span":
        """What the units after a window see."""
        first = self.first - window.before * self.jump
        return Span(
            first,
            self.last + (window.span - 1 - window.before) * self.jump,
            self.jump * window.stride,
        )

    def pooled(self, size: int, parts: int) -> "Span":
        """After adaptive pooling of ``size`` units to ``parts``, whose windows differ in width."""
        jump = size / parts
        starts = [size * part // parts - part * jump for part in range(parts)]
        ends = [-(-size * (part + 1) // parts) - 1 - part * jump for part in range(parts)]
        return Span(
            self.first + min(starts) * self.jump,
            self.last + max(ends) * self.jump,
            self.jump * jump,
        )

    def union(self, other: "Span") -> "Span | None":
        """What a sum or a concatenation of both sees; None if they don't step alike."""
        if not math.isclose(self.jump, other.jump):
            return None
        return Span(min(self.first, other.first), max(self.last, other.last), self.jump)

    def pixels(self, unit: int, side: int) -> tuple[int, int]:
        """First and last pixel that a unit sees inside an input of ``side`` pixels."""
        first, last = self.first + unit * self.jump, self.last + unit * self.jump
        return max(0, math.floor(first + 1e-9)), min(side - 1, math.ceil(last - 1e-9))


class Link(BaseModel):
    """
    One layer of a chain for the calculator, the same along both axes.

    Attributes:
        channels: Filters of a convolution; left out, parameters are not counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["conv", "pool"] = "conv"
    kernel_size: Annotated[int, Field(ge=1)]
    # A pool without a stride moves by its own width, as in PyTorch.
    stride: Annotated[int, Field(ge=1)] | None = None
    padding: Annotated[int, Field(ge=0)] = 0
    dilation: Annotated[int, Field(ge=1)] = 1
    channels: Annotated[int, Field(ge=1)] | None = None

    @property
    def window(self) -> Window:
        """The same as a window."""
        stride = self.stride or (1 if self.kind == "conv" else self.kernel_size)
        return Window(self.kernel_size, stride, self.padding, self.padding, self.dilation)


@dataclass(frozen=True)
class ChainRow:
    """A layer of a chain with what the calculator found for it."""

    link: Link
    output: int
    span: Span
    parameters: int | None

    def record(self) -> dict[str, object]:
        """Plain values for JSON."""
        window = self.link.window
        return {
            "kind": self.link.kind,
            "kernel": window.kernel,
            "stride": window.stride,
            "padding": window.before,
            "dilation": window.dilation,
            "output": self.output,
            "parameters": self.parameters,
            "receptive_field": self.span.size,
            "jump": self.span.jump,
            "start": self.span.start,
        }


def chain(side: int, links: tuple[Link, ...], in_channels: int) -> list[ChainRow]:
    """
    Sizes and receptive fields along a chain of convolutions and pools; no network is needed.

    Raises:
        ConfigError: a window is wider than what is left of the input.
    """
    rows: list[ChainRow] = []
    span, channels = Span(), in_channels
    for number, link in enumerate(links):
        before, side = side, link.window.output_size(side)
        if side < 1:
            raise ConfigError(
                f"chain.{number}: a window of {link.window.span} px does not fit into {before} px "
                f"with padding {link.padding}: enlarge the input or the padding"
            )
        span = span.through(link.window)
        parameters: int | None = 0
        if link.kind == "conv":
            after = link.channels
            parameters = (channels * link.kernel_size**2 + 1) * after if after else None
            channels = after or channels
        rows.append(ChainRow(link, side, span, parameters))
    return rows
