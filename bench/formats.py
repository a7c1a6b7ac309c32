"""
Every registered architecture in every format: does it export, does it answer alike, what it costs.

    python bench/formats.py [--only lenet5 vgg16 backbone:resnet18 ...] [--turns 15] [--films 16]

Each network stands at the first side and channels of its facts, its logits spread so that
probabilities are not all one half. ``apart`` is the largest difference of a probability from the
training code's, on drawn films: at most 1e-4 for what computes in float32, printed as reached or
missed. bf16 and int8 change numbers, and weights are random: what a variant is worth is measured by
jobs/export.py, on films. One process, one inference thread, CPU time, in turns; a ratio is the
median over the turns of float32 ONNX's time through a format's. bench/engines.py holds speed
against this CPU's limit. The last line is JSON.
"""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import argparse
import gc
import io
import json
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lucency.bundle import engine, export, formats, machine, variants
from lucency.bundle.engine import Engine
from lucency.config.train import Recipe
from lucency.datasets.phantom import Phantom
from lucency.evaluation import probability
from lucency.models.base import Classifier, Explained, architectures, describe, parameters

# Trunks of libraries, by what a configuration would say: one of each family of layers.
_BACKBONES = {
    "backbone:resnet18": {"timm": "resnet18"},
    "backbone:densenet121": {"timm": "densenet121"},
    "backbone:mobilenetv3": {"timm": "mobilenetv3_small_100"},
    "backbone:efficientnet_lite0": {"timm": "tf_efficientnet_lite0"},
    "backbone:convnext": {"timm": "convnext_atto"},
    "backbone:shufflenet": {"torchvision": "shufflenet_v2_x0_5"},
}
_NETWORKS = (*(name for name in architectures.names() if name != "backbone"), *_BACKBONES)
_EXACT = ("torchscript", "exported_program", "onnx")
_LOADED: dict[formats.Format, Callable[[io.BytesIO], Any]] = {
    "torchscript": torch.jit.load,
    "exported_program": lambda data: torch.export.load(data).module(),
}


class _Torch:
    """A module of torch, or what was loaded back from a file, as an engine."""

    explains = True

    def __init__(self, name: str, module: Any) -> None:
        self.name = name
        self._module = module

    def run(self, batch_nchw: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits; maps are computed too where the network has some."""
        with torch.inference_mode():
            return self._module(torch.from_numpy(batch_nchw))[0].numpy(), None


def main() -> None:
    """Measure, print a row for each network and format, one JSON line for programs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", choices=_NETWORKS, nargs="*", default=list(_NETWORKS))
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--films", type=int, default=16)
    options = parser.parse_args()
    # Threads of torch that wait for one another spin, and that would count as work.
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FutureWarning)  # TorchScript's end is announced
    print(f"{machine.cpu()}, one thread, one film a run, {options.turns} turns")
    found = {}
    for name in options.only:
        found[name] = _network(name, options.turns, options.films)
        gc.collect()
    missed = _missed(found)
    for each in missed:
        print(f"MISSED  {each}")
    if not missed:
        print(f"reached: every float32 format within {export.PARITY} on {len(found)} networks")
    print(json.dumps({"cpu": machine.cpu(), "networks": found, "missed": missed}))


