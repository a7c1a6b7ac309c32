"""The training loop that runs on every worker: phases, epochs, steps, measuring, saving."""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch

from lucency import seed
from lucency.config.train import Phase, Recipe
from lucency.datasets.table import Table
from lucency.errors import TrainingError
from lucency.evaluation import selection
from lucency.evaluation.selection import SCORE
from lucency.learning.schedules import At, schedules
from lucency.models import blocks
from lucency.training import beat, checkpoint, failure, gauges, measure, referee
from lucency.training.average import Average
from lucency.training.beat import Beat
from lucency.training.checkpoint import RayReports, Reports
from lucency.training.device import Device
from lucency.training.failure import FAILED
from lucency.training.keeper import HISTORY, Keeper
from lucency.training.order import EpochOrder
from lucency.training.pace import PROGRESS, Pace, Tally
from lucency.training.ranks import Ranks
from lucency.training.referee import STOPPED
from lucency.training.step import Learner
from lucency.training.task import Task

__all__ = ["FAILED", "HISTORY", "PROGRESS", "STOPPED", "Job", "Worker", "run", "stopped", "train"]


@dataclass(frozen=True)
class Job:
    """
    What every worker is told; plain values, because Ray carries it to other machines.

    Attributes:
        folder: Of the run; every worker can read and write it.
        referee: Name of the actor that judges this trial of a search.
    """

    recipe: dict[str, Any]
    table: str
    folder: str
    referee: str | None = None


def run(settings: dict[str, Any]) -> None:
    """
    What Ray Train calls on every worker.

    Args:
        settings: A ``Job`` as a mapping, which is what Ray hands over.
    """
    context = ray.train.get_context()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    train(Job(**settings), ranks, ray.train.torch.get_device(), RayReports())


def train(job: Job, ranks: Ranks, device: torch.device, reports: Reports) -> None:
    """
    Train to the end of the recipe, from the last checkpoint if there is one.

    What a restart can't cure ends in ``failed.json`` and in a normal return on every rank, so
    that Ray Train tries nothing again.
    """
    folder = Path(job.folder)
    if ranks.first:
        with suppress(OSError):  # of an attempt before this one
            (folder / FAILED).unlink(missing_ok=True)
    try:
        Worker(job, ranks, device, reports).work()
    except TrainingError as error:
        # Raised by all ranks or by none: what one alone meets is an error of another kind.
        if ranks.first:
            failure.note(folder, error)


def stopped(history: list[dict[str, float]], patience: int, min_change: float = 0.0) -> bool:
    """True once the best score is ``patience`` epochs old; it must be beaten by ``min_change``."""
    best, age = -torch.inf, 0
    for row in history:
        better = row[SCORE] > best + min_change
        best, age = (row[SCORE], 0) if better else (best, age + 1)
    return age >= patience


