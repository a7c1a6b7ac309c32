"""A network and a film -> a table of its layers, pictures of them, one report."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import yaml
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lucency import files, images, progress
from lucency.anatomy import pictures, report, sight, windows
from lucency.anatomy.layers import Anatomy, analyse
from lucency.anatomy.what_if import compare
from lucency.anatomy.windows import ChainRow
from lucency.config.analyze import AnalyzeConfig
from lucency.config.node import Node
from lucency.datasets import phantom
from lucency.errors import ConfigError, TrainingError
from lucency.images import Color
from lucency.models.base import architectures, describe
from lucency.preprocess import Preprocess
from lucency.registry import Options

REPORT = "report.html"
TABLE = "anatomy.json"
# As lucency.training.trainer names them; importing it would start up Ray for a table.
_RECIPE, _RECORD, _WEIGHTS = "recipe.yaml", "run.json", "model.safetensors"
_LIBRARIES = ("timm", "torchvision")  # options that name a network better than "backbone" does
_DRAWN_SIZE = 256


class _Network(Node):
    """What a run's recipe says of its network."""

    model: Annotated[Options, architectures.field()]
    preprocess: Preprocess


@dataclass(frozen=True)
class _Subject:
    """What is taken apart: a network, what it gets, and where its weights are from."""

    model: nn.Module
    name: str
    preprocess: Preprocess
    weights: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one input, c x h x w."""
        return self.preprocess.channels, self.preprocess.size, self.preprocess.size


def analyze(config: AnalyzeConfig) -> dict[str, Any]:
    """
    Take a network apart, calculate a chain, or both, and write the report.

    Raises:
        ConfigError: the network does not take the input, or a changed layer does not exist.
    """
    started = time.monotonic()
    subject = _subject(config)
    chain = _chain(config, subject)
    anatomy = analyse(subject.model, subject.shape) if subject else None
    comparison = None
    if anatomy is not None:
        _say(anatomy)
    if subject is not None and anatomy is not None and config.change:
        comparison = compare(subject.model, anatomy, config.change)
        progress.say(report.text(report.compared_rows(comparison), report.COMPARED_COLUMNS))
    shown, film_is = _pictures(config, subject, anatomy) if config.pictures else ({}, "")
    page = report.html(
        title=subject.name if subject else "A chain of layers",
        weights=subject.weights if subject else "",
        anatomy=anatomy,
        comparison=comparison,
        chain=chain,
        pictures=shown,
        film=film_is,
        settings=config.to_yaml(),
    )
    record = {
        **({"model": subject.name, "weights": subject.weights} if subject else {}),
        **(anatomy.record() if anatomy else {}),
        **({"change": comparison.record()} if comparison else {}),
        **({"chain": [row.record() for row in chain]} if chain else {}),
    }
    _write(config.output, page, record, shown)
    return {
        **record,
        "report": str(config.output / REPORT),
        "seconds": round(time.monotonic() - started, 2),
    }


def _subject(config: AnalyzeConfig) -> _Subject | None:
    if config.run is not None:
        return _finished(config.run)
    if config.model is None:
        return None
    facts = describe(config.model.name)
    # A film is gray: an architecture that takes both gets it as it is.
    color = config.color or ("L" if facts.channels[0] == 1 else "RGB")
    preprocess = _input(config.size or facts.sides[0], color)
    name = next((str(v) for k, v in config.model.keywords().items() if k in _LIBRARIES and v), "")
    weights = getattr(config.model, "weights", "none")
    return _Subject(
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


def _finished(folder: Path) -> _Subject:
    """
    A finished run with its weights; a bundle has batch norms folded into its graph, so it can't
    give the network's own filters back.
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
    return _Subject(model, options.name, network.preprocess, f"of the finished run {folder.name}")


def _chain(config: AnalyzeConfig, subject: _Subject | None) -> list[ChainRow]:
    channels, side, _ = subject.shape if subject else (1, config.size or 224, 0)
    if subject is None and config.color == "RGB":
        channels = 3
    rows = windows.chain(side, config.chain, channels)
    if rows:
        progress.say(report.text([row.record() for row in rows], report.CHAIN_COLUMNS))
    return rows


def _say(anatomy: Anatomy) -> None:
    progress.say(report.text([layer.record() for layer in anatomy.layers], report.COLUMNS))
    for sentence in report.summary(anatomy):
        progress.say(f"    {sentence}")


def _pictures(
    config: AnalyzeConfig, subject: _Subject | None, anatomy: Anatomy | None
) -> tuple[dict[str, bytes], str]:
    """Pictures by title, and what film they show."""
    if subject is None or anatomy is None:
        return {}, ""
    said, pixels = _film(config, subject.preprocess)
    image_chw = torch.from_numpy(subject.preprocess.normalise(pixels))
    gray = pixels.mean(axis=2, dtype=np.float32) / 255
    found = {}
    if (drawn := pictures.filters(subject.model, subject.weights)) is not None:
        found["filters"] = drawn
    stages = sight.stages(anatomy)
    if stages:
        maps, seen = sight.effects(anatomy, image_chw, stages)
        rows = list(zip(stages, maps, strict=True))
        found["feature maps"] = pictures.feature_maps(gray, rows, subject.weights)
        found["receptive fields"] = pictures.sights(gray, seen, subject.weights)
    return found, said


def _film(config: AnalyzeConfig, preprocess: Preprocess) -> tuple[str, np.ndarray]:
    """What the film is, and its pixels as the network gets them, uint8 h x w x c."""
    if config.film is None:
        size = max(_DRAWN_SIZE, preprocess.size)
        drawn, _ = phantom.draw(config.seed, 1, size=size, ill=True, site="scanner_a")
        pixels = np.repeat(drawn[:, :, None], preprocess.channels, axis=2)
        return "A drawn phantom film", preprocess.resize(pixels)
    if not config.film.is_file():
        raise ConfigError(f"film {str(config.film)!r} does not exist: give a PNG or JPEG file")
    decoded = images.decode(config.film.read_bytes(), color=preprocess.color)
    return f"Film {config.film.name}", preprocess.resize(decoded)


def _write(output: Path, page: str, record: dict[str, Any], shown: dict[str, bytes]) -> None:
    for name, png in shown.items():
        with files.atomic_file(output / f"{name.replace(' ', '_')}.png") as temporary:
            temporary.write_bytes(png)
    files.write_json(output / TABLE, record)
    files.write_text(output / REPORT, page)
