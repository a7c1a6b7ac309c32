"""
What the peers of ``bench/training.py`` share: its films as torchvision is given them, its meter.

Films lie encoded in memory and are decoded when asked for, as a folder of files in the page cache
would be. Geometry is one affine transform and films have one channel: the faster forms.
"""

import io
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # optimisers import it when they are first built: no part of training
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import transforms

from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.evaluation import selection
from lucency.models.base import Classifier, architectures


class Films(Dataset[tuple[Any, int]]):
    """One split; ``transform`` may be set later, as timm does."""

    def __init__(self, table: Table, split: str, transform: Any = None) -> None:
        rows = table.rows(split)
        self.transform = transform
        self._encoded = table.images(rows)
        self._labels = table.columns["label"][rows].tolist()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, place: int) -> tuple[Any, int]:
        image = Image.open(io.BytesIO(self._encoded[place])).convert("L")
        return self.transform(image), self._labels[place]


def arguments() -> tuple[Recipe, Table]:
    """Of the command line: a recipe's file and a table's folder. One thread, on one core."""
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    recipe = Recipe.from_file(Path(sys.argv[1]))
    torch.manual_seed(recipe.seed)
    return recipe, Table.open(sys.argv[2])


def network(recipe: Recipe) -> Classifier:
    """The platform's own network, for two classes, in its layout."""
    model: Classifier = architectures.build(
        recipe.model,
        in_channels=recipe.preprocess.channels,
        outputs=selection.outputs(2),
        side=recipe.preprocess.size,
    )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def varied(recipe: Recipe) -> transforms.Compose:
    """The recipe's augmentation in torchvision's words."""
    limits, size = recipe.augmentation, recipe.preprocess.size
    assert limits is not None
    return transforms.Compose(
        [
            transforms.RandomAffine(
                limits.rotate_degrees,
                (limits.shift, limits.shift),
                (1 - limits.zoom, 1 + limits.zoom),
                interpolation=transforms.InterpolationMode.BILINEAR,
            ),
            transforms.Resize((size, size)),
            transforms.ColorJitter(limits.brightness, limits.contrast),
            *_to_tensor(recipe),
        ]
    )


def plain(recipe: Recipe) -> transforms.Compose:
    """The same without variation."""
    size = recipe.preprocess.size
    return transforms.Compose([transforms.Resize((size, size)), *_to_tensor(recipe)])


def _to_tensor(recipe: Recipe) -> list[Any]:
    normalise = transforms.Normalize(recipe.preprocess.mean, recipe.preprocess.std)
    return [transforms.ToTensor(), normalise]


def loss(logits_nk: Tensor, labels_n: Tensor) -> Tensor:
    """Cross-entropy of the one logit that two classes have."""
    return nn.functional.binary_cross_entropy_with_logits(logits_nk[:, 0].float(), labels_n.float())


@contextmanager
def metered(images: int) -> Iterator[None]:
    """Print, as the last line, what the block took to learn from so many images."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    yield
    found = {
        "images": images,
        "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.perf_counter() - wall_s,
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }
    print(json.dumps(found), flush=True)
