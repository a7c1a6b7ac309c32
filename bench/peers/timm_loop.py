"""
The same network and films by what timm's training script strings together.

    python bench/peers/timm_loop.py RECIPE.yaml TABLE

The script itself is no part of timm's package; loader, optimiser, schedule, meters and checkpoints
are, and are used here in its order.
"""

import tempfile
from collections.abc import Iterable
from typing import Any

import films
import timm.data
import timm.optim
import timm.scheduler
import timm.utils
import torch
from torch import nn

from lucency.config.train import Recipe
from lucency.datasets.table import Table


def main() -> None:
    """Train for the recipe's epochs, each with a validation and a checkpoint."""
    recipe, table = films.arguments()
    train, validation = (_loader(recipe, table, name) for name in ("train", "validation"))
    model = films.network(recipe)
    optimizer = timm.optim.create_optimizer_v2(
        model, opt="adamw", lr=recipe.phases[0].learning_rate, weight_decay=0.01
    )
    scheduler, epochs = timm.scheduler.create_scheduler_v2(
        optimizer, num_epochs=recipe.epochs, updates_per_epoch=len(train)
    )
    with tempfile.TemporaryDirectory() as scratch:
        saver = timm.utils.CheckpointSaver(
            model, optimizer, checkpoint_dir=scratch, recovery_dir=scratch, decreasing=True
        )
        with films.metered(recipe.epochs * len(train) * recipe.batch_size):
            for epoch in range(epochs):
                _train(recipe, model, train, optimizer, scheduler, epoch)
                saver.save_checkpoint(epoch, metric=_measure(recipe, model, validation))
                scheduler.step(epoch + 1)


def _loader(recipe: Recipe, table: Table, split: str) -> Any:
    limits, size = recipe.augmentation, recipe.preprocess.size
    assert limits is not None
    training = split == "train"
    return timm.data.create_loader(
        films.Films(table, split),
        input_size=(1, size, size),
        batch_size=recipe.batch_size,
        is_training=training,
        use_prefetcher=False,  # it is for GPUs
        scale=((1 - limits.zoom) ** 2, 1.0),
        hflip=0.0,
        color_jitter=(limits.brightness, limits.contrast, 0.0) if training else None,
        interpolation="bilinear",
        mean=recipe.preprocess.mean,
        std=recipe.preprocess.std,
        num_workers=0,
        crop_pct=1.0,
        persistent_workers=False,
    )


def _train(
    recipe: Recipe,
    model: nn.Module,
    loader: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    epoch: int,
) -> None:
    model.train()
    losses = timm.utils.AverageMeter()
    for step, (images, labels) in enumerate(loader):
        images_nchw = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
            logits_nk = model(images_nchw)
        loss = films.loss(logits_nk, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.update(loss.item(), len(images))
        scheduler.step_update(num_updates=epoch * len(loader) + step, metric=losses.avg)  # type: ignore[arg-type]


@torch.inference_mode()
def _measure(recipe: Recipe, model: nn.Module, loader: Iterable[Any]) -> float:
    model.eval()
    losses = timm.utils.AverageMeter()
    for images, labels in loader:
        images_nchw = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
            loss = films.loss(model(images_nchw), labels)
        losses.update(loss.item(), len(images))
    return float(losses.avg)


if __name__ == "__main__":
    main()
