"""Sliding windows along one axis: sizes against real tensors, fields against a walk over pixels."""

from itertools import product

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from lucency.anatomy.windows import Link, Span, Window, chain
from lucency.errors import ConfigError

SETTINGS = [case for case in product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2), (7, 8, 13))]


def test_sizes_are_those_of_real_convolutions() -> None:
    """The formula gives the size of every tensor that a convolution gives."""
    for kernel, stride, padding, dilation, size in SETTINGS:
        window = Window(kernel, stride, padding, padding, dilation)
        layer = nn.Conv1d(1, 1, kernel, stride, padding, dilation)
        if window.output_size(size) >= 1:
            assert layer(torch.zeros(1, 1, size)).shape[-1] == window.output_size(size)


@pytest.mark.parametrize("ceil", [False, True])
def test_sizes_are_those_of_real_pools(ceil: bool) -> None:
    """Pools agree too, also where the last window is only partly filled."""
    for kernel, stride, padding, dilation, size in SETTINGS:
        if padding > kernel // 2:
            continue
        window = Window(kernel, stride, padding, padding, dilation, ceil)
        layer = nn.MaxPool1d(kernel, stride, padding, dilation, ceil_mode=ceil)
        if window.output_size(size) >= 1:
            assert layer(torch.zeros(1, 1, size)).shape[-1] == window.output_size(size)


def test_span_is_what_a_walk_over_pixels_finds() -> None:
    """Two layers after each other see the pixels that following every index finds."""
    for one, two in product(SETTINGS[::11], SETTINGS[::13]):
        first, second = Window(*one[:2], one[2], one[2], one[3]), Window(*two[:2], 0, 0, two[3])
        span = Span().through(first).through(second)
        for unit in (0, 3):
            taps = [unit * second.stride + second.dilation * tap for tap in range(second.kernel)]
            pixels = [
                place * first.stride - first.before + first.dilation * tap
                for place in taps
                for tap in range(first.kernel)
            ]
            assert span.first + unit * span.jump == min(pixels)
            assert span.last + unit * span.jump == max(pixels)


def test_first_centre_is_half_a_pixel_in() -> None:
    """Start counts from the film's edge: padding keeps it, without padding it moves inward."""
    assert Span().start == 0.5
    assert Span().through(Window(3, 1, 1, 1)).start == 0.5
    assert Span().through(Window(5)).start == 2.5


def test_branches_see_the_union() -> None:
    """A sum sees what either branch sees; branches that step differently have no common field."""
    wide, narrow = Span(-3, 3, 2), Span(0, 4, 2)

    assert wide.union(narrow) == narrow.union(wide) == Span(-3, 4, 2)
    assert wide.union(Span(0, 0, 1)) is None


def test_adaptive_pool_encloses_every_window() -> None:
    """Where windows differ in width, no unit sees a pixel outside of the span."""
    layer = nn.AdaptiveAvgPool1d(3)
    image = torch.ones(1, 1, 10, requires_grad=True)
    span = Span().pooled(10, 3)

    for unit in range(3):
        (gradient,) = torch.autograd.grad(layer(image)[0, 0, unit], image)
        seen = gradient[0, 0].nonzero().flatten().tolist()
        first, last = span.pixels(unit, 10)
        assert first <= seen[0]
        assert seen[-1] <= last
    assert Span().pooled(12, 3) == Span(0, 3, 4)


def test_kernel_costs_parameters_stride_does_not() -> None:
    """5x5 has more weights than 3x3; stride 2 has as many as stride 1, on a smaller map."""
    cells = {
        name: chain(32, (Link(channels=8, **settings),), 3)[0]
        for name, settings in {
            "3x3": {"kernel_size": 3},
            "5x5": {"kernel_size": 5},
            "stride": {"kernel_size": 3, "stride": 2},
            "padded": {"kernel_size": 3, "padding": 1},
        }.items()
    }

    assert {name: row.parameters for name, row in cells.items()} == {
        "3x3": 224, "5x5": 608, "stride": 224, "padded": 224,
    }  # fmt: skip
    assert {name: row.output for name, row in cells.items()} == {
        "3x3": 30, "5x5": 28, "stride": 15, "padded": 32,
    }  # fmt: skip


def test_chain_follows_the_published_shape_trail() -> None:
    """Two unpadded 3x3 and a pool take 28 px to 26, 24, 12, each unit seeing 3, 5, 6 px."""
    links = (
        Link(kernel_size=3, channels=32),
        Link(kernel_size=3, channels=64),
        Link(kind="pool", kernel_size=2),
    )

    rows = chain(28, links, 1)

    assert [row.output for row in rows] == [26, 24, 12]
    assert [row.record()["receptive_field"] for row in rows] == [3, 5, 6]
    assert [row.parameters for row in rows] == [320, 18496, 0]
    assert rows[-1].record()["jump"] == 2


def test_chain_ends_where_nothing_is_left() -> None:
    """A window wider than what is left is refused with its place."""
    with pytest.raises(ConfigError, match=r"chain\.1: a window of 9 px does not fit into 8 px"):
        chain(16, (Link(kind="pool", kernel_size=2), Link(kernel_size=9)), 1)


def test_link_refuses_nonsense() -> None:
    """A stride of zero would never end."""
    with pytest.raises(ValidationError):
        Link(kernel_size=3, stride=0)
