"""A recipe and a table -> a finished run, on Ray Train."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from safetensors.torch import save_file

from lucency import cluster, files, progress
from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.errors import LucencyError, TrainingError
from lucency.evaluation import selection
from lucency.evaluation.selection import SCORE
from lucency.learning.losses import losses
from lucency.models.base import architectures, parameters
from lucency.training import checkpoint, feeding, loop
from lucency.training.loop import Job

RECORD = "run.json"
RECIPE = "recipe.yaml"
WEIGHTS = "model.safetensors"
LOGITS = "validation_logits.npy"

# glibc gives large activations back to the system after every step and faults them in again;
# a heap that is kept makes float32 training on CPU 1.3 to 1.8 times as fast.
_KEPT_HEAP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "9000000000"}


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
        rows: list[dict[str, float]] = json.loads((self.folder / loop.HISTORY).read_text())
        return rows

    @property
    def validation_logits(self) -> np.ndarray:
        """Of the best epoch, n x k in the order of the validation split."""
        found: np.ndarray = np.load(self.folder / LOGITS, allow_pickle=False)
        return found


def fit(recipe: Recipe, table_path: Path | str, runs: Path, *, fresh: bool = False) -> Run:
    """
    Train, or go on with an interrupted run of the same recipe on the same data.

    A finished run of that name is returned as it is.

    Raises:
        TrainingError: the run ended with an error; its last checkpoint is kept.
        ClusterError: the machine can't hold the workers asked for.
    """
    table = Table.open(table_path)
    _refuse_unfit(recipe, len(table.classes))
    folder = runs.absolute() / recipe.identity(table.digest)
    if fresh and folder.exists():
        shutil.rmtree(folder)
    if (folder / RECORD).is_file():
        progress.say(f"    run {folder.name} is finished already; fresh=true trains it anew")
        return Run.open(folder)
    # Built here once: a wrong network or missing weights must not cost a start of workers.
    network = architectures.build(
        recipe.model,
        in_channels=recipe.preprocess.channels,
        outputs=selection.outputs(len(table.classes)),
        side=recipe.preprocess.size,
    )
    progress.say(f"    {recipe.model.name}: {parameters(network):,} parameters, run {folder.name}")
    files.write_text(folder / RECIPE, recipe.to_yaml())
    with cluster.connected():
        settled = feeding.settled(recipe, table)
        scaling = settled.scaling
        cluster.require(feeding.cpus(scaling), scaling.workers if scaling.gpu else 0)
        progress.say(f"    starting {scaling.workers} workers")
        with _watched(folder, recipe, len(table.rows("train"))):
            _run_workers(settled, table, folder)
    return _finish(folder, recipe, table, parameters(network))


def _refuse_unfit(recipe: Recipe, classes: int) -> None:
    """A loss or a selection for another number of classes must not cost a start of workers."""
    selection.resolve(recipe.selection, classes)
    shares_k = torch.full((classes,), 1 / classes)
    logits_nk = torch.zeros(1, selection.outputs(classes))
    losses.build(recipe.loss, logits_nk, torch.zeros(1, dtype=torch.int64), shares_k)


def _run_workers(recipe: Recipe, table: Table, folder: Path) -> None:
    scaling = recipe.scaling
    job = Job(recipe=recipe.plain(), table=table.source, folder=str(folder))
    trainer = TorchTrainer(
        loop.run,
        train_loop_config=asdict(job),
        scaling_config=ScalingConfig(
            num_workers=scaling.workers,
            use_gpu=scaling.gpu,
            resources_per_worker={
                "CPU": scaling.cpus_per_worker,
                **({"GPU": 1} if scaling.gpu else {}),
            },
        ),
        run_config=RunConfig(  # type: ignore[call-arg]  # Ray shows checkers its V1 class
            name=folder.name,
            storage_path=str(folder.parent),
            failure_config=FailureConfig(max_failures=scaling.max_failures),
            checkpoint_config=CheckpointConfig(
                num_to_keep=2, checkpoint_score_attribute=SCORE, checkpoint_score_order="max"
            ),
            worker_runtime_env={"env_vars": _KEPT_HEAP},
        ),
    )
    try:
        _interruptible(trainer.fit)
    except ray.train.TrainingFailedError as cause:
        raise _root(cause) from cause
    except ray.exceptions.ActorDiedError as cause:
        raise TrainingError(
            "the training controller died; run the same command again, it goes on from the "
            "last checkpoint"
        ) from cause


def _interruptible(work: Callable[[], object]) -> None:
    """
    Run in a thread while this one waits for an interrupt.

    In the main thread Ray Train takes over SIGINT and leaves the process with status 1 and no
    word; here Ctrl-C arrives as KeyboardInterrupt and the cluster is shut down in order.
    """
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    worker = threading.Thread(target=guarded, daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(0.2)
    if failures:
        raise failures[0]


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


def _finish(folder: Path, recipe: Recipe, table: Table, parameter_count: int) -> Run:
    rows = json.loads((folder / loop.HISTORY).read_text())
    best = max(rows, key=lambda row: row[SCORE])
    state = checkpoint.load(folder / f"epoch_{int(best['epoch']):03d}")
    save_file({key: value.contiguous() for key, value in state.model.items()}, folder / WEIGHTS)
    assert state.logits is not None, "every checkpoint is written after measuring"
    with files.atomic_file(folder / LOGITS) as temporary, temporary.open("wb") as stream:
        np.save(stream, state.logits.numpy())
    record = {
        "run": folder.name,
        "table": table.source,
        "data_digest": table.digest,
        "classes": list(table.classes),
        "parameters": parameter_count,
        "epochs": len(rows),
        "best": best,
        "seconds": sum(row["seconds"] for row in rows),
    }
    files.write_json(folder / RECORD, record)
    (folder / loop.PROGRESS).unlink(missing_ok=True)
    return Run(folder, recipe, record)


@contextmanager
def _watched(folder: Path, recipe: Recipe, films: int) -> Iterator[None]:
    """Show what the workers write about themselves; they may be on other machines."""
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(folder, recipe, films, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _watch(folder: Path, recipe: Recipe, films: int, ended: threading.Event) -> None:
    shown = 0
    with progress.meter("train", films * recipe.epochs, "films") as bar:
        while True:
            last = ended.wait(0.5)
            if (folder / loop.PROGRESS).is_file():
                bar.n = json.loads((folder / loop.PROGRESS).read_text())["done"]
                bar.update(0)
            if (folder / loop.HISTORY).is_file():
                rows = json.loads((folder / loop.HISTORY).read_text())
                for row in rows[shown:]:
                    progress.say(_line(row, recipe))
                shown = max(shown, len(rows))
            if last:
                return


def _line(row: dict[str, float], recipe: Recipe) -> str:
    shown = {
        "loss": row["train_loss"],
        "validation": row["validation_loss"],
        "accuracy": row["accuracy"],
        "AUROC": row["auroc"],
    }
    if "sensitivity_at_specificity" in row:
        floor = recipe.rule.specificity_floor
        shown[f"sensitivity at specificity {floor}"] = row["sensitivity_at_specificity"]
    figures = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
    rate = f"{row['images_per_s']:.0f} films/s"
    return f"    epoch {row['epoch']:.0f}/{recipe.epochs}: {figures} ({rate})"
