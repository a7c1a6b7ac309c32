"""
What each step of a graph can see of the input, through sums, concatenations and side gates.

Squeeze-and-excitation multiplies a map with numbers that come from all of it, so strictly
every unit after it sees everything. The published tables leave such gates out, and so does
``spans``; ``sees_all`` keeps the strict truth beside it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lucency.anatomy import operations as ops
from lucency.anatomy.recording import Shape, Step
from lucency.anatomy.windows import Span

Spans = tuple[Span, Span]


@dataclass(frozen=True)
class Sight:
    """
    What the units of one tensor see.

    Attributes:
        spans: Along height and width, gates left out; None where that is the whole input.
        axes: Where height and width stand, counted from the last axis (-1); None where they
            were merged with others.
        sees_all: Every unit depends on the whole input, if only through a gate.
    """

    spans: Spans | None
    axes: tuple[int, int] | None
    sees_all: bool = False

    def sizes(self, shape: Shape) -> tuple[int, int] | None:
        """Height and width of a tensor of that shape."""
        return (shape[self.axes[0]], shape[self.axes[1]]) if self.axes else None


INPUT = Sight((Span(), Span()), (-2, -1))
EVERYTHING = Sight(None, None, True)


class Unknown(Exception):
    """An operation whose reach is not in the tables; it is taken to see everything."""


def sight(step: Step, seen: Mapping[str, Sight]) -> Sight:
    """
    What a step's output sees, from what its inputs see.

    Raises:
        Unknown: nothing is known of the operation.
    """
    inputs = [(seen[name], shape) for name, shape in zip(step.inputs, step.shapes, strict=True)]
    before, shape = inputs[0]
    name = ops.operation(step)
    if name in ops.COMBINE and len(inputs) > 1:
        return _combined(step, inputs)
    if any(each.spans is None for each, _ in inputs):
        return replace(EVERYTHING)
    if name in ops.POINTWISE or name in ops.COMBINE:
        return before
    if before.axes is None:
        # A map of one place without axes: what works on its channels sees no more than it did.
        if name in ops.LAST_AXIS | ops.RESHAPE | ops.REDUCE | ops.DROP_AXES:
            return before
        raise Unknown(name)
    return _spatial(step, name, before, shape)


def _spatial(step: Step, name: str, before: Sight, shape: Shape) -> Sight:
    assert before.spans is not None
    assert before.axes is not None
    if (pair := ops.windows(step)) is not None:
        if before.axes != (-2, -1):
            raise Unknown(name)
        down, across = before.spans
        return replace(before, spans=(down.through(pair[0]), across.through(pair[1])))
    if name in ops.ADAPTIVE_POOL:
        return _adaptive(step, before, shape)
    if name in ops.SPATIAL_NORM:
        return replace(before, sees_all=True)
    if name in ops.LAST_AXIS:
        return _last_axes(step, before)
    if name in ops.REDUCE:
        return _reduced(step, before, shape)
    if name in ops.REORDER:
        return _reordered(step, before, shape)
    if name in ops.RESHAPE | ops.DROP_AXES:
        return _reshaped(step, before, shape)
    # A slice over channels, or an operation nobody listed that keeps a tuple of maps.
    if name == "getitem" and (step.shape is None or step.shape[-2:] == shape[-2:] or not shape):
        return before
    raise Unknown(name)


def _combined(step: Step, inputs: list[tuple[Sight, Shape]]) -> Sight:
    """
    The union of the branches. A branch that is spread over the map (1 x 1, or a vector) is a gate.
    """
    assert step.shape is not None
    sees_all = any(each.sees_all for each, _ in inputs)
    maps: list[Sight] = []
    for each, shape in inputs:
        if each.spans is None or (each.axes and each.sizes(shape) != each.sizes(step.shape)):
            sees_all = True
        else:
            maps.append(each)
    if not maps or any(each.axes != maps[0].axes for each in maps):
        return EVERYTHING
    first = maps[0]
    for other in maps[1:]:
        assert first.spans is not None
        assert other.spans is not None
        down = first.spans[0].union(other.spans[0])
        across = first.spans[1].union(other.spans[1])
        if down is None or across is None:
            return EVERYTHING
        first = replace(first, spans=(down, across))
    return replace(first, sees_all=sees_all)


def _adaptive(step: Step, before: Sight, shape: Shape) -> Sight:
    assert before.spans is not None
    if step.shape is None:
        raise Unknown(step.op)
    parts, sizes = step.shape[-2:], shape[-2:]
    if parts == (1, 1) and sizes != (1, 1):
        return EVERYTHING
    spans = [
        span.pooled(size, part) for span, size, part in zip(before.spans, sizes, parts, strict=True)
    ]
    return replace(before, spans=(spans[0], spans[1]))


def _last_axes(step: Step, before: Sight) -> Sight:
    """A layer that mixes the last axes mixes places only where those are height or width."""
    normalised = getattr(step.module, "normalized_shape", None)
    if step.module is None and "norm" in step.op and len(step.arguments) > 1:
        normalised = step.arguments[1]
    mixed = len(normalised) if normalised is not None else 1
    assert before.axes is not None
    return EVERYTHING if max(before.axes) >= -mixed else before


def _reduced(step: Step, before: Sight, shape: Shape) -> Sight:
    assert before.axes is not None
    found = ops.dimensions(step, "dim")
    names = {each - len(shape) if each >= 0 else each for each in found or range(len(shape))}
    if names & set(before.axes):
        one_place = before.sizes(shape) == (1, 1)
        return replace(before, axes=None) if one_place else EVERYTHING
    if ops.argument(step, "dim", "keepdim", False):
        return before
    down, across = (axis + sum(each > axis for each in names) for axis in before.axes)
    return replace(before, axes=(down, across))


def _reordered(step: Step, before: Sight, shape: Shape) -> Sight:
    assert before.axes is not None
    rank = len(shape)
    if step.module is not None:
        order = [int(each) % rank for each in step.module.dims]  # type: ignore[union-attr]
    elif step.op.startswith("permute"):
        order = [each % rank for each in ops.dimensions(step, "dims") or []]
    else:
        places = [*step.arguments[1:3], *step.options.values()]
        one, two = (int(each) % rank for each in places[:2])
        order = list(range(rank))
        order[one], order[two] = two, one
    down, across = (order.index(axis % rank) - rank for axis in before.axes)
    return replace(before, axes=(down, across))


def _reshaped(step: Step, before: Sight, shape: Shape) -> Sight:
    """Height and width go on where the same axis has as many values before and after it."""
    assert step.shape is not None
    if before.sizes(shape) == (1, 1):
        return replace(before, axes=(-2, -1) if step.shape[-2:] == (1, 1) else None)
    assert before.axes is not None
    found = [_same_axis(shape, axis % len(shape), step.shape) for axis in before.axes]
    if found[0] is None or found[1] is None:
        return EVERYTHING
    return replace(before, axes=(found[0], found[1]))


def _same_axis(old: Shape, axis: int, new: Shape) -> int | None:
    for place, size in enumerate(new):
        if size == old[axis] and math.prod(new[:place]) == math.prod(old[:axis]):
            return place - len(new)
    return None
