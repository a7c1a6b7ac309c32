"""What a machine can run, and what it is told where it can't."""

import sys

import pytest

from lucency.bundle import machine
from lucency.bundle.machine import Precision


@pytest.mark.parametrize(
    ("precision", "available", "runs"),
    [
        ("fp32", "", True),
        ("bf16", "avx2 avx512_vnni", False),
        ("bf16", "avx2 avx512_bf16", True),
        ("int8", "avx2 avx512_bf16", False),
        ("int8", "avx2 avx_vnni", True),
    ],
)
def test_precision_needs_its_instructions(precision: Precision, available: str, runs: bool) -> None:
    """bf16 and int8 are refused on a CPU that would compute them slowly, or otherwise."""
    missing = machine.lacks("onnx", precision, frozenset(available.split()))

    assert (missing == "") == runs
    assert runs or "the CPU has none of" in missing


def test_missing_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional package the message says which extra has it; ONNX is not affected."""
    monkeypatch.setitem(sys.modules, "openvino", None)

    assert "lucency[openvino]" in machine.lacks("openvino", "fp32")
    assert machine.lacks("onnx", "fp32") == ""


def test_this_cpu_is_known() -> None:
    """Its name and instruction sets are read; every x86 and ARM core that runs tests has these."""
    assert machine.cpu()
    assert {"sse2", "asimd"} & machine.instructions()
