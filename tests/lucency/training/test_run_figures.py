"""What stands in a figure stands where it should."""

import itertools
import math
import re
from xml.etree import ElementTree

from lucency.training import run_figures
from lucency.training.run_figures import Frame

FRAME = Frame([1, 2, 3, 4], {3: "phase <2>"}, best=2)


def dots(svg: str) -> list[tuple[float, float]]:
    """Where the values are drawn, from left to right."""
    found = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    return [(float(x), float(y)) for x, y in found]


def test_higher_values_stand_higher() -> None:
    """Epochs go evenly to the right, values evenly up."""
    places = dots(run_figures.lines(FRAME, {"loss": [1.0, 2.0, 3.0, 2.0]}))

    steps = [b[0] - a[0] for a, b in itertools.pairwise(places)]
    assert max(steps) - min(steps) < 0.25
    heights = [y for _, y in places]
    assert heights[0] > heights[1] > heights[2]
    assert abs((heights[0] - heights[1]) - (heights[1] - heights[2])) < 0.25


def test_wide_ranges_are_logarithmic_where_asked() -> None:
    """Equal factors are equal steps; far below the rest is the foot, a zero is a gap."""
    values = [1.0, 0.1, 0.01, 1e-9]
    heights = [y for _, y in dots(run_figures.lines(FRAME, {"rate": values}, logarithmic=True))]
    gap = dots(run_figures.lines(FRAME, {"rate": [1.0, 0.1, 0.01, 0.0]}, logarithmic=True))

    assert abs((heights[1] - heights[0]) - (heights[2] - heights[1])) < 0.25
    assert heights[3] - heights[2] < 2 * (heights[2] - heights[1])
    assert len(gap) == 3


def test_values_that_are_not_numbers_leave_a_gap() -> None:
    """A line is broken there, and a value alone between gaps is seen."""
    svg = run_figures.lines(FRAME, {"auroc": [0.5, math.nan, 0.7, math.nan]})

    assert len(dots(svg)) == 2
    assert re.search(r'd="M[\d. ]+h0M[\d. ]+h0"', svg)
    assert "nan" not in svg


def test_bars_stand_on_one_another() -> None:
    """The parts of an epoch add up to its whole."""
    svg = run_figures.bars(FRAME, {"a": [1.0, 1, 1, 1], "b": [2.0, 2, 2, 2]})

    found = re.findall(r'y="([\d.]+)" width="[\d.]+" height="([\d.]+)" fill="#\w+"><title>', svg)
    boxes = [(float(y), float(height)) for y, height in found]
    lower, upper = boxes[0], boxes[4]
    assert abs(upper[0] + upper[1] - lower[0]) < 0.25
    assert abs(upper[1] - 2 * lower[1]) < 0.25


def test_figure_is_well_formed_and_escaped() -> None:
    """Names from outside can't become markup; it is one SVG element."""
    svg = run_figures.lines(FRAME, {"<a & b>": [1.0, 2, 3, 4]}, floors={"<a & b>": 2.5})

    root = ElementTree.fromstring(svg)
    words = ["".join(node.itertext()) for node in root.iter("text")]
    assert {"<a & b>", "phase <2>", "floor 2.5", "best: epoch 2"} <= set(words)


def test_one_epoch_with_one_value_is_a_figure() -> None:
    """Nothing is divided by a range of zero."""
    svg = run_figures.lines(Frame([7]), {"loss": [0.0]}, from_zero=True)

    assert len(dots(svg)) == 1
    assert ">7<" in svg


def test_long_runs_are_drawn_without_dots() -> None:
    """Hundreds of epochs are lines alone."""
    long = run_figures.lines(Frame(list(range(1, 301))), {"loss": [1.0] * 300})

    assert not dots(long)
    assert len(long) < 20_000
