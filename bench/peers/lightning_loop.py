"""
The same network and films by Lightning's Trainer as it comes, without a logger's web page.

    python bench/peers/lightning_loop.py RECIPE.yaml TABLE
"""

import tempfile
import warnings

import films
import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lucency.config.train import Recipe


class Module(lightning.LightningModule):
    """A network, its loss and its optimiser."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.model = films.network(recipe)

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Loss of a batch."""
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Log the loss of a batch."""
        self.log("validation_loss", self._loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW at the recipe's rate."""
        rate = self.recipe.phases[0].learning_rate
        return torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=0.01)

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        images_nchw, labels_n = batch
        images_nchw = images_nchw.contiguous(memory_format=torch.channels_last)
        return films.loss(self.model(images_nchw), labels_n)


def main() -> None:
    """Train for the recipe's epochs, each with a validation and a checkpoint."""
    warnings.filterwarnings("ignore", message=".*num_workers|.*log_every_n_steps")
    recipe, table = films.arguments()
    train = films.Films(table, "train", films.varied(recipe))
    validation = films.Films(table, "validation", films.plain(recipe))
    size = recipe.batch_size
    loaders = (
        DataLoader(train, size, shuffle=True, drop_last=True),
        DataLoader(validation, size),
    )
    with tempfile.TemporaryDirectory() as scratch:
        trainer = lightning.Trainer(
            max_epochs=recipe.epochs,
            accelerator="cpu",
            devices=1,
            precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
            default_root_dir=scratch,
        )
        with films.metered(recipe.epochs * (len(train) // size * size)):
            trainer.fit(Module(recipe), *loaders)


if __name__ == "__main__":
    main()
