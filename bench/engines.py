"""
What a film costs in each engine and precision, beside what this CPU could do at best.

    python bench/engines.py [--only small resnet18 densenet121 lite0] [--turns 31] [--batch 1]

One process, one inference thread, CPU time; contestants take turns, the ratio is the median over
the turns of float32 ONNX's time through a contestant's. Weights are random (speed does not depend
on them) and int8 is calibrated on drawn films, so nothing here says what a variant is worth:
jobs/export.py measures that. The machine's limit is the network's multiply-adds at the best rate
that a chain of wide 3 x 3 convolutions reaches in the same engine and precision, in the same run;
float32 and bf16 may take Winograd's shortcut there, so it is a limit reached, not a law. Every bar
is printed as reached or missed. The last line is JSON.
"""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lucency.bundle import engine, export, machine, variants
from lucency.bundle.engine import Engine
from lucency.config.train import Recipe
from lucency.datasets.phantom import Phantom
from lucency.models.base import Classifier, Explained, PooledClassifier, PooledHead, architectures

_FILMS = 32
_NETWORKS: dict[str, tuple[dict[str, Any], int]] = {
    "small": ({"name": "small"}, 224),
    "resnet18": ({"name": "backbone", "timm": "resnet18"}, 224),
    "densenet121": ({"name": "backbone", "timm": "densenet121"}, 224),
    "lite0": ({"name": "backbone", "timm": "tf_efficientnet_lite0"}, 160),
}
# Least speed-up over float32 ONNX on a CPU that has the instructions, by network and precision.
_BARS = {("densenet121", "bf16"): 1.7, ("densenet121", "int8"): 2.4}


class _Torch:
    """The training code's own forward pass, as an engine."""

    name = "torch"
    explains = True

    def __init__(self, model: Classifier) -> None:
        self._module = Explained(model).eval()

    def run(self, batch_nchw: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits and maps."""
        with torch.inference_mode():
            logits_nk, maps_nkhw = self._module(torch.from_numpy(batch_nchw))
        return logits_nk.numpy(), maps_nkhw.numpy()


def main() -> None:
    """Measure, print a table a network and each bar for people, one JSON line for programs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", choices=_NETWORKS, nargs="*", default=list(_NETWORKS))
    parser.add_argument("--turns", type=int, default=31)
    parser.add_argument("--batch", type=int, default=1, help="films a run")
    options = parser.parse_args()
    # Threads of torch that wait for one another spin, and that would count as work.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{machine.cpu()}, one thread, {options.batch} film(s) a run")
    peaks = _peaks(options.turns)
    print("limit, GFLOP/s:", ", ".join(f"{name} {rate:.0f}" for name, rate in peaks.items()))
    found = {name: _network(name, peaks, options.turns, options.batch) for name in options.only}
    missed = _bars(found)
    print(json.dumps({"cpu": machine.cpu(), "gflops": peaks, "networks": found, "missed": missed}))


def _network(name: str, peaks: Mapping[str, float], turns: int, batch: int) -> dict[str, Any]:
    settings, side = _NETWORKS[name]
    recipe = _recipe(settings, side)
    model = architectures.build(recipe.model, in_channels=1, outputs=1, side=side).eval()
    found, flops = _raced(model, recipe, turns, batch)
    print(f"{name}, {side} px, {flops / 2e9:.2f} G multiply-adds")
    print(f"  {'':<14}  ms/film  x fp32  limit ms  of limit")
    rows = {}
    for contestant, seconds in found.items():
        ms = 1e3 * statistics.median(seconds) / batch
        limit_ms = flops / peaks[contestant] / 1e6
        ratio = statistics.median(found["onnx-fp32"] / seconds)
        print(f"  {contestant:<14} {ms:8.2f} {ratio:7.2f} {limit_ms:9.2f} {limit_ms / ms:9.0%}")
        rows[contestant] = {
            "ms": round(ms, 3),
            "ratio": round(ratio, 3),
            "limit_ms": round(limit_ms, 3),
        }
    return rows


def _peaks(turns: int) -> dict[str, float]:
    """The best rate of each contestant on convolutions that suit it, GFLOP/s."""
    wide = [nn.Conv2d(1, 256, kernel_size=3, stride=2, padding=1), nn.ReLU()]
    for _ in range(6):
        wide += [nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU()]
    model = PooledClassifier(nn.Sequential(*wide), PooledHead(256, 1, 0.0)).eval()
    found, flops = _raced(model, _recipe({"name": "small"}, 56), turns, 1)
    return {name: round(flops / float(seconds.min()) / 1e9, 1) for name, seconds in found.items()}


def _raced(
    model: Classifier, recipe: Recipe, turns: int, batch: int
) -> tuple[dict[str, np.ndarray], float]:
    """CPU seconds of every contestant in every turn, and the operations of a film."""
    films = Phantom(patients=_FILMS, size=recipe.preprocess.size, max_films=1)
    films_nchw = np.stack([recipe.preprocess(sample.read()) for sample in films])
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.from_numpy(films_nchw[:1]))
    with tempfile.TemporaryDirectory() as scratch:
        contestants = _contestants(model, recipe, films_nchw, Path(scratch))
        spent = variants.race(contestants, films_nchw[:batch], turns)
    return spent, float(counter.get_total_flops())


def _contestants(
    model: Classifier, recipe: Recipe, films_nchw: np.ndarray, folder: Path
) -> dict[str, Engine]:
    graph = folder / "graph.onnx"
    graph.write_bytes(export.to_onnx(model, recipe))
    found: dict[str, Engine] = {
        "torch": _Torch(model),
        "onnx-fp32": engine.OnnxEngine(graph),
        "openvino-fp32": engine.OpenVinoEngine(graph),
    }
    for name, kind in variants.KINDS.items():
        (folder / name).mkdir()
        files = kind.make(graph, films_nchw)
        for file, data in files.items():
            (folder / name / file).write_bytes(data)
        path = folder / name / next(iter(files)) if files else graph
        made = engine.load(path, kind.runtime, kind.precision)
        found[made.name] = made
    return found


def _recipe(model: Mapping[str, Any], side: int) -> Recipe:
    return Recipe.from_mapping(
        {
            "preprocess": {"size": side, "color": "L", "mean": [0.5], "std": [0.25]},
            "model": dict(model),
            "loss": "bce",
            "optimizer": "adamw",
            "phases": [{"epochs": 1, "learning_rate": 0.001}],
            "batch_size": 8,
            "rule": {"sensitivity_floor": 0.9, "specificity_floor": 0.7},
        },
        "bench",
    )


def _bars(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> int:
    missed = 0
    for (network, precision), least in _BARS.items():
        if network in found:
            best = max(
                rows["ratio"]
                for contestant, rows in found[network].items()
                if contestant.endswith(precision)
            )
            missed += int(best < least)
            verdict = "reached" if best >= least else "MISSED "
            print(f"{verdict} {network} in {precision}: {best:.2f} times fp32, at least {least}")
    return missed


if __name__ == "__main__":
    main()