class Worker:
    """One rank: its networks, its share of the films, how far the run is."""

    def __init__(self, job: Job, ranks: Ranks, device: torch.device, reports: Reports) -> None:
        self.folder = Path(job.folder)
        self.referee = job.referee
        self.recipe = recipe = Recipe.from_mapping(job.recipe, "recipe")
        self.ranks = ranks
        self.device = Device(recipe, device)
        self.task = Task(recipe, Table.open(job.table))
        self.keeper = Keeper(self.folder, recipe.scaling, ranks, reports)
        self.state = self.keeper.restored()
        self.model = self.task.network(self.state.model)
        self.device.holding(self.model)
        self.average = Average(self.model, recipe.ema_decay) if recipe.ema_decay else None
        if self.average and self.state.ema:
            self.average.model.load_state_dict(self.state.ema)
        self.state.model, self.state.ema = {}, None  # they live in the networks now

    def work(self) -> None:
        """All phases that are not done yet."""
        state, first = self.state, 0
        # Killed between an epoch's checkpoint and its verdict, a trial asks for it again.
        ended = state.epoch > 0 and not state.tally and self._ended()
        for index, phase in enumerate(self.recipe.phases):
            last = first + phase.epochs
            if state.epoch < last and not ended:
                ended = self._phase(index, phase, first)
            first = last

    def _phase(self, index: int, phase: Phase, first: int) -> bool:
        """All epochs of a phase that are not done yet; true if the run ends there."""
        state = self.state
        shares_k = self.task.shares().to(self.device.torch)
        learner = Learner(
            self.recipe, phase, self.model, self.average, shares_k, self.device, self.ranks
        )
        if state.optimizer and state.phase == index:
            learner.restore(state.optimizer, state.scaler)
        state.phase = index
        for epoch in range(max(state.epoch, first), first + phase.epochs):
            row = self._epoch(learner, phase, epoch, first)
            state.epoch, state.tally = epoch + 1, {}
            state.history = [*state.history, row]
            self._save(learner, self.task.order(epoch + 1).position())
            if self.ranks.first:
                gauges.publish(self.folder.name, row)
            if self._ended():
                return True
        return False

    def _epoch(self, learner: Learner, phase: Phase, epoch: int, first: int) -> dict[str, float]:
        """Train, measure, and sum it up in a row of the history."""
        energy_j = self.device.energy_j()
        planned = self.task.order(epoch)
        tally, rate = self._steps(learner, phase, planned, first)
        films = planned.steps * self.recipe.batch_size
        began = time.monotonic()
        figures = self._measure()
        measure_s = time.monotonic() - began
        return {
            "epoch": epoch + 1,
            "train_loss": tally.loss / planned.steps,
            **figures,
            "learning_rate": rate,
            "images_per_s": films / max(1e-9, tally.seconds),
            "wait_s": tally.wait_s,
            "compute_s": tally.seconds - tally.wait_s,
            "measure_s": measure_s,
            "seconds": tally.seconds + measure_s,
            "memory_mib": self.device.peak_memory_mib(),
            "workers": float(self.ranks.world),
            **self._energy(energy_j),
        }

    def _steps(
        self, learner: Learner, phase: Phase, planned: EpochOrder, first: int
    ) -> tuple[Tally, float]:
        """The steps of an epoch that are not done yet, and the last one's learning rate."""
        recipe, ranks, epoch, rate = self.recipe, self.ranks, planned.epoch, 0.0
        start = planned.start(self.state.sampler)
        scores = tuple(row[SCORE] for row in self.state.history[first:])
        places = planned.batches(start, rank=ranks.rank, world=ranks.world)
        blocks.modes(self.model, phase.train, phase.batch_norm)
        meet = Beat(ranks, self._networks(), self.device.torch)
        pace = Pace(self.folder if ranks.first else None, Tally(**self.state.tally))
        batches = iter(self.task.films.batches(places, epoch))
        losses: list[torch.Tensor] = []
        for step in range(start, planned.steps):
            with pace.waiting():
                batch = next(batches)
            at = At((epoch - first) * planned.steps + step, phase.epochs * planned.steps, scores)
            rate = phase.learning_rate * schedules.build(phase.schedule, at)
            loss = learner.step(
                self.device.images(batch.inputs),
                self.device.labels(batch.labels),
                rate=rate,
                seed_number=seed.derive(recipe.seed, "step", epoch, step, ranks.rank),
                done=epoch * planned.steps + step,
            )
            losses.append(loss)
            last = step + 1 == planned.steps
            save = False
            if last or (step + 1) % beat.STEPS == 0:
                agreed, save = meet(losses, self.keeper.due and not last)
                self._require_numbers(agreed, planned, step, weights=save or last)
                pace.tally.loss += sum(agreed)
                losses.clear()
            if pace.stepped(recipe.batch_size):
                share = (step + 1) / planned.steps
                pace.show(
                    (epoch + share) * len(self.task.films), epoch + 1, float(loss) * ranks.world
                )
            if save:
                self.state.tally = pace.tally.plain()
                self._save(learner, planned.position(step + 1))
                pace.resume()
        return pace.tally, rate

    def _measure(self) -> dict[str, float]:
        """Figures of the whole validation split, every film counted once."""
        recipe = self.recipe
        logits_nk = measure.logits(
            self._networks()[-1].eval(),
            self.task.validation,
            self.device,
            self.ranks,
            batch_size=min(recipe.batch_size, recipe.scaling.micro_batch or recipe.batch_size),
            outputs=self.task.outputs,
        )
        self.state.logits = torch.from_numpy(logits_nk).float()
        return selection.figures(
            self.task.validation.labels, logits_nk, recipe.rule.specificity_floor, recipe.selection
        )

    def _ended(self) -> bool:
        """Whether the run ends after its last epoch: by its own patience or by its referee's."""
        if self.referee is not None:
            stop = False
            if self.ranks.first:
                stop = referee.stops(
                    self.referee, self.folder, self.state, self.task.validation.split
                )
            if self.ranks.told(stop):
                return True
        return stopped(self.state.history, self.recipe.patience, self.recipe.min_change)

    def _require_numbers(
        self, losses: list[float], planned: EpochOrder, step: int, *, weights: bool
    ) -> None:
        """Refuse to go on from, to measure or to save what is no longer finite."""
        wrong = failure.first_wrong(losses)
        if wrong is not None:
            step += 1 - len(losses) + wrong
            what = f"the loss is {losses[wrong]}"
        elif weights and not failure.finite(self._networks()):
            what = "a weight is no longer a number"
        else:
            return
        raise failure.diverged(
            what,
            epoch=planned.epoch,
            step=step,
            films=self.task.batch(planned, step),
            last_saved=self.keeper.last,
        )

    def _save(self, learner: Learner, position: dict[str, int | str]) -> None:
        self.state.sampler = position
        optimizer, scaler = learner.state()
        self.keeper.save(
            replace(
                self.state,
                model=checkpoint.weights(self.model),
                ema=checkpoint.weights(self.average.model) if self.average else None,
                optimizer=optimizer,
                scaler=scaler,
            )
        )

    def _energy(self, before_j: float | None) -> dict[str, float]:
        """Of all ranks' GPUs in this epoch, where each of them counts it."""
        after_j = self.device.energy_j()
        own_j = None if before_j is None or after_j is None else after_j - before_j
        known_j = [each for each in self.ranks.gathered(own_j) if each is not None]
        return {"gpu_energy_j": sum(known_j)} if len(known_j) == self.ranks.world else {}

    def _networks(self) -> list[torch.nn.Module]:
        """The network that learns and, last, the one that is measured and kept."""
        return [self.model, *([self.average.model] if self.average else [])]
