"""What is taken apart: an architecture as it starts, or the network of a finished run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import yaml
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lucency.config.analyze import AnalyzeConfig
from lucency.config.node import Node
from lucency.errors import ConfigError, TrainingError
from lucency.images import Color
from lucency.models.base import architectures, describe
from lucency.preprocess import Preprocess
from lucency.registry import Options

# As lucency.training.trainer names them; importing it would start up Ray for a table.
_RECIPE, _RECORD, _WEIGHTS = "recipe.yaml", "run.json", "model.safetensors"
_LIBRARIES = ("timm", "torchvision")  # options that name a network better than "backbone" does


class _Network(Node):
    """What a run's recipe says of its network."""

    model: Annotated[Options, architectures.field()]
    preprocess: Preprocess


@dataclass(frozen=True)
class Subject:
    """What is taken apart: a network, what it gets, and where its weights are from."""

    model: nn.Module
    name: str
    preprocess: Preprocess
    weights: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one input, c x h x w."""
        return self.preprocess.channels, self.preprocess.size, self.preprocess.size


def find(config: AnalyzeConfig) -> Subject | None:
    """
    The network that is asked for, in evaluation mode; None for a chain alone.

    Raises:
        ConfigError: the architecture does not take the input.
        TrainingError: the folder is not a finished run.
    """
    if config.run is not None:
        return finished(config.run)
    if config.model is None:
        return None
    facts = describe(config.model.name)
    # A film is gray: an architecture that takes both gets it as it is.
    color = config.color or ("L" if facts.channels[0] == 1 else "RGB")
    preprocess = _input(config.size or facts.sides[0], color)
    name = next((str(v) for k, v in config.model.keywords().items() if k in _LIBRARIES and v), "")
    weights = getattr(config.model, "weights", "none")
    return Subject(
        _built(config.model, preprocess, config.outputs, config.seed),
        name or config.model.name,
        preprocess,
        "as initialised, not trained" if weights == "none" else f"published ({weights})",
    )


def _input(size: int, color: Color) -> Preprocess:
    channels = 1 if color == "L" else 3
    try:
        return Preprocess(size=size, color=color, mean=(0.5,) * channels, std=(0.25,) * channels)
    except ValidationError as cause:
        error = cause.errors()[0]
        raise ConfigError(f"{error['loc'][0]}: found {error['input']}, {error['msg']}") from None


def _built(options: Options, preprocess: Preprocess, outputs: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return architectures.build(
        options, in_channels=preprocess.channels, outputs=outputs, side=preprocess.size
    ).eval()


def finished(folder: Path) -> Subject:
    """
    A finished run with its weights.

    A bundle has batch norms folded into its graph, so it can't give the network's own filters back.
    """
    if not all((folder / name).is_file() for name in (_RECIPE, _RECORD, _WEIGHTS)):
        raise TrainingError(
            f"{str(folder)!r} is not a finished run: it lacks {_RECIPE}, {_RECORD} or {_WEIGHTS}. "
            "Give the folder that python jobs/train.py names in its last line; for a bundle, that "
            "of the run it was exported from"
        )
    raw = yaml.safe_load((folder / _RECIPE).read_text(encoding="utf-8"))
    parts = {key: raw[key] for key in ("model", "preprocess")}
    network = _Network.from_mapping(parts, str(folder / _RECIPE))
    options = network.model
    if "weights" in type(options).model_fields:
        options = options.model_copy(update={"weights": "none"})
    classes = len(json.loads((folder / _RECORD).read_text())["classes"])
    model = _built(options, network.preprocess, 1 if classes == 2 else classes, 0)
    try:
        model.load_state_dict(load_file(folder / _WEIGHTS))
    except (RuntimeError, SafetensorError) as cause:
        raise TrainingError(
            f"{str(folder / _WEIGHTS)!r} does not hold the weights of the recipe beside it: "
            f"{str(cause).splitlines()[0]}"
        ) from cause
    return Subject(model, options.name, network.preprocess, f"of the finished run {folder.name}")
