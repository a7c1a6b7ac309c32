"""A recipe and a table -> a finished run, on Ray Train."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
import safetensors.torch
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from lucency import cluster, files, progress
from lucency.config.train import Recipe, Scaling, Tracking
from lucency.datasets.table import Table
from lucency.errors import LucencyError, TrainingError
from lucency.evaluation import selection
from lucency.evaluation.selection import SCORE
from lucency.learning.losses import losses
from lucency.models import blocks
from lucency.models.base import Classifier, architectures, parameters
from lucency.training import (
    checkpoint,
    feeding,
    identity,
    loop,
    memory,
    preflight,
    record,
    snapshot,
    storage,
    watcher,
)
from lucency.training import tracking as trackers
from lucency.training.heap import KEPT_HEAP
from lucency.training.loop import Job
from lucency.training.preflight import Needs

RECORD = "run.json"
RECIPE = "recipe.yaml"
WEIGHTS = "model.safetensors"
LOGITS = "validation_logits.npy"

_NUM_TO_KEEP = 2
# Those by score, the latest, and the one that is being written.
_CHECKPOINTS = _NUM_TO_KEEP + 2
# A node that joins is taken in by starting all workers anew: not more often than it pays.
_RESIZE_EVERY_S = 30.0
_NOWHERE = Tracking()


@dataclass(frozen=True)
class Run:
    """
    A finished run on disk: recipe, best weights, history, record.

    Attributes:
        record: What was trained on what, and the best epoch's figures.
    """

    folder: Path
    recipe: Recipe
    record: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """
        Raises:
            TrainingError: there is no finished run in that folder.
        """
        record = folder / RECORD
        if not record.is_file():
            state = "was begun but not finished" if folder.is_dir() else "does not exist"
            raise TrainingError(
                f"run {str(folder)!r} {state}; train with python jobs/train.py CONFIG, the same "
                "command goes on where it stopped"
            )
        return cls(folder, Recipe.from_file(folder / RECIPE), json.loads(record.read_text()))

    @property
    def history(self) -> list[dict[str, float]]:
        """One row an epoch."""
        return history(self.folder)

    @property
    def validation_logits(self) -> np.ndarray:
        """Of the best epoch, n x k in the order of the validation split."""
        found: np.ndarray = np.load(self.folder / LOGITS, allow_pickle=False)
        return found


def fit(
    recipe: Recipe,
    table_path: Path | str,
    runs: Path,
    *,
    name: str | None = None,
    fresh: bool = False,
    resume: bool = False,
    tracking: Tracking = _NOWHERE,
    referee: str | None = None,
) -> Run:
    """
    Train, or go on with an interrupted run of the same recipe on the same data.

    A finished run of that name is returned as it is.

    Args:
        name: Of the run's folder in ``runs``; from the digests of recipe and data if none.
        fresh: Throw away what an earlier run of that name left.
        resume: Refuse to begin a run; only go on with one.
        tracking: Where else its epochs are written down.
        referee: Actor that may stop this run, as a trial of a search.

    Raises:
        TrainingError: the run could not start or ended with an error; its last checkpoint is kept.
        ClusterError: the machine can't hold the workers asked for.
    """
    table = Table.open(table_path)
    _refuse_unfit(recipe, len(table.classes))
    folder = runs.absolute() / (name or recipe.identity(table.digest))
    if resume:
        identity.require_begun(folder)
    if not fresh:
        identity.check(folder, recipe, table.digest)
        if (folder / RECORD).is_file():
            return _finished(folder)
    # Built here once: a wrong network or missing weights must not cost a start of workers.
    network = architectures.build(
        recipe.model,
        in_channels=recipe.preprocess.channels,
        outputs=selection.outputs(len(table.classes)),
        side=recipe.preprocess.size,
    )
    for phase in recipe.phases:
        blocks.free(network, phase.train)
    progress.say(f"    {recipe.model.name}: {parameters(network):,} parameters, run {folder.name}")
    with identity.owned(folder):
        if fresh:
            identity.clear(folder)
        identity.check(folder, recipe, table.digest)
        if (folder / RECORD).is_file():
            return _finished(folder)  # by a driver that held the folder until now
        _begin(folder, recipe, table)
        with cluster.connected():
            return _fit(recipe, table, folder, network, tracking, referee)


def _finished(folder: Path) -> Run:
    progress.say(f"    run {folder.name} is finished already; fresh=true trains it anew")
    return Run.open(folder)


def _refuse_unfit(recipe: Recipe, classes: int) -> None:
    """A loss or a selection for another number of classes must not cost a start of workers."""
    selection.resolve(recipe.selection, classes)
    shares_k = torch.full((classes,), 1 / classes)
    logits_nk = torch.zeros(1, selection.outputs(classes))
    losses.build(recipe.loss, logits_nk, torch.zeros(1, dtype=torch.int64), shares_k)


def _begin(folder: Path, recipe: Recipe, table: Table) -> None:
    identity.settle(folder, recipe, table.digest)
    files.write_text(folder / RECIPE, recipe.to_yaml())
    for left in (loop.FAILED, loop.PROGRESS):
        (folder / left).unlink(missing_ok=True)


def _fit(
    recipe: Recipe,
    table: Table,
    folder: Path,
    network: Classifier,
    tracking: Tracking,
    referee: str | None,
) -> Run:
    settled = feeding.settled(recipe, table)
    there = ray.cluster_resources().get("CPU", 0.0)
    scaling = feeding.bounded(settled.scaling, there)
    settled = settled.model_copy(update={"scaling": scaling})
    cluster.require(feeding.cpus(scaling), scaling.fewest if scaling.gpu else 0)
    nodes = _looked_at(settled, table, folder, network)
    job = Job(settled.plain(), table.source, str(folder), referee)
    films = len(table.rows("train"))
    with trackers.opened(tracking, folder.name, recipe.plain(), folder) as tracker:
        try:
            with watcher.watched(folder, recipe, films, tracker):
                _run_workers(job, scaling, folder)
            run = _finish(folder, recipe, table, network, nodes)
        except LucencyError as failure:
            watcher.write_page(folder, recipe, failed=_failed(folder) or {"error": str(failure)})
            raise
        tracker.finish(run.record)
        watcher.write_page(folder, recipe, record=run.record)
    return run


def _looked_at(
    recipe: Recipe, table: Table, folder: Path, network: Classifier
) -> list[dict[str, Any]]:
    """Hardware of the nodes, each of which can do what the run needs of it."""
    scaling = recipe.scaling
    needs = Needs(
        folder=str(folder),
        table=table.source,
        checkpoint_bytes=memory.checkpoint_bytes(recipe, network),
        kept=_CHECKPOINTS,
        cache=str(scaling.cache) if scaling.cache else None,
        cache_bytes=feeding.cache_bytes(recipe, table),
    )
    nodes = preflight.check(needs, cpus=scaling.cpus_per_worker, gpus=int(scaling.gpu))
    if scaling.gpu:
        memory.require(memory.estimate(recipe, network), nodes)
    return nodes


def _run_workers(job: Job, scaling: Scaling, folder: Path) -> None:
    """
    Until the loop has come to its end.

    Ray replaces dead workers. It does not replace the controller that does so, nor count its
    deaths: that is done here.
    """
    deaths = 0
    several = scaling.fewest if scaling.fewest == scaling.most else f"{scaling.workers}"
    progress.say(f"    starting {several} workers")
    while True:
        snapshot.mend(folder)
        try:
            cluster.attended(_trainer(job, scaling, folder).fit)
            break
        except ray.train.TrainingFailedError as cause:
            raise _root(cause) from cause
        except ray.exceptions.ActorDiedError as cause:
            deaths += 1
            if deaths > scaling.max_failures:
                raise TrainingError(
                    f"the training controller died {deaths} times, scaling.max_failures is "
                    f"{scaling.max_failures}; run the same command again, it goes on from the "
                    "last checkpoint"
                ) from cause
            progress.say(
                f"    the training controller died; another one goes on from the last checkpoint "
                f"({deaths} of {scaling.max_failures})"
            )
    if failed := _failed(folder):
        raise TrainingError(failed["error"])


def _trainer(job: Job, scaling: Scaling, folder: Path) -> TorchTrainer:
    workers: Any = scaling.workers
    return TorchTrainer(
        loop.run,
        train_loop_config=asdict(job),
        scaling_config=ScalingConfig(  # type: ignore[call-arg]  # Ray shows checkers its V1 class
            num_workers=workers,
            use_gpu=scaling.gpu,
            resources_per_worker={
                "CPU": scaling.cpus_per_worker,
                **({"GPU": 1} if scaling.gpu else {}),
            },
            elastic_resize_monitor_interval_s=_RESIZE_EVERY_S,
        ),
        run_config=RunConfig(  # type: ignore[call-arg]  # the same
            name=folder.name,
            storage_path=str(folder.parent),
            failure_config=FailureConfig(max_failures=scaling.max_failures),
            checkpoint_config=CheckpointConfig(
                num_to_keep=_NUM_TO_KEEP,
                checkpoint_score_attribute=SCORE,
                checkpoint_score_order="max",
            ),
            worker_runtime_env={"env_vars": KEPT_HEAP},
        ),
    )


def _root(failure: BaseException) -> LucencyError:
    """Our own error if a worker raised one, else a training error with its last line."""
    causes = list(getattr(failure, "worker_failures", {}).values()) or [failure]
    for cause in causes:
        inner: BaseException | None = cause
        while inner is not None:
            original = getattr(inner, "cause", None) or inner
            if isinstance(original, LucencyError):
                return original
            inner = inner.__cause__
    last = str(causes[0]).strip().splitlines()[-1]
    return TrainingError(f"training failed on a worker: {last}")


def _failed(folder: Path) -> dict[str, Any] | None:
    """What the loop found that starting again can't cure."""
    path = folder / loop.FAILED
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return found