def _network(name: str, turns: int, films: int) -> dict[str, Any]:
    torch.manual_seed(0)
    recipe = _recipe(name)
    size, channels = recipe.preprocess.size, recipe.preprocess.channels
    model = architectures.build(recipe.model, in_channels=channels, outputs=1, side=size).eval()
    drawn = Phantom(patients=films, size=size, max_films=1)
    films_nchw = np.stack([recipe.preprocess(sample.read()) for sample in drawn])
    _spread(model, torch.from_numpy(films_nchw))
    print(f"{name}, {channels} x {size} px, {parameters(model) / 1e6:.2f} M parameters")
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        contestants: dict[str, Engine] = {"torch": _Torch("torch", Explained(model).eval())}
        for format_, made in _formats(model, recipe, films_nchw, Path(scratch)):
            if isinstance(made, Exception):
                rows[format_] = {"failed": f"{type(made).__name__}: {str(made).splitlines()[0]}"}
            else:
                contestants[format_] = made
        expected_nk = probability.of_classes(contestants["torch"].run(films_nchw)[0])
        spent = variants.race(contestants, films_nchw[:1], turns)
        for format_, contestant in contestants.items():
            given_nk = probability.of_classes(contestant.run(films_nchw)[0])
            rows[format_] = {
                "apart": float(np.abs(given_nk - expected_nk).max()),
                "ms": round(1e3 * statistics.median(spent[format_]), 3),
                "ratio": round(statistics.median(spent["onnx"] / spent[format_]), 3),
            }
    for format_, row in rows.items():
        if "failed" in row:
            print(f"  {format_:<17} FAILED  {row['failed']}")
        else:
            print(
                f"  {format_:<17} {row['ms']:8.2f} ms {row['ratio']:6.2f} x fp32  "
                f"apart {row['apart']:.1e}"
            )
    return rows


def _formats(
    model: Classifier, recipe: Recipe, films_nchw: np.ndarray, folder: Path
) -> Iterator[tuple[str, Engine | Exception]]:
    """Each format loaded back; what fails is a row of the table, not the end of it."""
    graph = folder / "graph.onnx"
    graph.write_bytes(export.to_onnx(model, recipe))
    yield "onnx", engine.OnnxEngine(graph)
    for format_, load in _LOADED.items():
        try:
            ((_, data),) = formats.files(model, films_nchw[:5], (format_,)).items()
            yield format_, _Torch(format_, load(io.BytesIO(data)))
        except Exception as cause:
            yield format_, cause
    for name, kind in variants.KINDS.items():
        try:
            files = kind.make(graph, films_nchw)
            (folder / name).mkdir()
            for file, data in files.items():
                (folder / name / file).write_bytes(data)
            path = folder / name / next(iter(files)) if files else graph
            yield name, engine.load(path, kind.runtime, kind.precision)
        except Exception as cause:
            yield name, cause


def _spread(model: Classifier, films_nchw: torch.Tensor) -> None:
    """Shift and stretch the last layer: logits of mean 0 and deviation 2 over the films."""
    last = [layer for layer in model.head.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.inference_mode():
        logits_n = model(films_nchw)[:, 0]
        factor = float(2 / logits_n.std().clamp_min(1e-6))
        last.weight.mul_(factor)
        last.bias.copy_((last.bias - logits_n.mean()) * factor)


def _missed(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    failed = [
        f"{name}: {format_} {row['failed']}"
        for name, rows in found.items()
        for format_, row in rows.items()
        if "failed" in row
    ]
    return failed + [
        f"{name}: {format_} is {rows[format_]['apart']:.1e} apart, at most {export.PARITY}"
        for name, rows in found.items()
        for format_ in _EXACT
        if "failed" not in rows[format_] and not rows[format_]["apart"] <= export.PARITY
    ]


def _recipe(name: str) -> Recipe:
    registered, _, _ = name.partition(":")
    facts = describe(registered)
    channels = facts.channels[0]
    return Recipe.from_mapping(
        {
            "preprocess": {
                "size": facts.sides[0],
                "color": "L" if channels == 1 else "RGB",
                "mean": [0.5] * channels,
                "std": [0.25] * channels,
            },
            "model": {"name": registered, **_BACKBONES.get(name, {})},
            "loss": "bce",
            "optimizer": "adamw",
            "phases": [{"epochs": 1, "learning_rate": 0.001}],
            "batch_size": 8,
            "rule": {"sensitivity_floor": 0.9, "specificity_floor": 0.7},
        },
        "bench",
    )


if __name__ == "__main__":
    main()
