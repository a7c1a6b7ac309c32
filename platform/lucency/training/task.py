"""What a recipe and a table make together: films to learn from, their order, the network."""

from typing import Any

import torch

from lucency import seed
from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.evaluation import selection
from lucency.models.base import Classifier, architectures
from lucency.training import feeding
from lucency.training.order import EpochOrder


class Task:
    """
    The same on every rank.

    Attributes:
        films: The train split, varied.
        validation: The validation split, as it is.
        outputs: Logits a film.
    """

    def __init__(self, recipe: Recipe, table: Table) -> None:
        self.recipe = recipe
        self.films = feeding.opened(recipe, table, "train", varied=True)
        self.validation = feeding.opened(recipe, table, "validation", varied=False)
        self.outputs = selection.outputs(len(table.classes))
        self._table = table

    def network(self, weights: dict[str, Any]) -> Classifier:
        """With these weights, or as the recipe's seed initialises it where there are none."""
        seed.seed_process(self.recipe.seed)
        torch.manual_seed(seed.derive(self.recipe.seed, "weights"))
        model = architectures.build(
            self.recipe.model,
            in_channels=self.recipe.preprocess.channels,
            outputs=self.outputs,
            side=self.recipe.preprocess.size,
        )
        if weights:
            model.load_state_dict(weights)
        return model

    def shares(self) -> torch.Tensor:
        """Share of each class among the training films, k."""
        labels_n = torch.from_numpy(self.films.labels)
        counts = torch.bincount(labels_n, minlength=len(self._table.classes))
        return (counts / counts.sum()).float()

    def order(self, epoch: int) -> EpochOrder:
        """Of the training films in one epoch, from 0."""
        return EpochOrder(
            self.films.split,
            batch_size=self.recipe.batch_size,
            sampling=self.recipe.sampling,
            window=self.recipe.shuffle_window,
            seed_number=self.recipe.seed,
            epoch=epoch,
        )

    def batch(self, planned: EpochOrder, step: int) -> list[str]:
        """SHA-256 of each film of a step, those of all ranks."""
        films = self._table.columns["sha256"][self._table.rows("train")]
        return [str(film) for film in films[planned.batches(step)[0]]]
