"""
What this machine can run: the runtimes installed and the CPU's instructions. No runtime is loaded.
"""

import functools
import importlib.util
import platform
from pathlib import Path
from typing import Literal

Runtime = Literal["onnx", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]

NO_OPENVINO = "openvino is not installed; install lucency[openvino]"
# Any one of them. Without it bf16 would silently be computed in another precision, and int8 be
# slower than float32; on AVX2 alone its sums even overflow.
_INSTRUCTIONS: dict[Precision, frozenset[str]] = {
    "fp32": frozenset(),
    "bf16": frozenset({"avx512_bf16", "amx_bf16", "bf16"}),
    "int8": frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}),
}


def lacks(runtime: Runtime, precision: Precision, available: frozenset[str] | None = None) -> str:
    """What this machine lacks to run it, with what to do; empty where it lacks nothing."""
    if runtime == "openvino" and importlib.util.find_spec(runtime) is None:
        return NO_OPENVINO
    needed = _INSTRUCTIONS[precision]
    if needed and not needed & (instructions() if available is None else available):
        return f"the CPU has none of {sorted(needed)}; use another variant"
    return ""


def instructions() -> frozenset[str]:
    """The CPU's instruction sets as Linux names them; none known elsewhere."""
    found = _cpuinfo()
    return frozenset((found.get("flags") or found.get("Features") or "").split())


def cpu() -> str:
    """The CPU's name, for records of what was measured on it."""
    return _cpuinfo().get("model name", platform.machine())


@functools.cache
def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}
