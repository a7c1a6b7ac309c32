"""
Training beside what others do: images per CPU second, the loop's own cost, two workers.

    python bench/training.py epochs    --raw FOLDER   same network and epochs as PyTorch's script
    python bench/training.py fast      --raw FOLDER   99 % of MNIST, ten seeds
    python bench/training.py overhead                 a bare loop, Lightning, timm; drawn films
    python bench/training.py workers                  two on two cores, one on one; quiet machine

FOLDER holds MNIST's gz files, ``--mnist`` the table that ``jobs/prepare.py`` made of them. Each
takes less than ten minutes on two quiet cores, prints a table with limits and one line of JSON.

What counts: user and system time of one process, all of its threads, no children (there are none).
Ours is Ray Train's worker, from the call of the training loop to its return: opening the table,
decoding to the cache where it is new, all epochs, measuring the validation split, checkpoints.
Left out for all: starting Ray and Python, imports. A peer's time leaves out its testing too. Each
worker and each peer has one thread for arithmetic and one core. Runs take turns; a figure is the
median over the rounds.
"""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import torch

from lucency import cluster, files
from lucency.bundle import export
from lucency.config.train import Recipe, TrainConfig
from lucency.datasets import table
from lucency.datasets.phantom import Phantom
from lucency.datasets.table import Row, Table
from lucency.training import loop, trainer
from lucency.training.trainer import Run

_ROOT = Path(__file__).parents[1]
_PEERS = Path(__file__).parent / "peers"
_METER = "meter_{}.json"
_AIM = 0.99
# Of two accuracies near 99 % on 10,000 images one standard error of the difference is this.
_SAME = 0.0015
_KEPT_HEAP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "9000000000"}


@dataclass(frozen=True)
class Bar:
    """A figure and the least it should be."""

    what: str
    found: float
    least: float

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.found >= self.least


