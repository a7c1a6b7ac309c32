"""The training loop that runs on every worker: phases, epochs, measuring, reporting."""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import ray.train.torch
import torch
import torch.distributed
import torch.nn.functional as F
from torch import nn

from lucency import files, seed
from lucency.config.train import Phase, Recipe
from lucency.datasets.table import Table
from lucency.errors import TrainingError
from lucency.evaluation import metrics, rule
from lucency.learning.losses import losses
from lucency.learning.optimizers import optimizers, warm_up_cosine
from lucency.models.base import PooledClassifier, architectures
from lucency.training import checkpoint, data
from lucency.training.checkpoint import State
from lucency.training.data import Films

PROGRESS = "progress.json"
HISTORY = "history.json"
SCORE = "score"
_PROGRESS_EVERY_S = 0.5


@dataclass(frozen=True)
class Job:
    """What every worker is told; plain values, because Ray carries it to other machines."""

    recipe: dict[str, Any]
    table: str
    folder: str


def run(settings: dict[str, Any]) -> None:
    """
    Train to the end of the recipe, from the last checkpoint if there is one.

    Args:
        settings: A ``Job`` as a mapping, which is what Ray hands over.

    Raises:
        TrainingError: the loss is no longer a finite number.
    """
    job = Job(**settings)
    recipe = Recipe.from_mapping(job.recipe, "recipe")
    context = ray.train.get_context()
    worker = _Worker(recipe, Table.open(Path(job.table)), Path(job.folder), context)
    state = worker.state
    first = 0
    for index, phase in enumerate(recipe.phases):
        last = first + phase.epochs
        if state.epoch < last and not stopped(state.history, recipe.patience):
            worker.run_phase(index, phase, first)
        first = last


def stopped(history: list[dict[str, float]], patience: int) -> bool:
    """True once the best score is ``patience`` epochs old."""
    scores = [row[SCORE] for row in history]
    return bool(scores) and len(scores) - 1 - int(np.argmax(scores)) >= patience


def score(sensitivity: float, loss: float) -> float:
    """
    The one number that Ray ranks checkpoints by: sensitivity at the specificity floor.

    Equal sensitivities are told apart by the loss, in the fifth decimal place.
    """
    return sensitivity - 1e-5 * min(loss, 10.0)


