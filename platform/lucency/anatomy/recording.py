"""The steps of a network, each written down while it runs on a real tensor."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

Shape = tuple[int, ...]


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


class Recorder(fx.Interpreter):
    """
    Runs a graph and writes down each step with its real shapes.

    Attributes:
        steps: In the order in which they ran.
    """

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced, garbage_collect_values=True)
        self.steps: list[Step] = []
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
        self.steps.append(
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
