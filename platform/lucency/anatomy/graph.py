"""A network as a graph that can be run again, step by step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from lucency.anatomy.recording import Recorder, Shape, Step
from lucency.errors import ConfigError

Tracer = Literal["torch.fx", "torch.export"]

# Subclasses of these that leave the computation as it is (their own start-up, an activation that
# follows) are one layer; any other subclass is looked into.
_WHOLE = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AvgPool2d, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class Graph:
    """
    A traced network that can be run again.

    Attributes:
        tracer: What read the network.
        why: Why torch.fx could not, where it was not torch.fx.
    """

    traced: fx.GraphModule
    tracer: Tracer
    why: str
    steps: tuple[Step, ...]


class _Leaves(fx.Tracer):
    """Stops at layers whose arithmetic is known, also where a library subclassed them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if is_same_padded(m):
            return True
        for kind in _WHOLE:
            if isinstance(m, kind):
                plain = not isinstance(m, nn.Conv2d | nn.Linear)
                return plain or type(m).forward is kind.forward
        return super().is_leaf_module(m, module_qualified_name)


def is_same_padded(module: nn.Module) -> bool:
    """TensorFlow's padding, which depends on the input's size (timm's Conv2dSame and pools)."""
    return type(module).__name__ in ("Conv2dSame", "MaxPool2dSame", "AvgPool2dSame")


def trace(model: nn.Module, shape: Shape) -> Graph:
    """
    Read the graph of a network and run it once, on noise.

    Args:
        shape: Of one input, c x h x w.

    Raises:
        ConfigError: the input does not fit, or neither tracer can read the network.
    """
    model.eval()
    dtype = next((value.dtype for value in model.parameters()), torch.float32)
    example = torch.randn(1, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    traced, tracer, why = _read(model, example)
    recorder = Recorder(traced)
    _run(recorder.run, example)
    return Graph(traced, tracer, why, tuple(recorder.steps))


def activations(graph: Graph, images_nchw: Tensor, nodes: set[str]) -> dict[str, Tensor]:
    """Outputs of some steps for given images, copied before a later step works in place."""
    keeper = _Keeper(graph.traced, nodes)
    keeper.run(images_nchw)
    return keeper.kept


def _run(network: Callable[[Tensor], Any], example: Tensor) -> None:
    try:
        with torch.no_grad():
            network(example)
    except (RuntimeError, ValueError, AssertionError) as cause:
        c, h, w = example.shape[1:]
        raise ConfigError(
            f"the network does not take an input of {c} x {h} x {w}: {_first_line(cause)}. Choose "
            "another size or color"
        ) from cause


def _read(model: nn.Module, example: Tensor) -> tuple[fx.GraphModule, Tracer, str]:
    try:
        tracer = _Leaves()
        return fx.GraphModule(model, tracer.trace(model)), "torch.fx", ""
    # Control flow on values, unpacking, isinstance checks: each fails with another error.
    except Exception as cause:
        why = _first_line(cause)
    _run(model, example)  # an input that does not fit is not the tracer's fault
    try:
        exported = torch.export.export(model, (example,)).module(check_guards=False)
    except Exception as cause:
        raise ConfigError(
            f"{type(model).__name__} can't be read as a graph. torch.fx: {why}; torch.export: "
            f"{_first_line(cause)}. Remove what depends on the values of tensors from its forward"
        ) from cause
    assert isinstance(exported, fx.GraphModule)
    return exported, "torch.export", why


class _Keeper(fx.Interpreter):
    """Runs the graph and keeps copies of what some steps give."""

    def __init__(self, traced: fx.GraphModule, nodes: set[str]) -> None:
        super().__init__(traced, garbage_collect_values=True)
        self.nodes = nodes
        self.kept: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.name in self.nodes:
            self.kept[n.name] = result.clone()
        return result


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
