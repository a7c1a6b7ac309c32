"""Several processes that learn and measure as one: the same figures, the same weights."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
import torchmetrics.functional as reference
from torch import nn

from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.evaluation import selection
from lucency.models import blocks
from lucency.models.base import Classifier, architectures
from lucency.training import feeding, measure
from lucency.training.beat import Beat
from lucency.training.device import Device
from lucency.training.ranks import Ranks
from lucency.training.step import Learner

CPU = torch.device("cpu")
BATCH = 6  # of 4 ranks two have two films and two have one
RECIPE: dict[str, Any] = {
    "preprocess": {"size": 32, "color": "L", "mean": [0.5], "std": [0.25]},
    "augmentation": None,
    "model": {"name": "small", "width": 8, "blocks": 2, "dropout": 0.0},
    "loss": "bce",
    "optimizer": "sgd",
    "phases": [{"epochs": 1, "learning_rate": 0.1, "batch_norm": "frozen"}],
    "batch_size": BATCH,
    "rule": {"sensitivity_floor": 0.5, "specificity_floor": 0.5},
    "scaling": {"feeding": "cache"},
}


def network(recipe: Recipe) -> Classifier:
    """The same on every rank."""
    torch.manual_seed(0)
    return architectures.build(recipe.model, in_channels=1, outputs=1, side=32)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Six films of noise."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, 1, 32, 32, generator=generator), torch.tensor([0, 1, 1, 0, 1, 1])


def learned(ranks: Ranks, **scaling: Any) -> tuple[Classifier, float]:
    """Weights after a step on this rank's share of the batch, and the batch's loss."""
    recipe = Recipe.from_mapping({**RECIPE, "scaling": {**RECIPE["scaling"], **scaling}}, "test")
    model, phase = network(recipe), recipe.phases[0]
    shares_k = torch.tensor([0.25, 0.75])
    learner = Learner(recipe, phase, model, None, shares_k, Device(recipe, CPU), ranks)
    blocks.modes(model, phase.train, phase.batch_norm)
    images, labels = (each[ranks.rank :: ranks.world] for each in batch())
    loss = learner.step(images, labels, rate=0.1, seed_number=0, done=0)
    return model, Beat(ranks, [model], CPU)([loss], False).losses[0]


def met(ranks: Ranks) -> tuple[nn.Module, list[float], bool, bool]:
    """Statistics after a beat at which rank r has seen 10 + r; who may wish to save."""
    model = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2).eval())
    for layer in model:
        nn.init.constant_(layer.running_mean, 10.0 + ranks.rank)  # type: ignore[arg-type]
    beat = Beat(ranks, [model], CPU)
    losses = [torch.tensor(1.0 + ranks.rank), torch.tensor(0.5)]
    first = beat(losses, ranks.rank == 0)
    other = beat(losses, ranks.rank == ranks.world - 1 and ranks.world > 1)
    return model, first.losses, first.save, other.save


def measured(ranks: Ranks, table: str) -> np.ndarray:
    """Logits of the validation films."""
    recipe = Recipe.from_mapping(RECIPE, "test")
    films = feeding.opened(recipe, Table.open(table), "validation", varied=False)
    model = network(recipe).eval()
    return measure.logits(model, films, Device(recipe, CPU), ranks, batch_size=BATCH, outputs=1)


def everything(ranks: Ranks, table: str) -> dict[str, Any]:
    """What one rank found; plain values and tensors."""
    model, loss = learned(ranks)
    parts, parts_loss = learned(ranks, micro_batch=1)
    statistics, losses, save, other_save = met(ranks)
    return {
        "weights": model.state_dict(),
        "loss": loss,
        "parts": parts.state_dict(),
        "parts_loss": parts_loss,
        "means": [statistics.state_dict()[f"{index}.running_mean"][0].item() for index in (0, 1)],
        "losses": losses,
        "saves": [save, other_save],
        "logits": torch.from_numpy(measured(ranks, table)),
        "told": ranks.told(f"rank {ranks.rank}"),
        "gathered": ranks.gathered(ranks.rank),
    }


@pytest.fixture(scope="module", params=[1, 2, 4])
def found(
    request: pytest.FixtureRequest, table: Table, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What each of 1, 2 and 4 ranks found, each a process of its own."""
    world, folder = request.param, tmp_path_factory.mktemp("ranks")
    if world == 1:
        return [copy.deepcopy(everything(Ranks(), table.source))]
    command = [sys.executable, __file__, str(world), str(folder), table.source]
    crew = [subprocess.Popen([*command, str(rank)]) for rank in range(world)]
    assert [process.wait(240) for process in crew] == [0] * world
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


