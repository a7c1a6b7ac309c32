"""A network as a graph of steps, each run once on a real tensor."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from lucency.errors import ConfigError

Tracer = Literal["torch.fx", "torch.export"]
Shape = tuple[int, ...]

# Subclasses of these that leave the computation as it is (their own start-up, an activation that
# follows) are one layer; any other subclass is looked into.
_WHOLE = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AvgPool2d, nn.modules.batchnorm._BatchNorm)


@dataclass(frozen=True)
class Step:
    """
    One layer or one function call.

    Attributes:
        name: The module's path, or that of the module around a function and the function's name.
        op: The module's class, or the function's name.
        module: The layer, where it is one.
        inputs: Names of the steps whose tensors go in; constants are not among them.
        arguments: Positional arguments of a function; tensors stand as None.
        options: Keyword arguments of a function.
        weight: Shape of the weights that a function gets as an argument.
        shapes: Of the inputs, with the batch.
        shape: Of the output, with the batch; None if it is not one tensor.
        parameters: Numbers to learn that no step before has.
        new_bytes: Memory that the output takes; 0 in place and for views.
    """

    name: str
    node: str
    op: str
    module: nn.Module | None
    inputs: tuple[str, ...]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    weight: Shape | None
    shapes: tuple[Shape, ...]
    shape: Shape | None
    parameters: int
    new_bytes: int


@dataclass
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
    steps: list[Step] = field(default_factory=list)


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
    graph = _read(model, example)
    _run(_Recorder(graph).run, example)
    return graph


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


def _read(model: nn.Module, example: Tensor) -> Graph:
    try:
        tracer = _Leaves()
        return Graph(fx.GraphModule(model, tracer.trace(model)), "torch.fx", "")
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
    return Graph(exported, "torch.export", why)


class _Recorder(fx.Interpreter):
    """Runs the graph and writes down each step with its real shapes."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph.traced, garbage_collect_values=True)
        self.recorded = graph.steps
        self.counted: set[int] = set()
        # Tensors that no input reaches: weights, and what is computed from weights alone.
        self.constants: dict[str, list[nn.Parameter]] = {}
        self.tensors: set[str] = set()
        self.names: set[str] = set()
        self.shapes: dict[str, Shape | None] = {}

    def run_node(self, n: fx.Node) -> Any:
        arguments, options = self.fetch_args_kwargs_from_env(n)
        before = {_memory(value) for value in self._tensors(n)}
        result = super().run_node(n)
        shape = tuple(result.shape) if isinstance(result, Tensor) else None
        self.shapes[n.name] = shape
        if n.op == "output" or not _has_tensor(result):
            return result
        self.tensors.add(n.name)
        sources = [node for node in n.all_input_nodes if node.name in self.tensors]
        if n.op != "placeholder" and all(node.name in self.constants for node in sources):
            own = [result] if isinstance(result, nn.Parameter) else []
            self.constants[n.name] = own + self._inherited(sources)
        elif n.op != "placeholder":
            self._record(n, sources, arguments, options, result, shape, before)
        return result

    def _inherited(self, sources: list[fx.Node]) -> list[nn.Parameter]:
        return [value for node in sources for value in self.constants.get(node.name, [])]

    def _record(
        self,
        n: fx.Node,
        sources: list[fx.Node],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        result: Any,
        shape: Shape | None,
        before: set[int],
    ) -> None:
        module = self.module.get_submodule(str(n.target)) if n.op == "call_module" else None
        constants = [node for node in sources if node.name in self.constants]
        inputs = [node for node in sources if node.name not in self.constants]
        self.recorded.append(
            Step(
                name=self._name(n),
                node=n.name,
                op=type(module).__name__ if module is not None else function_name(n.target),
                module=module,
                inputs=tuple(node.name for node in inputs),
                arguments=tuple(None if isinstance(a, Tensor) else a for a in arguments),
                options={k: None if isinstance(v, Tensor) else v for k, v in options.items()},
                weight=self.shapes[constants[0].name] if constants else None,
                shapes=tuple(self.shapes[node.name] or () for node in inputs),
                shape=shape,
                parameters=self._parameters(module, self._inherited(constants)),
                new_bytes=(
                    result.numel() * result.element_size()
                    if isinstance(result, Tensor) and _memory(result) not in before
                    else 0
                ),
            )
        )

    def _tensors(self, n: fx.Node) -> list[Tensor]:
        found = [self.env.get(node) for node in n.all_input_nodes]
        return [value for value in found if isinstance(value, Tensor)]

    def _parameters(self, module: nn.Module | None, inherited: list[nn.Parameter]) -> int:
        found = [*(module.parameters() if module is not None else ()), *inherited]
        # A layer that is called twice, or weights that two layers share, are learned once.
        new = {id(value): value.numel() for value in found if id(value) not in self.counted}
        self.counted |= set(new)
        return sum(new.values())

    def _name(self, n: fx.Node) -> str:
        if n.op == "call_module":
            name = str(n.target)
        else:
            stack = n.meta.get("nn_module_stack") or {}
            owner = str(list(stack.values())[-1][0]) if stack else ""
            name = f"{owner}.{function_name(n.target)}".strip(".")
        free = name
        for number in range(2, len(self.names) + 3):
            if free not in self.names:
                break
            free = f"{name}#{number}"
        self.names.add(free)
        return free


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


def function_name(target: Any) -> str:
    """``add`` for ``operator.add``, ``x.add`` and ``aten.add.Tensor`` alike."""
    packet = getattr(target, "overloadpacket", target)
    return str(getattr(packet, "__name__", packet)).rsplit(".", 1)[-1]


def _has_tensor(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_has_tensor(each) for each in value)
    return isinstance(value, Tensor)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
