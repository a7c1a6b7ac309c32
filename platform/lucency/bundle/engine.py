"""
What runs a graph on this machine's CPU: ONNX Runtime, or OpenVINO where it is installed.

An engine takes a batch and gives logits and maps; which one answers is decided by
``lucency.bundle.offered``. Nothing here needs torch.
"""

import sys
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime

from lucency.bundle.machine import NO_OPENVINO, Precision, Runtime, lacks
from lucency.errors import ArtifactError

# How OpenVINO computes what a graph does not fix: left to itself it takes bf16 where it can.
_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class Engine(Protocol):
    """
    A compiled graph; safe to call from several threads.

    Attributes:
        name: Runtime and precision, ``onnx-fp32``.
        explains: Whether it gives class-activation maps.
    """

    name: str
    explains: bool

    def run(self, batch_nchw: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits n x k, and maps n x k x h x w where it explains."""
        ...


class OnnxEngine:
    """ONNX Runtime on the CPU."""

    def __init__(
        self, graph: Path | bytes, *, precision: Precision = "fp32", threads: int = 1
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            graph if isinstance(graph, bytes) else str(graph),
            options,
            providers=["CPUExecutionProvider"],
        )
        self.name = f"onnx-{precision}"
        self.explains = len(self._session.get_outputs()) > 1

    def run(self, batch_nchw: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits and maps."""
        logits_nk, *maps = self._session.run(None, {"images": batch_nchw})
        return logits_nk, maps[0] if maps else None


class OpenVinoEngine:
    """OpenVINO on the CPU; ``graph`` is an ONNX file or an OpenVINO ``.xml``."""

    def __init__(self, graph: Path, *, precision: Precision = "fp32", threads: int = 1) -> None:
        core = openvino().Core()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        model = core.read_model(str(graph))
        self.name = f"openvino-{precision}"
        self.explains = len(model.outputs) > 1
        self._any = core.compile_model(model, "CPU", settings).create_infer_request()
        # A film alone is the usual batch, and a tenth faster in a graph that knows its shape.
        model.reshape([1, *list(model.input().partial_shape)[1:]])
        self._alone = core.compile_model(model, "CPU", settings).create_infer_request()
        # One stream answers one request at a time: more requests would only hold more memory.
        self._lock = threading.Lock()

    def run(self, batch_nchw: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits and maps."""
        request = self._alone if len(batch_nchw) == 1 else self._any
        with self._lock:
            request.infer({0: batch_nchw})
            # Copies: the next request writes into the same memory.
            found = [each.data.copy() for each in request.output_tensors]
        return found[0], found[1] if self.explains else None


def load(graph: Path, runtime: Runtime, precision: Precision, *, threads: int = 1) -> Engine:
    """
    An engine for a graph on this machine.

    Raises:
        ArtifactError: the runtime is not installed or can't read the graph, or the CPU lacks the
            instructions.
    """
    if missing := lacks(runtime, precision):
        raise ArtifactError(f"{graph.name!r} can't run in {runtime}-{precision} here: {missing}")
    kinds: dict[Runtime, type[OnnxEngine] | type[OpenVinoEngine]] = {
        "onnx": OnnxEngine,
        "openvino": OpenVinoEngine,
    }
    try:
        return kinds[runtime](graph, precision=precision, threads=threads)
    except RuntimeError as cause:  # of OpenVINO, as for a graph of a newer one
        raise ArtifactError(f"{runtime} can't load {str(graph)!r}: {cause}") from cause


def openvino() -> Any:
    """
    The package, with its telemetry shut off: it would write to the home folder and call home.

    Raises:
        ArtifactError: it is not installed.
    """
    # Both openvino and nncf fall back to a stub where this module can't be imported.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        # Inside: an optional extra, loaded for its variants alone.
        import openvino as package  # type: ignore[import-untyped, unused-ignore]
    except ImportError as cause:
        raise ArtifactError(NO_OPENVINO) from cause
    return package