def test_ranks_learn_as_one(found: list[dict[str, Any]]) -> None:
    """A step on shares of unequal size, in parts or whole, is one rank's step on the batch."""
    model, loss = learned(Ranks())

    for rank in found:
        for kind in ("weights", "parts"):
            torch.testing.assert_close(rank[kind], dict(model.state_dict()), rtol=0, atol=1e-6)
        assert rank["loss"] == pytest.approx(loss, abs=1e-6)
        assert rank["parts_loss"] == pytest.approx(loss, abs=1e-6)
        assert str(rank["weights"]) == str(found[0]["weights"])


def test_step_learns(found: list[dict[str, Any]]) -> None:
    """The step that is compared is not one that changes nothing."""
    before = network(Recipe.from_mapping(RECIPE, "test")).state_dict()

    changed = [
        key for key, value in found[0]["weights"].items() if not torch.equal(value, before[key])
    ]

    assert len(changed) == len(list(network(Recipe.from_mapping(RECIPE, "test")).parameters()))


def test_figures_are_those_of_torchmetrics(found: list[dict[str, Any]], table: Table) -> None:
    """All ranks have the same logits, in the order of the split, and the figures are right."""
    labels_n = table.columns["label"][table.rows("validation")].astype(np.int64)
    alone_nk = measured(Ranks(), table.source)

    for rank in found:
        logits_nk = rank["logits"].numpy()
        figures = selection.figures(labels_n, logits_nk, 0.5, "auto")

        np.testing.assert_allclose(logits_nk, alone_nk, rtol=0, atol=1e-6)
        logits_n, labels = rank["logits"][:, 0], torch.from_numpy(labels_n)
        expected = {
            "auroc": reference.auroc(logits_n.sigmoid(), labels, task="binary"),
            "accuracy": reference.accuracy(logits_n.sigmoid(), labels, task="binary"),
            "sensitivity": reference.recall(logits_n.sigmoid(), labels, task="binary"),
            "specificity": reference.specificity(logits_n.sigmoid(), labels, task="binary"),
        }
        for name, value in expected.items():
            assert value is not None
            assert figures[name] == pytest.approx(float(value), abs=1e-6)


def test_beat_brings_ranks_together(found: list[dict[str, Any]]) -> None:
    """Moving statistics become the ranks' mean, others stay; losses add up; rank 0 wishes."""
    world = len(found)

    for number, rank in enumerate(found):
        assert rank["means"] == [10 + (world - 1) / 2, 10 + number]
        assert rank["losses"] == [sum(range(1, world + 1)), 0.5 * world]
        assert rank["saves"] == [True, False]


def test_rank_0_speaks_and_all_are_heard(found: list[dict[str, Any]]) -> None:
    """What is told is rank 0's; what is gathered comes by rank."""
    for rank in found:
        assert rank["told"] == "rank 0"
        assert rank["gathered"] == list(range(len(found)))


if __name__ == "__main__":
    world, folder, table_path, rank = sys.argv[1:]
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=int(rank), world_size=int(world)
    )
    torch.save(everything(Ranks(int(rank), int(world)), table_path), Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()
