"""
Learning curves of many small trials, recorded once for ``bench/search.py`` to replay.

    python bench/search_curves.py FOLDER --npz NPZ_FILE --rows CSV [--trials 240]
    python bench/search_curves.py FOLDER --drawn 3000 [--trials 240]

A plain loop with a network of three layers over the platform's data sets, preprocessing and
augmentation, one process and one thread: only the curves are wanted, not a run's records.
Hyperparameters are drawn over ranges with bad ends, so some trials diverge, some start slowly and
many learn nothing. Few patients are trained on (PneumoniaMNIST's train and validation, never its
test); the logits of all others are kept after every epoch, one npz a trial. Begun again, it goes on
with the trials that are missing.
"""

import argparse
import json
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lucency import files, seed
from lucency.augment import Augmentation
from lucency.augment.augmenter import Augmenter
from lucency.datasets.base import Sample
from lucency.datasets.medmnist import MedMnist
from lucency.datasets.phantom import Phantom
from lucency.preprocess import Preprocess

EPOCHS = 12
_SIDE = 28
_PREPROCESS = Preprocess(size=_SIDE, mean=(0.57,), std=(0.17,))


def main() -> None:
    """Record what is missing and say how long a trial took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--npz", type=Path, help="PneumoniaMNIST, 28 px")
    source.add_argument("--drawn", type=int, help="patients of drawn films")
    parser.add_argument("--rows", type=Path, help="CSV with the patient of each row")
    parser.add_argument("--share", type=float, default=0.15, help="of patients to train on")
    parser.add_argument("--trials", type=int, default=240)
    options = parser.parse_args()
    torch.set_num_threads(1)
    films = _films(options)
    cost = []
    for trial in range(options.trials):
        path = options.folder / f"trial_{trial:03d}.npz"
        if path.exists():
            continue
        began = time.process_time()
        drawn = draw(trial)
        logits = train(drawn, trial, *films[:2], films[2])
        with files.atomic_file(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, logits=logits, drawn=json.dumps(drawn))
        cost.append(time.process_time() - began)
        print(f"trial {trial}: {cost[-1]:.1f} CPU s, {drawn}", flush=True)
    if cost:
        print(json.dumps({"recorded": len(cost), "cpu_s_per_trial": float(np.mean(cost))}))


def draw(trial: int) -> dict[str, Any]:
    """The hyperparameters of a trial."""
    generator = seed.generator(0, "search curves", trial)
    return {
        "learning_rate": float(10 ** generator.uniform(-5, 0)),
        "weight_decay": float(10 ** generator.uniform(-4, 0.5)),
        "width": int(generator.choice([4, 8, 12])),
        "dropout": float(generator.uniform(0, 0.6)),
        "augmentation": float(generator.uniform(0, 1.5)),
        "batch_size": int(generator.choice([48, 96, 192])),
        "label_smoothing": float(generator.uniform(0, 0.3)),
        "optimizer": str(generator.choice(["adamw", "sgd"])),
        "schedule": str(generator.choice(["cosine", "constant"])),
    }


def train(
    drawn: dict[str, Any],
    trial: int,
    working: list[np.ndarray],
    labels_n: np.ndarray,
    chosen_n: np.ndarray,
) -> np.ndarray:
    """Logits of the films that are not ``chosen`` after every epoch, float32 epochs x films."""
    torch.manual_seed(seed.derive(0, "search trial", trial))
    network = _network(drawn["width"], drawn["dropout"])
    optimizer = _optimizer(drawn, network)
    mine, others = np.flatnonzero(chosen_n), np.flatnonzero(~chosen_n)
    held_out = torch.from_numpy(np.stack([_PREPROCESS.tensor(working[each]) for each in others]))
    augmenter = Augmenter(_augmentation(drawn["augmentation"]), _PREPROCESS)
    size = drawn["batch_size"]
    steps = EPOCHS * math.ceil(len(mine) / size)
    found, step = [], 0
    for epoch in range(EPOCHS):
        network.train()
        order = seed.generator(trial, "order", epoch).permutation(mine)
        for first in range(0, len(order), size):
            places = order[first : first + size]
            images = torch.from_numpy(
                np.stack(
                    [
                        augmenter(working[place], seed.derive(trial, epoch, int(place)))
                        for place in places
                    ]
                )
            )
            for group in optimizer.param_groups:
                group["lr"] = _rate(drawn, step, steps)
            smooth = drawn["label_smoothing"]
            targets = torch.from_numpy(labels_n[places]).float() * (1 - smooth) + smooth / 2
            loss = F.binary_cross_entropy_with_logits(network(images)[:, 0], targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        found.append(_measure(network, held_out))
    return np.stack(found)


def _films(options: argparse.Namespace) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Working films, labels and which are trained on; labels and patients of the rest are kept."""
    samples = list(_samples(options))
    patients = sorted({sample.patient for sample in samples})
    drawn = seed.generator(0, "search patients").permutation(patients)
    mine = set(drawn[: round(options.share * len(patients))].tolist())
    chosen_n = np.array([sample.patient in mine for sample in samples])
    labels_n = np.array([sample.label for sample in samples])
    known = {patient: code for code, patient in enumerate(patients)}
    codes_n = np.array([known[sample.patient] for sample in samples])
    options.folder.mkdir(parents=True, exist_ok=True)
    with files.atomic_file(options.folder / "films.npz") as path, path.open("wb") as stream:
        np.savez(stream, labels=labels_n[~chosen_n], patients=codes_n[~chosen_n])
    working = [_PREPROCESS.working(sample.read()) for sample in samples]
    print(f"{chosen_n.sum()} films to train on, {(~chosen_n).sum()} to measure on", flush=True)
    return working, labels_n, chosen_n


def _samples(options: argparse.Namespace) -> Iterable[Sample]:
    if options.drawn:
        return Phantom(patients=options.drawn, size=64, max_films=2)
    return (
        sample for sample in MedMnist(path=options.npz, rows=options.rows) if sample.split != "test"
    )


def _network(width: int, dropout: float) -> nn.Module:
    """Patches of 4 px, then a 3x3 convolution: a tenth of a second an epoch on one core."""
    return nn.Sequential(
        nn.Conv2d(1, width, 4, stride=4),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * width * 16, 1),
    )


def _augmentation(strength: float) -> Augmentation:
    return Augmentation(
        rotate_degrees=min(15.0, 10 * strength),
        zoom=0.12 * strength,
        keep_aspect=False,
        shift=0.08 * strength,
        brightness=0.2 * strength,
        contrast=0.2 * strength,
    )


def _optimizer(drawn: dict[str, Any], network: nn.Module) -> torch.optim.Optimizer:
    rate, decay = drawn["learning_rate"], drawn["weight_decay"]
    if drawn["optimizer"] == "adamw":
        return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    # The decay of SGD is added to the gradient: a hundredth has a comparable effect.
    return torch.optim.SGD(
        network.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=decay / 100
    )


def _rate(drawn: dict[str, Any], step: int, steps: int) -> float:
    peak = float(drawn["learning_rate"])
    if drawn["schedule"] == "constant":
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * step / steps))


@torch.no_grad()
def _measure(network: nn.Module, images_nchw: torch.Tensor) -> np.ndarray:
    network.eval()
    logits = torch.cat([network(part)[:, 0] for part in images_nchw.split(256)]).numpy()
    # A trial that diverged calls every film alike.
    return np.nan_to_num(logits, nan=0.0, posinf=1e4, neginf=-1e4).astype(np.float32)


if __name__ == "__main__":
    main()
