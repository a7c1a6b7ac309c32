"""
What a training configuration reaches: several seeds from table to test figure, and their mean.

    python bench/recipes.py configs/train/mnist_keras_cnn.yaml [--seeds 3] [a.b=c ...]

Each seed is a model of its own, trained, exported and evaluated as the jobs do it; the test split
is opened once for each, and the openings are listed beside the table.
"""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from lucency import cluster, progress
from lucency.config.evaluate import EvaluateConfig
from lucency.config.export import ExportConfig
from lucency.config.train import TrainConfig
from lucency.pipeline.evaluate import evaluate
from lucency.pipeline.export import export
from lucency.pipeline.train import train


def main() -> None:
    """Measure, print a table for people and one JSON line for programs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("overrides", nargs="*", help="as for jobs/train.py")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_intermixed_args()
    with cluster.connected():
        found = [
            _measure(options.config, [*options.overrides, f"recipe.seed={seed}"])
            for seed in range(options.seeds)
        ]
    for row in found:
        progress.say("  ".join(f"{name} {value:.4f}" for name, value in row.items()))
    print(json.dumps({"config": str(options.config), "seeds": len(found), **_summary(found)}))


def _measure(path: Path, overrides: list[str]) -> dict[str, float]:
    config = TrainConfig.from_file(path, overrides)
    began = time.monotonic()
    trained = train(config)
    minutes = (time.monotonic() - began) / 60
    results = config.runs / "evaluated" / trained["run"]
    bundle = results / "bundle"
    if not (bundle / "manifest.json").is_file():
        export(ExportConfig(run=Path(trained["folder"]), output=bundle, table=config.table))
    evaluated = evaluate(
        EvaluateConfig(
            bundle=bundle,
            table=config.table,
            report=results / "report.html",
            reason="the spread of a recipe over seeds; none of them is chosen by it",
        )
    )
    test: dict[str, Any] = evaluated["metrics"]
    return {
        "test_accuracy": test["accuracy"]["value"],
        "lower": test["accuracy"]["lower"],
        "upper": test["accuracy"]["upper"],
        "validation_accuracy": trained["best"]["accuracy"],
        "train_minutes": trained["seconds"] / 60,
        "wall_minutes": minutes,
        "images_per_s": trained["best"]["images_per_s"],
    }


def _summary(found: list[dict[str, float]]) -> dict[str, Any]:
    accuracies = [row["test_accuracy"] for row in found]
    return {
        "test_accuracy_mean": statistics.mean(accuracies),
        "test_accuracy_least": min(accuracies),
        "test_accuracy_most": max(accuracies),
        "validation_accuracy_mean": statistics.mean(row["validation_accuracy"] for row in found),
        "train_minutes_mean": statistics.mean(row["train_minutes"] for row in found),
        "images_per_s_mean": statistics.mean(row["images_per_s"] for row in found),
    }


if __name__ == "__main__":
    main()
