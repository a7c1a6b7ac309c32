"""What each step of a graph does in space, and what it costs; by class or function name."""

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from lucency.anatomy.graph import is_same_padded
from lucency.anatomy.recording import Shape, Step
from lucency.anatomy.windows import Window

# Every output value depends on the input value at its own place only.
POINTWISE = frozenset(
    [
        "BatchNorm1d",
        "BatchNorm2d",
        "SyncBatchNorm",
        "BatchNormAct2d",
        "FrozenBatchNorm2d",
        "Identity",
        "Dropout",
        "Dropout2d",
        "DropPath",
        "StochasticDepth",
        "ReLU",
        "ReLU6",
        "LeakyReLU",
        "PReLU",
        "ELU",
        "SELU",
        "CELU",
        "GELU",
        "SiLU",
        "Mish",
        "Sigmoid",
        "Tanh",
        "Hardtanh",
        "Hardsigmoid",
        "Hardswish",
        "Softplus",
        "LocalResponseNorm",
        "ChannelShuffle",
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "sigmoid",
        "tanh",
        "hardtanh",
        "hardsigmoid",
        "hardswish",
        "softplus",
        "clamp",
        "dropout",
        "dropout2d",
        "feature_dropout",
        "stochastic_depth",
        "drop_path",
        "batch_norm",
        "_native_batch_norm_legit_no_training",
        "contiguous",
        "clone",
        "detach",
        "to",
        "float",
        "type_as",
        "_to_copy",
        "neg",
        "abs",
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "pow",
        "alias",
        "channel_shuffle",
        "local_response_norm",
        "chunk",
        "split",
        "split_with_sizes",
        "unbind",
        "expand_as",
    ]
)
COMBINE = frozenset(
    ["add", "sub", "mul", "div", "truediv", "maximum", "minimum", "cat", "concat", "concatenate"]
)
RESHAPE = frozenset(
    ["Flatten", "Unflatten", "flatten", "unflatten", "view", "reshape", "_unsafe_view"]
)
REORDER = frozenset(["Permute", "permute", "transpose", "swapaxes"])
DROP_AXES = frozenset(["squeeze", "unsqueeze"])
REDUCE = frozenset(["mean", "sum", "amax", "amin", "std", "var", "max", "min", "logsumexp", "norm"])
# Statistics over the whole map: every value depends, if weakly, on all places.
SPATIAL_NORM = frozenset(["GroupNorm", "InstanceNorm2d", "group_norm", "instance_norm"])
LAST_AXIS = frozenset(["Linear", "linear", "LayerNorm", "layer_norm", "Softmax", "softmax"])
CONVOLUTION = frozenset(["Conv2d", "Conv2dSame", "conv2d"])
MAX_POOL = frozenset(["MaxPool2d", "MaxPool2dSame", "max_pool2d", "max_pool2d_with_indices"])
AVERAGE_POOL = frozenset(["AvgPool2d", "AvgPool2dSame", "avg_pool2d"])
ADAPTIVE_POOL = frozenset(
    [
        "AdaptiveAvgPool2d",
        "AdaptiveMaxPool2d",
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "_adaptive_avg_pool2d",
    ]
)
PAD = frozenset(
    ["ZeroPad2d", "ConstantPad2d", "ReflectionPad2d", "ReplicationPad2d", "pad", "constant_pad_nd"]
)
WINDOWED = CONVOLUTION | MAX_POOL | AVERAGE_POOL | PAD

# Libraries subclass these; what they do in space stays.
_KINDS: tuple[tuple[str, type[nn.Module]], ...] = (
    ("BatchNorm2d", nn.modules.batchnorm._BatchNorm),
    ("MaxPool2d", nn.MaxPool2d),
    ("AvgPool2d", nn.AvgPool2d),
    ("Conv2d", nn.Conv2d),
    ("Linear", nn.Linear),
)
_SIGNATURES = {
    "conv2d": "input weight bias stride padding dilation groups",
    "max_pool2d": "input kernel_size stride padding dilation ceil_mode",
    "avg_pool2d": "input kernel_size stride padding ceil_mode",
    "pad": "input pad",
    "dim": "input dim keepdim",
    "dims": "input dims",
}


def operation(step: Step) -> str:
    """The name under which the tables above know a step: in-place variants share one."""
    if step.module is not None:
        if is_same_padded(step.module):
            return step.op
        return next((name for name, kind in _KINDS if isinstance(step.module, kind)), step.op)
    name = step.op.strip("_") if not step.op.startswith("_") else step.op
    return name[1:] if name in ("iadd", "imul", "isub", "itruediv") else name


