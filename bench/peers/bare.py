"""
The platform's step and nothing else: batches assembled beforehand, no loader, no measuring.

    python bench/peers/bare.py RECIPE.yaml TABLE
"""

import tempfile
from pathlib import Path

import films
import torch

from lucency.learning.optimizers import optimizers
from lucency.models import blocks
from lucency.training.cache import Cached
from lucency.training.feed import Renderer
from lucency.training.order import EpochOrder


def main() -> None:
    """Train for the recipe's epochs on one epoch's batches."""
    recipe, table = films.arguments()
    renderer = Renderer(recipe.preprocess, recipe.augmentation, recipe.seed)
    with tempfile.TemporaryDirectory() as scratch:
        feed = Cached(table, "train", renderer, folder=Path(scratch), threads=1)
        order = EpochOrder(
            feed.split,
            batch_size=recipe.batch_size,
            sampling=recipe.sampling,
            window=recipe.shuffle_window,
            seed_number=recipe.seed,
            epoch=0,
        )
        batches = [
            (
                torch.from_numpy(batch.inputs).contiguous(memory_format=torch.channels_last),
                torch.from_numpy(batch.labels),
            )
            for batch in feed.batches(order.batches())
        ]
    model = films.network(recipe).train()
    rate = recipe.phases[0].learning_rate
    optimizer = optimizers.build(recipe.optimizer, blocks.groups(model, 1.0), rate)
    with films.metered(recipe.epochs * len(batches) * recipe.batch_size):
        for images_nchw, labels_n in recipe.epochs * batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
                logits_nk = model(images_nchw)
            optimizer.zero_grad(set_to_none=True)
            films.loss(logits_nk, labels_n).backward()
            optimizer.step()


if __name__ == "__main__":
    main()