def main() -> None:
    """Measure, print each bar for people and one JSON line for programs."""
    options = _options()
    measure: Callable[[argparse.Namespace, Path], tuple[list[Bar], dict[str, Any]]]
    measure = {"epochs": _epochs, "fast": _fast, "overhead": _overhead, "workers": _workers}[
        options.race
    ]
    with tempfile.TemporaryDirectory() as scratch, cluster.connected(), _meters():
        bars, found = measure(options, Path(scratch))
    for bar in bars:
        mark = "reached" if bar.reached else "MISSED "
        print(
            f"{mark} {bar.found:8.4g} >= {bar.least:<6g} x{bar.found / bar.least:.2f}  {bar.what}"
        )
    missed = [bar.what for bar in bars if not bar.reached]
    print(json.dumps({"race": options.race, **found, "load": os.getloadavg()[0], "missed": missed}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("race", choices=["epochs", "fast", "overhead", "workers"])
    parser.add_argument("--raw", type=Path, help="folder with MNIST's gz files")
    parser.add_argument("--mnist", type=Path, default=Path("work/mnist/data"))
    parser.add_argument("--epochs", type=int, default=5, help="of PyTorch's script, at most")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--films", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="{name: backbone, timm: resnet18}")
    parser.add_argument("--set", nargs="*", default=[], help="overrides of our MNIST recipe")
    options = parser.parse_args()
    if options.race in ("epochs", "fast") and options.raw is None:
        parser.error("--raw: name the folder with MNIST's gz files")
    return options


# MNIST, against PyTorch's script.


def _epochs(options: argparse.Namespace, scratch: Path) -> tuple[list[Bar], dict[str, Any]]:
    """Ours runs between two halves of the script's epochs, so that both have the same weather."""
    overrides = [
        "recipe.precision=bf16",
        f"recipe.phases.0.epochs={options.epochs}",
        *options.set,
    ]
    recipe = _recipe("mnist_torch_cnn", scratch, overrides)
    with _script(options.raw) as script:
        rows = script(options.epochs // 2)
        run, meter = _run(recipe, options.mnist, scratch)
        rows += script(options.epochs - options.epochs // 2)
    accuracy = _test_accuracy(run, options.mnist)
    speeds = [row["images"] / row["cpu_s"] for row in rows]
    theirs = len(rows) * rows[0]["images"] / sum(row["cpu_s"] for row in rows)
    ours = meter["images"] / meter["cpu_s"]
    bars = [
        Bar("images per CPU second, ours to the script's", ours / theirs, 3.0),
        Bar("test accuracy after the same epochs", accuracy, rows[-1]["accuracy"] - _SAME),
    ]
    found = {
        "images_per_cpu_s": {"ours": round(ours), "script": round(theirs)},
        "script_epochs_images_per_cpu_s": [round(speed) for speed in speeds],
        "cpu_s": {"ours": meter["cpu_s"], "of_steps": meter["step_cpu_s"]},
        "accuracy": {"ours": accuracy, "script": [row["accuracy"] for row in rows]},
    }
    return bars, found


def _fast(options: argparse.Namespace, scratch: Path) -> tuple[list[Bar], dict[str, Any]]:
    """Seeds of ours and epochs of the script take turns until the script has been at 99 %."""
    accuracies, seconds, rows = [], [], []
    with _script(options.raw) as script:
        for seed in range(options.seeds):
            recipe = _recipe("mnist_fast", scratch, [f"recipe.seed={seed}", *options.set])
            run, meter = _run(recipe, options.mnist, scratch)
            accuracies.append(_test_accuracy(run, options.mnist))
            seconds.append(meter["cpu_s"])
            print(f"seed {seed}: {accuracies[-1]:.4f} after {seconds[-1]:.2f} CPU s", flush=True)
            if len(rows) < options.epochs and not _there(rows):
                rows += script(1)
        while len(rows) < options.epochs and not _there(rows):
            rows += script(1)
    theirs = sum(row["cpu_s"] for row in rows)
    if not _there(rows):  # it needs another epoch at least
        theirs += min(row["cpu_s"] for row in rows)
    # The first seed also decodes the images, once for all that follow on this machine.
    ours = statistics.mean(seconds)
    bars = [
        Bar(f"mean test accuracy over {options.seeds} seeds", statistics.mean(accuracies), _AIM),
        Bar("CPU seconds, the script's to 99 % to ours", theirs / ours, 40.0),
    ]
    found = {
        "accuracies": accuracies,
        "cpu_s": [round(each, 2) for each in seconds],
        "script_cpu_s": round(theirs, 1),
        "script_reached": _there(rows),
        "script_accuracies": [row["accuracy"] for row in rows],
    }
    return bars, found


def _there(rows: list[dict[str, float]]) -> bool:
    return any(row["accuracy"] >= _AIM for row in rows)


@contextmanager
def _script(raw: Path) -> Iterator[Callable[[int], list[dict[str, float]]]]:
    """PyTorch's script, held between its epochs: a call trains some more and gives their rows."""
    command = [sys.executable, str(_PEERS / "mnist_script.py"), str(raw)]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def train(epochs: int) -> list[dict[str, float]]:
            stdin.write(f"{epochs}\n")
            stdin.flush()
            rows = [json.loads(stdout.readline()) for _ in range(epochs)]
            for row in rows:
                print(
                    f"script, epoch {row['epoch']}: {row['accuracy']:.4f}, "
                    f"{row['cpu_s']:.1f} CPU s",
                    flush=True,
                )
            return rows

        yield train
        stdin.close()


def _recipe(name: str, scratch: Path, overrides: list[str]) -> Recipe:
    """Of configs/train; decoded images are kept in a cache of this run alone."""
    path = _ROOT / "configs" / "train" / f"{name}.yaml"
    caching = [f"recipe.scaling.cache={scratch / 'cache'}", "recipe.scaling.feeding=cache"]
    return TrainConfig.from_file(path, [*overrides, *caching]).recipe


@torch.inference_mode()
def _test_accuracy(run: Run, path: Path) -> float:
    """Of the test split, which nothing else here opens."""
    source, preprocess = Table.open(path), run.recipe.preprocess
    model = export.rebuild(run.recipe, run.folder / trainer.WEIGHTS, len(source.classes))
    labels_n = source.columns["label"][source.rows("test")]
    inputs = np.stack([preprocess.tensor(image) for image in source.load("test")])
    logits = [model(torch.from_numpy(part)) for part in np.array_split(inputs, 20)]
    return float((torch.cat(logits).argmax(1).numpy() == labels_n).mean())


# The platform's trainer, with a meter in its workers.


def _run(recipe: Recipe, path: Path, scratch: Path) -> tuple[Run, dict[str, float]]:
    """A fresh run, and what rank 0 took."""
    name = f"run_{len(list(scratch.glob('runs/*')))}"
    run = trainer.fit(recipe, path, scratch / "runs", name=name)
    meter: dict[str, float] = json.loads((run.folder / _METER.format(0)).read_text())
    films = len(Table.open(path).rows("train")) // recipe.batch_size * recipe.batch_size
    rows = run.history
    meter["images"] = len(rows) * films
    # The first epoch has the warm-up: memory that is touched, code that is loaded.
    last = rows[-1]
    meter["images_per_s"] = films / (last["wait_s"] + last["compute_s"])
    return run, meter


def _metered(settings: dict[str, Any]) -> None:
    """
    What the worker calls in the loop's place: the loop, timed.

    Carried there by value, while ``loop`` and all else are the worker's own modules.
    """
    # What a first optimiser or network would import: no part of training.
    for module in ("torch._dynamo", "timm.optim"):
        importlib.import_module(module)
    rank = ray.train.get_context().get_world_rank()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    torch.set_num_threads(1)
    steps_s = [0.0, 0.0]
    steps = loop.Worker._steps

    def timed(*arguments: Any) -> Any:
        began = time.process_time(), time.perf_counter()
        found = steps(*arguments)
        steps_s[0] += time.process_time() - began[0]
        steps_s[1] += time.perf_counter() - began[1]
        return found

    loop.Worker._steps = timed  # type: ignore[method-assign]
    began = time.process_time(), time.perf_counter()
    loop.run(settings)
    spent = {
        "cpu_s": time.process_time() - began[0],
        "wall_s": time.perf_counter() - began[1],
        "step_cpu_s": steps_s[0],
        "step_wall_s": steps_s[1],
    }
    files.write_json(Path(settings["folder"]) / _METER.format(rank), spent)


@contextmanager
def _meters() -> Iterator[None]:
    """Inside, what the trainer starts on its workers is the timed loop."""
    usual, loop.run = loop.run, _metered
    try:
        yield
    finally:
        loop.run = usual


# Drawn films, against other loops.


def _overhead(options: argparse.Namespace, scratch: Path) -> tuple[list[Bar], dict[str, Any]]:
    """
    Lightning and timm run as their users start them and, for what the heap alone gives, with ours.

    The bare loop has our heap and its batches ready, so it shows what feeding, reporting and Ray
    cost beside the steps.
    """
    path = _drawn(scratch / "films", options.films)
    recipe = _films_recipe(options, scratch, workers=1, batch_size=32)
    written = scratch / "recipe.yaml"
    written.write_text(recipe.to_yaml())
    peers = {
        "bare": ("bare.py", _KEPT_HEAP),
        "lightning": ("lightning_loop.py", {}),
        "timm": ("timm_loop.py", {}),
        "lightning, our heap": ("lightning_loop.py", _KEPT_HEAP),
        "timm, our heap": ("timm_loop.py", _KEPT_HEAP),
    }
    rates: dict[str, list[dict[str, float]]] = {}
    for number in range(options.rounds):
        _, meter = _run(recipe, path, scratch)
        images = meter["images"]
        rates.setdefault("ours", []).append(_rates(images, meter["cpu_s"], meter["wall_s"]))
        steps = _rates(images, meter["step_cpu_s"], meter["step_wall_s"])
        rates.setdefault("our steps", []).append(steps)
        for name, (file, heap) in peers.items():
            rates.setdefault(name, []).append(_peer(file, written, path, heap))
        told = {name: round(each[-1]["cpu"], 1) for name, each in rates.items()}
        print(f"round {number + 1}, images per CPU second: {told}", flush=True)
    bars = [
        Bar(f"our steps to the bare loop's, images per {unit} second", ratio, 0.97)
        for unit, ratio in _ratios(rates, "our steps", "bare").items()
    ]
    for peer in ("lightning", "timm"):
        bars += [
            Bar(f"end to end to {peer}, images per {unit} second", ratio, 1.1)
            for unit, ratio in _ratios(rates, "ours", peer).items()
        ]
    found = {
        "model": recipe.model.name,
        "images_per_cpu_s": _medians(rates, "cpu"),
        "images_per_s": _medians(rates, "wall"),
        "with_our_heap": {
            peer: _ratios(rates, "ours", f"{peer}, our heap") for peer in ("lightning", "timm")
        },
    }
    return bars, found


def _workers(options: argparse.Namespace, scratch: Path) -> tuple[list[Bar], dict[str, Any]]:
    """The same global batches; by the clock, in the second of two epochs."""
    path = _drawn(scratch / "films", options.films)
    recipes = [
        _films_recipe(options, scratch, workers=workers, batch_size=64) for workers in (1, 2)
    ]
    if len(os.sched_getaffinity(0)) < len(recipes):
        raise SystemExit("two workers on two cores need two cores; this process may use one")
    rates: dict[str, list[dict[str, float]]] = {"1": [], "2": []}
    for number in range(options.rounds):
        for name, recipe in zip(rates, recipes, strict=True):
            _, meter = _run(recipe, path, scratch)
            rates[name].append({"wall": meter["images_per_s"]})
        told = {name: round(each[-1]["wall"], 1) for name, each in rates.items()}
        print(f"round {number + 1}, images per second by workers: {told}", flush=True)
    ratio = _ratios(rates, "2", "1")["wall"]
    bars = [Bar("two workers on two cores to one on one, images per second", ratio, 1.7)]
    return bars, {"model": recipes[0].model.name, "images_per_s": _medians(rates, "wall")}


def _films_recipe(
    options: argparse.Namespace, scratch: Path, *, workers: int, batch_size: int
) -> Recipe:
    overrides = [
        f"recipe.model={options.model}",
        "recipe.loss=cross_entropy",
        "recipe.phases.0.epochs=2",
        "recipe.phases.0.learning_rate=0.001",
        "recipe.sampling=shuffle",
        "recipe.precision=bf16",
        f"recipe.batch_size={batch_size}",
        f"recipe.scaling.workers={workers}",
    ]
    return _recipe("phantom", scratch, overrides)


def _peer(file: str, recipe: Path, films: Path, heap: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, str(_PEERS / file), str(recipe), str(films)]
    done = subprocess.run(command, env=os.environ | heap, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{file} ended with status {done.returncode}:\n{done.stderr}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return _rates(found["images"], found["cpu_s"], found["wall_s"])


def _rates(images: float, cpu_s: float, wall_s: float) -> dict[str, float]:
    return {"cpu": images / cpu_s, "wall": images / wall_s}


def _ratios(rates: dict[str, list[dict[str, float]]], one: str, other: str) -> dict[str, float]:
    """Median over the rounds, of images per CPU second and of images per second."""
    return {
        unit: statistics.median(
            mine[unit] / theirs[unit] for mine, theirs in zip(rates[one], rates[other], strict=True)
        )
        for unit in rates[one][0]
    }


def _medians(rates: dict[str, list[dict[str, float]]], unit: str) -> dict[str, float]:
    return {
        name: round(statistics.median(each[unit] for each in rows), 1)
        for name, rows in rates.items()
    }


def _drawn(folder: Path, films: int) -> Path:
    """A table of drawn films of 256 px: so many to learn from, a fifth of that to measure."""
    phantom = Phantom(patients=100, size=256, max_films=1)
    drawn = [(sample.read(), sample.label) for sample in phantom]
    rows = [
        Row(
            data=drawn[number % len(drawn)][0],
            mask_png=None,
            label=drawn[number % len(drawn)][1],
            patient=f"P{number}",
            site="drawn",
            split="train" if number < films else "validation",
            width=256,
            height=256,
            sha256=files.sha256(str(number).encode()),
        )
        for number in range(films + films // 5)
    ]
    path = folder / table.NAME
    return table.write(path, rows, classes=("NO", "YES"), name="phantom").path


if __name__ == "__main__":
    main()
