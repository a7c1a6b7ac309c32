"""The table of a network: size, cost and sight of every layer, and their sums."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from lucency.anatomy import operations as ops
from lucency.anatomy import receptive
from lucency.anatomy.graph import Graph, trace
from lucency.anatomy.receptive import Sight
from lucency.anatomy.recording import Shape, Step
from lucency.anatomy.windows import Window


@dataclass(frozen=True)
class Layer:
    """
    One layer or function call of a network, for one input.

    Attributes:
        kind: The layer's class or the function's name.
        windows: Along height and width, of convolutions and pools.
        output: Shape without the batch.
        parameters: Numbers to learn, each counted where it is used first.
        activation_bytes: Memory that the output takes; 0 in place and for views.
        receptive_field: Height and width in input pixels, gates left out, not cut off at the
            border; the whole input where nothing smaller can be said.
        jump: Input pixels from one unit to the next; None where the layer has no map.
        start: Centre of what the first unit sees; the first pixel's centre is at 0.5.
        sees_all: Each unit depends on the whole input, if only through a gate.
    """

    name: str
    node: str
    kind: str
    windows: tuple[Window, Window] | None
    groups: int
    output: Shape
    parameters: int
    multiply_adds: int
    activation_bytes: int
    receptive_field: tuple[int, int]
    jump: tuple[float, float] | None
    start: tuple[float, float] | None
    sees_all: bool
    sight: Sight

    @property
    def map_size(self) -> tuple[int, int] | None:
        """Height and width of the map it gives; None where it gives none."""
        return self.sight.sizes((1, *self.output)) if self.jump else None

    def record(self) -> dict[str, Any]:
        """Plain values for JSON; one number where height and width agree."""
        windows = self.windows or ()
        return {
            "name": self.name,
            "kind": self.kind,
            "kernel": _one([window.kernel for window in windows]),
            "stride": _one([window.stride for window in windows]),
            "padding": _one([_padding(window) for window in windows]),
            "dilation": _one([window.dilation for window in windows]),
            "groups": self.groups,
            "output": list(self.output),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "activation_bytes": self.activation_bytes,
            "receptive_field": _one(self.receptive_field),
            "jump": _one(self.jump or ()),
            "start": _one(self.start or ()),
            "sees_all": self.sees_all,
        }


@dataclass(frozen=True)
class Anatomy:
    """
    A network taken apart.

    Attributes:
        parameters: Of the whole network, as PyTorch counts them.
        unknown: Operations that the tables don't know; they are taken to see everything.
        checked: Layers whose computed size was compared with a real tensor's.
    """

    input: Shape
    layers: tuple[Layer, ...]
    parameters: int
    unknown: tuple[str, ...]
    checked: int
    graph: Graph

    @property
    def multiply_adds(self) -> int:
        """Of all layers, for one input."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """All layers' outputs together: what training holds for one input."""
        return sum(layer.activation_bytes for layer in self.layers)

    @property
    def unused_parameters(self) -> int:
        """Of layers that an answer does not need, as heads for training only."""
        return self.parameters - sum(layer.parameters for layer in self.layers)

    @property
    def maps(self) -> tuple[Layer, ...]:
        """Layers that give a map of the input, in order; adaptive pools belong to the head."""
        return tuple(
            layer
            for layer in self.layers
            if layer.jump is not None and layer.kind not in ops.ADAPTIVE_POOL
        )

    @property
    def last_stage(self) -> Layer | None:
        """The last convolutional features: what the published tables measure."""
        return self.maps[-1] if self.maps else None

    @property
    def depth(self) -> int:
        """Convolutions and linear layers, one after the other or side by side."""
        return sum(layer.multiply_adds > 0 for layer in self.layers)

    @property
    def sees_all_from(self) -> str | None:
        """The first layer whose units depend on the whole input."""
        return next((layer.name for layer in self.layers if layer.sees_all), None)

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        last = self.last_stage
        return {
            "input": list(self.input),
            "parameters": self.parameters,
            "unused_parameters": self.unused_parameters,
            "multiply_adds": self.multiply_adds,
            "activation_bytes": self.activation_bytes,
            "depth": self.depth,
            "receptive_field": _one(last.receptive_field if last else self.input[1:]),
            "jump": _one((last.jump if last else None) or ()),
            "last_stage": last.name if last else None,
            "sees_all_from": self.sees_all_from,
            "unknown": list(self.unknown),
            "graph": self.graph.tracer,
            "layers": [layer.record() for layer in self.layers],
        }


def analyse(model: nn.Module, shape: Shape) -> Anatomy:
    """
    Take a network apart for one input size.

    Args:
        shape: Of one input, c x h x w.

    Raises:
        ConfigError: the input does not fit, or the network can't be read.
    """
    graph = trace(model, shape)
    seen = list(_sights(graph))
    return Anatomy(
        input=shape,
        layers=tuple(_layers(seen, shape)),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        unknown=tuple(dict.fromkeys(step.op for step, _, known in seen if not known)),
        checked=sum(check_size(step) for step in graph.steps),
        graph=graph,
    )


def check_size(step: Step) -> bool:
    """Whether a size can be computed; that it is the real tensor's is our own promise."""
    pair = ops.windows(step)
    if pair is None or step.shape is None:
        return False
    sizes = step.shapes[0][-2:]
    computed = tuple(window.output_size(size) for window, size in zip(pair, sizes, strict=True))
    assert computed == step.shape[-2:], f"{step.name}: computed {computed}, found {step.shape[-2:]}"
    return True


def _sights(graph: Graph) -> Iterator[tuple[Step, Sight, bool]]:
    """Each step with what it sees, and whether that is known."""
    seen: dict[str, Sight] = {
        node.name: receptive.INPUT for node in graph.traced.graph.nodes if node.op == "placeholder"
    }
    for step in graph.steps:
        try:
            found, known = receptive.sight(step, seen), True
        except receptive.Unknown:
            found, known = receptive.EVERYTHING, False
        seen[step.node] = found
        yield step, found, known


def _layers(seen: list[tuple[Step, Sight, bool]], shape: Shape) -> Iterator[Layer]:
    for step, found, _ in seen:
        if step.shape is None and step.module is None:
            continue  # a tuple of maps: its parts follow
        pair = ops.windows(step)
        on_map = found.spans is not None and found.axes is not None
        spans = found.spans
        yield Layer(
            name=step.name,
            node=step.node,
            kind=step.op,
            windows=pair,
            groups=ops.groups(step),
            output=tuple((step.shape or step.shapes[0])[1:]),
            parameters=step.parameters,
            multiply_adds=ops.multiply_adds(step),
            activation_bytes=step.new_bytes,
            receptive_field=((spans[0].size, spans[1].size) if spans else (shape[1], shape[2])),
            jump=(spans[0].jump, spans[1].jump) if spans and on_map else None,
            start=(spans[0].start, spans[1].start) if spans and on_map else None,
            sees_all=found.sees_all,
            sight=found,
        )


def _one(values: Any) -> Any:
    """One value where both axes agree, None where there is none."""
    plain = [
        int(value) if isinstance(value, float) and math.isclose(value, round(value)) else value
        for value in values
    ]
    if not plain:
        return None
    return plain[0] if plain[0] == plain[-1] else plain


def _padding(window: Window) -> int | list[int]:
    return window.before if window.before == window.after else [window.before, window.after]
