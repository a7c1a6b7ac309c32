"""The training loop that runs on every worker: phases, epochs, measuring, reporting."""

import resource
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
from torch import nn

from lucency import files, seed
from lucency.config.train import Phase, Recipe
from lucency.datasets.table import Table
from lucency.errors import TrainingError
from lucency.evaluation import selection
from lucency.evaluation.selection import SCORE
from lucency.learning.losses import losses
from lucency.learning.optimizers import optimizers
from lucency.learning.schedules import schedules
from lucency.models.base import Classifier, architectures
from lucency.training import checkpoint, feeding, order
from lucency.training.checkpoint import State
from lucency.training.order import EpochOrder

PROGRESS = "progress.json"
HISTORY = "history.json"
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
    worker = _Worker(recipe, Table.open(job.table), Path(job.folder), context)
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
        self.train = feeding.opened(recipe, table, "train", varied=True)
        self.validation = feeding.opened(recipe, table, "validation", varied=False)
        self.classes = len(table.classes)
        counts = np.bincount(self.train.labels, minlength=self.classes)
        self.shares_k = torch.from_numpy(counts / counts.sum()).float().to(self.device)
        seed.seed_process(recipe.seed)
        torch.manual_seed(seed.derive(recipe.seed, "weights"))
        self.model: Classifier = architectures.build(
            recipe.model,
            in_channels=recipe.preprocess.channels,
            outputs=selection.outputs(self.classes),
            side=recipe.preprocess.size,
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
            figures, logits_nk = self._measure()
            self.state = State(
                epoch=epoch + 1,
                phase=index,
                model=checkpoint.cpu_state(self.model),
                optimizer=optimizer.state_dict(),
                sampler=self._order(epoch + 1).position(),
                history=[
                    *self.state.history,
                    {
                        "epoch": epoch + 1,
                        "train_loss": loss,
                        **figures,
                        "learning_rate": rate,
                        "images_per_s": len(self.train) / train_s,
                        "seconds": time.monotonic() - began,
                        "memory_mib": self._peak_memory_mib(),
                    },
                ],
                logits=torch.from_numpy(logits_nk).float(),
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
        planned = self._order(epoch)
        start = planned.start(self.state.sampler)
        steps = planned.steps * phase.epochs
        total, shown, rate = 0.0, 0.0, 0.0
        mine = planned.batches(start, rank=self.rank, world=self.world)
        for step, (inputs, labels, places) in enumerate(self.train.batches(mine, epoch), start):
            done = epoch_of_phase * planned.steps + step
            rate = phase.learning_rate * schedules.build(phase.schedule, done, steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            images_nchw = torch.from_numpy(inputs).to(
                self.device, memory_format=torch.channels_last
            )
            with self._autocast():
                logits_nk = model(images_nchw)
            labels_n = torch.from_numpy(labels).to(self.device)
            loss = losses.build(recipe.loss, logits_nk.float(), labels_n, self.shares_k)
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
                self._show(epoch, (step + 1) / planned.steps, value)
        return total / (planned.steps - start), rate

    @torch.inference_mode()
    def _measure(self) -> tuple[dict[str, float], np.ndarray]:
        """Figures and logits of the whole validation split, every film counted once."""
        self.model.eval()
        batches = order.shard(
            len(self.validation), self.recipe.batch_size, rank=self.rank, world=self.world
        )
        places: list[np.ndarray] = []
        logits: list[np.ndarray] = []
        for inputs, _, where in self.validation.batches(batches):
            images_nchw = torch.from_numpy(inputs).to(
                self.device, memory_format=torch.channels_last
            )
            with self._autocast():
                outputs = self.model(images_nchw)
            places.append(where)
            logits.append(outputs.float().cpu().numpy())
        # A rank without films, where there are more workers than films, still takes part.
        mine = (
            np.concatenate([np.empty(0, dtype=np.int64), *places]),
            np.concatenate([np.empty((0, selection.outputs(self.classes))), *logits]),
        )
        parts: list[Any] = [mine]
        if self.world > 1:
            parts = [None] * self.world
            torch.distributed.all_gather_object(parts, mine)
        logits_nk = order.merge(parts, len(self.validation))
        figures = selection.figures(
            self.validation.labels,
            logits_nk,
            self.recipe.rule.specificity_floor,
            self.recipe.selection,
        )
        return figures, logits_nk

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

    def _peak_memory_mib(self) -> float:
        """Of the GPU where there is one, else of this process."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    def _order(self, epoch: int) -> EpochOrder:
        recipe = self.recipe
        return EpochOrder(
            self.train.split,
            batch_size=recipe.batch_size,
            sampling=recipe.sampling,
            window=recipe.shuffle_window,
            seed_number=recipe.seed,
            epoch=epoch,
        )

    def _autocast(self) -> Any:
        if self.recipe.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)