def windows(step: Step) -> tuple[Window, Window] | None:
    """The window of a convolution, pool or padding along height and width; else None."""
    name = operation(step)
    if name in PAD:
        return _padding(step)
    if name not in WINDOWED:
        return None
    kernel, stride, padding, dilation, ceil = _settings(step, name)
    sizes = step.shapes[0][-2:]
    found = []
    for axis in (0, 1):
        k, s, d = kernel[axis], stride[axis], dilation[axis]
        span = d * (k - 1) + 1
        if padding == "same" and step.module is not None and is_same_padded(step.module):
            total = max((math.ceil(sizes[axis] / s) - 1) * s + span - sizes[axis], 0)
            before, after = total // 2, total - total // 2
        elif padding == "same":
            before, after = (span - 1) // 2, span - 1 - (span - 1) // 2
        else:
            before = after = 0 if padding == "valid" else _pair(padding)[axis]
        found.append(Window(k, s, before, after, d, ceil))
    return found[0], found[1]


def groups(step: Step) -> int:
    """Groups of a convolution; one elsewhere."""
    if step.module is not None:
        return int(getattr(step.module, "groups", 1))
    if operation(step) in CONVOLUTION:
        return int(argument(step, "conv2d", "groups", 1))
    return 1


def multiply_adds(step: Step) -> int:
    """Products of a weight or value with a value, for one input; adding a bias is not counted."""
    name = operation(step)
    if step.shape is None:
        shape = step.shapes[0] if name == "MultiheadAttention" else None
        return _attention(step, shape) if shape else 0
    outputs = math.prod(step.shape)
    if name in CONVOLUTION:
        weight = step.weight or tuple(step.module.weight.shape)  # type: ignore[union-attr, arg-type]
        return outputs * math.prod(weight[1:])
    if name in ("Linear", "linear"):
        return outputs * step.shapes[0][-1]
    if name in ("matmul", "bmm", "baddbmm"):
        return outputs * step.shapes[0][-1]
    if name == "scaled_dot_product_attention":
        query, key = step.shapes[0], step.shapes[1]
        return 2 * math.prod(query) * key[-2]
    return 0


def _attention(step: Step, shape: Shape) -> int:
    """nn.MultiheadAttention on n x l x d: four projections and two products of tokens."""
    *rows, tokens, width = shape
    return math.prod(rows) * tokens * width * (4 * width + 2 * tokens)


def argument(step: Step, signature: str, name: str, default: Any) -> Any:
    """An argument of a function call, by name or by place."""
    if name in step.options:
        return step.options[name]
    place = _SIGNATURES[signature].split().index(name)
    return step.arguments[place] if place < len(step.arguments) else default


def dimensions(step: Step, signature: str, default: Any = None) -> list[int] | None:
    """Axes that a reduction or a permutation names; ``permute(0, 2, 3, 1)`` and a tuple alike."""
    name = "dims" if signature == "dims" else "dim"
    found = step.options.get(name, step.arguments[1:] if name == "dims" else None)
    if found is None:
        found = argument(step, signature, name, default)
    if isinstance(found, int):
        return [found]
    if isinstance(found, Sequence) and len(found) == 1 and isinstance(found[0], Sequence):
        found = found[0]
    return list(found) if found is not None else None


def _settings(step: Step, name: str) -> tuple[Any, Any, Any, Any, bool]:
    if step.module is not None:
        layer: Any = step.module
        kernel = _pair(layer.kernel_size)
        padding = "same" if is_same_padded(layer) else layer.padding
        ceil = bool(getattr(layer, "ceil_mode", False)) and not is_same_padded(layer)
        stride = _pair(layer.stride or kernel)
        return kernel, stride, padding, _pair(getattr(layer, "dilation", 1)), ceil
    if name in CONVOLUTION:
        assert step.weight is not None
        values = [argument(step, "conv2d", key, 1) for key in ("stride", "dilation")]
        padding = argument(step, "conv2d", "padding", 0)
        return step.weight[-2:], _pair(values[0]), padding, _pair(values[1]), False
    signature = "max_pool2d" if name in MAX_POOL else "avg_pool2d"
    kernel = _pair(argument(step, signature, "kernel_size", None))
    stride = _pair(argument(step, signature, "stride", None) or kernel)
    dilation = argument(step, signature, "dilation", 1) if name in MAX_POOL else 1
    padding = argument(step, signature, "padding", 0)
    ceil = bool(argument(step, signature, "ceil_mode", False))
    return kernel, stride, padding, _pair(dilation), ceil


def _padding(step: Step) -> tuple[Window, Window] | None:
    """F.pad counts from the last axis; more than two axes are not padding in space."""
    if step.module is not None:
        sides = list(step.module.padding)  # type: ignore[arg-type]
    else:
        sides = list(argument(step, "pad", "pad", ()))
    if len(sides) > 4 or any(not isinstance(side, int) for side in sides):
        return None
    left, right, top, bottom = [*sides, 0, 0, 0, 0][:4]
    return Window(before=top, after=bottom), Window(before=left, after=right)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    values = list(value)
    return (values[0], values[-1])
