"""What ``jobs/export.py`` may be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from lucency.bundle.artifact import Use
from lucency.config.node import Node
from lucency.evaluation.calibrated import Method


class Packing(Node):
    """
    What a bundle is made to hold beside the network.

    Attributes:
        coverage: Promised share of films, in every class, whose prediction set has the true
            label; films whose set does not settle it are answered ``uncertain``.
        calibration: How probabilities are made to mean what they say: by the ``temperature`` alone;
            for two classes by ``platt``'s sigmoid or the ``isotonic`` curve too.
        use: What the model is for; it stands in the bundle's model card.
        variants: Other arithmetic of the same network, measured on validation films and offered
            where it holds: ``bf16`` and ``openvino_int8`` run in OpenVINO, ``int8`` in ONNX
            Runtime.
        formats: Torch's own formats to put into the bundle beside the graph.
    """

    coverage: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    calibration: Method = "temperature"
    use: Use = Use()
    variants: tuple[Literal["bf16", "int8", "openvino_int8"], ...] = ()
    formats: tuple[Literal["torchscript", "exported_program"], ...] = ()

    @field_validator("variants", "formats")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"found {list(names)}, expected each name once")
        return names


class ExportConfig(Packing):
    """
    A finished run and the folder for its bundle.

    Attributes:
        table: Where the run's table is now; the path it was trained from if left out.
    """

    run: Path
    output: Path
    name: str = "pneumonia"
    table: Path | None = None