def _finish(
    folder: Path, recipe: Recipe, table: Table, network: Classifier, nodes: list[dict[str, Any]]
) -> Run:
    rows = history(folder)
    best = _best(folder, rows)
    state = checkpoint.load(folder / _name(best))
    assert state.logits is not None, "an epoch's checkpoint is written after measuring"
    stopped = folder / loop.STOPPED
    found = {
        "run": folder.name,
        "table": table.source,
        "data_digest": table.digest,
        "classes": list(table.classes),
        "parameters": parameters(network),
        "epochs": len(rows),
        "best": best,
        "seconds": sum(row["seconds"] for row in rows),
        **({"stopped": json.loads(stopped.read_text())} if stopped.is_file() else {}),
        "environment": record.of_run(
            folder,
            rows,
            seed=recipe.seed,
            workers=(recipe.scaling.fewest, recipe.scaling.most),
            nodes=nodes,
        ),
    }
    weights = {key: value.contiguous() for key, value in state.measured.items()}
    logits_nk = state.logits.numpy()

    def write() -> None:
        with files.atomic_file(folder / WEIGHTS) as temporary:
            temporary.write_bytes(safetensors.torch.save(weights))
        with files.atomic_file(folder / LOGITS) as temporary, temporary.open("wb") as stream:
            np.save(stream, logits_nk)
        # The last one: where it stands, the run is whole.
        files.write_json(folder / RECORD, found)

    storage.patiently(write, folder, recipe.scaling.storage_patience_s)
    (folder / loop.PROGRESS).unlink(missing_ok=True)
    # Written by a worker that was killed before Ray heard of it; nobody else clears these away.
    for left in folder.glob("epoch_*_step_*"):
        shutil.rmtree(left)
    return Run(folder, recipe, found)


def history(folder: Path) -> list[dict[str, float]]:
    """What every epoch of a run reached so far; nothing of one that has not begun."""
    path = folder / loop.HISTORY
    rows: list[dict[str, float]] = json.loads(path.read_text()) if path.is_file() else []
    return rows


def _best(folder: Path, rows: list[dict[str, float]]) -> dict[str, float]:
    """The best epoch; of equal ones the first whose checkpoint Ray has kept."""
    score = max(row[SCORE] for row in rows)
    equals = [row for row in rows if row[SCORE] == score]
    for row in equals:
        if (folder / _name(row)).is_dir():
            return row
    raise TrainingError(
        f"checkpoint {_name(equals[0])!r} of the best epoch is gone from {str(folder)!r}: somebody "
        "deleted it; begin anew with --fresh"
    )


def _name(row: dict[str, float]) -> str:
    return f"epoch_{int(row['epoch']):03d}"