class _Worker:
    """One rank: its model, its share of the films and what it has learned so far."""

    def __init__(
        self, recipe: Recipe, table: Table, folder: Path, context: ray.train.TrainContext
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.rank = context.get_world_rank()
        self.world = context.get_world_size()
        self.device = ray.train.torch.get_device()
        self.train = Films(table, "train", recipe.preprocess, recipe.augmentation, recipe.seed)
        self.validation = Films(table, "validation", recipe.preprocess, None, recipe.seed)
        self.positive_share = float(self.train.labels.mean())
        seed.seed_process(recipe.seed)
        torch.manual_seed(seed.derive(recipe.seed, "weights"))
        self.model: PooledClassifier = architectures.build(
            recipe.model, in_channels=recipe.preprocess.channels, outputs=1
        )
        self.state = checkpoint.restore() or State()
        if self.state.model:
            self.model.load_state_dict(self.state.model)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run_phase(self, index: int, phase: Phase, first_epoch: int) -> None:
        """All epochs of a phase that are not done yet."""
        self.model.features.requires_grad_(phase.train == "all")
        # Wrapped anew in each phase: DDP fixes at construction which gradients it waits for.
        wrapped = ray.train.torch.prepare_model(self.model) if self.world > 1 else self.model
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = optimizers.build(self.recipe.optimizer, trainable, phase.learning_rate)
        if self.state.optimizer and self.state.phase == index:
            optimizer.load_state_dict(self.state.optimizer)
        start = max(self.state.epoch, first_epoch)
        for epoch in range(start, first_epoch + phase.epochs):
            began = time.monotonic()
            loss, rate = self._train_epoch(wrapped, optimizer, phase, epoch, epoch - first_epoch)
            train_s = time.monotonic() - began
            figures = self._measure()
            self.state = State(
                epoch=epoch + 1,
                phase=index,
                model=checkpoint.cpu_state(self.model),
                optimizer=optimizer.state_dict(),
                history=[
                    *self.state.history,
                    {
                        "epoch": epoch + 1,
                        "train_loss": loss,
                        **figures,
                        "learning_rate": rate,
                        "images_per_s": len(self.train) / train_s,
                        "seconds": time.monotonic() - began,
                    },
                ],
            )
            self._report()
            if stopped(self.state.history, self.recipe.patience):
                return

    def _train_epoch(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        phase: Phase,
        epoch: int,
        epoch_of_phase: int,
    ) -> tuple[float, float]:
        recipe = self.recipe
        # Dropout is drawn from here on: the same after a restart as without one.
        torch.manual_seed(seed.derive(recipe.seed, "epoch", epoch, self.rank))
        model.train()
        if phase.train == "head":
            self.model.features.eval()
        order = data.EpochOrder(
            len(self.train), recipe.batch_size, self.rank, self.world, recipe.seed, epoch
        )
        steps = len(order) * phase.epochs
        total, shown, rate = 0.0, 0.0, 0.0
        batches = data.loader(self.train, order, recipe.scaling.loader_processes)
        for step, (inputs, labels, places) in enumerate(batches):
            done = epoch_of_phase * len(order) + step
            rate = phase.learning_rate * warm_up_cosine(done, steps, int(phase.warm_up * steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            images_nchw = inputs.to(self.device, memory_format=torch.channels_last)
            with self._autocast():
                logits_n = model(images_nchw)[:, 0]
            loss = losses.build(
                recipe.loss, logits_n.float(), labels.to(self.device), self.positive_share
            )
            value = float(loss.detach())
            if not np.isfinite(value):
                raise TrainingError(
                    f"the loss is {value} in epoch {epoch + 1}, step {step + 1}, films "
                    f"{places.tolist()[:8]} of the train split; the last checkpoint is good. "
                    "Lower the learning rate"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += value
            if self.rank == 0 and time.monotonic() - shown > _PROGRESS_EVERY_S:
                shown = time.monotonic()
                self._show(epoch, (step + 1) / len(order), value)
        return total / len(order), rate

    @torch.inference_mode()
    def _measure(self) -> dict[str, float]:
        """Figures over the whole validation split, every film counted once."""
        self.model.eval()
        batches = data.Shard(len(self.validation), self.recipe.batch_size, self.rank, self.world)
        places: list[np.ndarray] = []
        logits: list[np.ndarray] = []
        for inputs, _, where in data.loader(
            self.validation, batches, self.recipe.scaling.loader_processes
        ):
            images_nchw = inputs.to(self.device, memory_format=torch.channels_last)
            with self._autocast():
                outputs = self.model(images_nchw)[:, 0]
            places.append(where.numpy())
            logits.append(outputs.float().cpu().numpy())
        # A rank without films, where there are more workers than films, still takes part.
        mine = (
            np.concatenate([np.empty(0, dtype=np.int64), *places]),
            np.concatenate([np.empty(0), *logits]),
        )
        parts: list[Any] = [mine]
        if self.world > 1:
            parts = [None] * self.world
            torch.distributed.all_gather_object(parts, mine)
        return figures(
            self.validation.labels,
            data.merge(parts, len(self.validation)),
            self.recipe.rule.specificity_floor,
        )

    def _report(self) -> None:
        row = self.state.history[-1]
        ranked = {SCORE: row[SCORE], "epoch": row["epoch"]}
        if self.rank:
            ray.train.report(ranked)
            return
        files.write_json(self.folder / HISTORY, self.state.history)
        self._show(self.state.epoch, 0.0, row["train_loss"])
        with checkpoint.saved(self.state) as saved:
            ray.train.report(
                ranked, checkpoint=saved, checkpoint_dir_name=f"epoch_{self.state.epoch:03d}"
            )

    def _show(self, epoch: int, share: float, loss: float) -> None:
        done = int((epoch + share) * len(self.train))
        files.write_json(self.folder / PROGRESS, {"done": done, "loss": loss})

    def _autocast(self) -> Any:
        if self.recipe.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def figures(
    labels_n: np.ndarray, logits_n: np.ndarray, specificity_floor: float
) -> dict[str, float]:
    """
    One epoch's figures: loss (nats), AUROC, sensitivity and specificity at probability 0.5,
    sensitivity at the specificity floor, and the score that ranks the epoch.
    """
    scores = torch.from_numpy(logits_n)
    labels = torch.from_numpy(labels_n.astype(np.float64))
    loss = float(F.binary_cross_entropy_with_logits(scores, labels))
    positives = logits_n[labels_n == 1]
    negatives = logits_n[labels_n == 0]
    sensitivity = rule.sensitivity_at_specificity(labels_n, logits_n, specificity_floor)
    return {
        "validation_loss": loss,
        "auroc": metrics.auroc(labels_n, logits_n),
        "sensitivity": float((positives >= 0).mean()),
        "specificity": float((negatives < 0).mean()),
        "sensitivity_at_specificity": sensitivity,
        SCORE: score(sensitivity, loss),
    }
