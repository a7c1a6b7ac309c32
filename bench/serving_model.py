"""
What the contestants of ``serving.py`` serve: drawn films of full size, and models that may answer.

The networks are trained for minutes on drawn films, so that their variants pass the bundle's own
gate and are served as a real model's are: nothing is forced into service for a benchmark.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2

from lucency import cluster, images, progress
from lucency.bundle.artifact import Artifact
from lucency.config.evaluate import EvaluateConfig
from lucency.config.export import ExportConfig
from lucency.config.train import TrainConfig
from lucency.datasets import prepare
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.pipeline.evaluate import evaluate
from lucency.pipeline.export import export
from lucency.pipeline.train import train
from lucency.store.store import Store

SIDE = 224
FILMS = 12
_HEIGHT, _WIDTH = 800, 1000
# Gives drawn films of that size about 115 kB.
_QUALITY = 86

# The network of the bars, and one that answers at once: what is left is the framework.
MODELS: dict[str, tuple[dict[str, Any], int, tuple[str, ...]]] = {
    "resnet18": ({"name": "backbone", "timm": "resnet18"}, SIDE, ("bf16", "int8", "openvino_int8")),
    "tiny": ({"name": "small", "width": 8, "blocks": 2}, 32, ()),
}


def films(count: int = FILMS) -> list[bytes]:
    """JPEGs, gray, 1000 x 800 px."""
    found = []
    for sample in Phantom(patients=count, size=_WIDTH, max_films=1, site_b_share=0.0, seed=7):
        film = images.decode(sample.read(), color="L")[:_HEIGHT]
        taken, data = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        assert taken
        found.append(data.tobytes())
    return found


def store(folder: Path, name: str) -> Path:
    """A store with one of the models as champion; made on the first call."""
    root = folder / name
    if "champion" not in Store(root / "store").aliases():
        progress.say(f"training {name}, once")
        with cluster.connected():
            Store(root / "store").promote(_bundle(root, name), "the benchmark's model")
    return root / "store"


def _bundle(root: Path, name: str) -> Artifact:
    network, side, variants = MODELS[name]
    source = Phantom(patients=600, size=max(64, side), max_films=1)
    prepare.prepare(source, SplitPlan(validation=0.25, test=0.25), root / "data", name=name)
    trained = train(
        TrainConfig.from_mapping(
            {"table": root / "data", "runs": root / "runs", "recipe": _recipe(network, side)},
            "bench",
        )
    )
    path = root / "bundle"
    export(ExportConfig(run=Path(trained["folder"]), output=path, name=name, variants=variants))
    evaluate(
        EvaluateConfig(
            bundle=path,
            table=root / "data",
            report=root / "report.html",
            reason="drawn films, of which nothing is claimed",
        )
    )
    return Artifact.load(path)


def _recipe(network: Mapping[str, Any], side: int) -> dict[str, Any]:
    return {
        "preprocess": {"size": side, "color": "L", "mean": [0.5], "std": [0.25]},
        "augmentation": None,
        "model": dict(network),
        "loss": "bce",
        "optimizer": "adamw",
        "phases": [{"epochs": 6, "learning_rate": 0.001}],
        "batch_size": 16,
        "precision": "bf16",
        # Weak on purpose: what is proven here is only that a variant answers as float32 does.
        "rule": {"sensitivity_floor": 0.5, "specificity_floor": 0.5},
    }
