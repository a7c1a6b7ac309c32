"""A network that was trained for a moment: its figures are no chance, and no more than that."""

import numpy as np
import torch

from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.models.base import PooledClassifier, architectures


def learned(recipe: Recipe, table: Table) -> tuple[PooledClassifier, float]:
    """The network, of two classes, and the logit that halves its training films."""
    torch.manual_seed(0)
    model = architectures.build(recipe.model, in_channels=1, outputs=1, side=recipe.preprocess.size)
    assert isinstance(model, PooledClassifier)
    rows = table.rows("train")
    films = torch.from_numpy(np.stack([recipe.preprocess(film) for film in table.images(rows)]))
    labels = torch.from_numpy(table.columns["label"][rows].astype(np.float32))[:, None]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(films), labels)
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        return model, float(model.eval()(films).median())
