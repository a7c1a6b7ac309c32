"""
How many films a worker takes at once: real steps of a recipe, at sizes that double.

The steps are the training loop's own, on made films, on one Ray worker with the recipe's
resources. On a GPU one process tries all sizes. On a CPU each size has a fresh process, so that
what one leaves in the heap is not counted for the next, with a limit set by the system: a size
that is too large is refused memory and the machine does not run out of it.
"""

import multiprocessing
import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from lucency import cluster
from lucency.config.train import Phase, Recipe
from lucency.errors import LucencyError, TrainingError
from lucency.evaluation import selection
from lucency.models import blocks
from lucency.models.base import architectures
from lucency.training.average import Average
from lucency.training.device import Device
from lucency.training.hardware import memory_bytes
from lucency.training.heap import KEPT_HEAP
from lucency.training.ranks import Ranks
from lucency.training.step import Learner

_WARM_UP = 2
_FEWEST_STEPS = 2
# A GPU is waited for once in so many steps, as the loop does.
_GPU_STEPS = 8
# Speeds that differ by less are the same on a machine that does other things too.
_TIE = 0.02
# Sizes after the fastest one before a CPU is known to gain nothing more.
_PATIENCE = 2
_OUT_OF_MEMORY = ("allocate memory", "bad_alloc", "not enough memory", "could not create")


@dataclass(frozen=True)
class Limits:
    """
    How far to try.

    Attributes:
        most: Films at once.
        seconds: For how long a size is timed.
        memory_share: Of free memory, what a size may take on a CPU.
        spare: Share of a GPU's memory that must stay free.
    """

    most: int
    seconds: float
    memory_share: float
    spare: float


@dataclass(frozen=True)
class Size:
    """
    What so many films at once cost.

    Attributes:
        memory_mib: Most that the steps took: of the GPU, or of this machine beyond the imports.
        fits: Whether it leaves what is to be spared.
    """

    films: int
    images_per_s: float
    memory_mib: float
    fits: bool = True

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measured(recipe: Recipe, classes: int, limits: Limits) -> Iterator[Size]:
    """
    Sizes as they are measured, the smallest first, until memory or speed ends it.

    Raises:
        ClusterError: the machine can't hold the recipe's worker.
        TrainingError: the steps failed for another reason than memory.
    """
    scaling = recipe.scaling
    with cluster.connected():
        cluster.require(scaling.cpus_per_worker, int(scaling.gpu))
        task = _on_a_worker.options(
            num_cpus=scaling.cpus_per_worker,
            num_gpus=int(scaling.gpu),
            runtime_env={"env_vars": KEPT_HEAP},
        )
        try:
            # Typed as one result; a generator's are many.
            references: Any = task.remote(recipe.plain(), classes, asdict(limits))
            for reference in references:
                yield ray.get(reference)
        except ray.exceptions.RayTaskError as failure:
            if isinstance(failure.cause, LucencyError):
                raise failure.cause from None
            raise TrainingError(f"a step failed on the worker: {failure.cause}") from failure


def chosen(sizes: Sequence[Size], *, gpu: bool) -> Size:
    """
    The size to take: on a GPU the largest that leaves what is to be spared; on a CPU, where
    large ones gain nothing and crowd out others, the smallest of those that are fastest.

    Raises:
        TrainingError: not one film fits.
    """
    fitting = [size for size in sizes if size.fits]
    if not fitting:
        raise TrainingError(
            "not even the smallest batch fits into memory: take a smaller network or smaller "
            "films, or a machine with more memory"
        )
    if gpu:
        return max(fitting, key=lambda size: size.films)
    fastest = max(size.images_per_s for size in fitting)
    return next(size for size in fitting if size.images_per_s >= (1 - _TIE) * fastest)


@ray.remote(max_retries=0)
def _on_a_worker(plain: dict[str, Any], classes: int, limits: dict[str, Any]) -> Iterator[Size]:
    recipe, within = Recipe.from_mapping(plain, "recipe"), Limits(**limits)
    yield from (_on_gpu if recipe.scaling.gpu else _on_cpu)(recipe, classes, within)


def _on_gpu(recipe: Recipe, classes: int, limits: Limits) -> Iterator[Size]:
    device = torch.device("cuda")
    for films in _doublings(limits.most):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            speed = _speed(recipe, classes, films, limits.seconds, device)
        except torch.cuda.OutOfMemoryError:
            return
        except ValueError:
            if films > 1:
                raise
            continue
        free, total = torch.cuda.mem_get_info(device)
        reserved_mib = torch.cuda.max_memory_reserved(device) / 2**20
        size = Size(films, speed, reserved_mib, fits=free >= limits.spare * total)
        yield size
        if not size.fits:
            return


def _on_cpu(recipe: Recipe, classes: int, limits: Limits) -> Iterator[Size]:
    most_bytes = int(limits.memory_share * _free_bytes())
    # Forked from a process that has done the imports and nothing else: no threads, no heap.
    context = multiprocessing.get_context("forkserver")
    # The compiler too: the first step of any optimiser imports it, for seconds and 190 MiB.
    context.set_forkserver_preload([__name__, "torch._dynamo"])
    sizes: list[Size] = []
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        for films in _doublings(limits.most):
            task = pool.submit(
                _in_a_process, recipe.plain(), classes, films, limits.seconds, most_bytes
            )
            try:
                size = task.result()
            except BrokenProcessPool:  # the system needed the memory
                return
            except ValueError:
                # Batch normalisation of one value a channel has no variance.
                if films > 1:
                    raise
                continue
            if size is None:
                return
            sizes.append(size)
            yield size
            if len(sizes) - 1 - sizes.index(chosen(sizes, gpu=False)) >= _PATIENCE:
                return


def _in_a_process(
    plain: dict[str, Any], classes: int, films: int, seconds: float, most_bytes: int
) -> Size | None:
    """Speed and memory of one size; None if it needs more memory than it may take."""
    recipe = Recipe.from_mapping(plain, "recipe")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_status_bytes("VmData") + most_bytes, hard))
    before = _status_bytes("VmRSS")
    try:
        speed = _speed(recipe, classes, films, seconds, torch.device("cpu"))
    except (MemoryError, RuntimeError) as cause:
        if isinstance(cause, MemoryError) or any(word in str(cause) for word in _OUT_OF_MEMORY):
            return None
        raise
    return Size(films, speed, (_status_bytes("VmHWM") - before) / 2**20)


def _speed(recipe: Recipe, classes: int, films: int, seconds: float, device: torch.device) -> float:
    """Films a second in steps of so many films, of the phase that learns most."""
    scaling = recipe.scaling.model_copy(update={"workers": 1, "micro_batch": None})
    recipe = recipe.model_copy(update={"batch_size": films, "scaling": scaling})
    learner = _learner(recipe, classes, device)
    generator = np.random.default_rng(0)
    preprocess = recipe.preprocess
    shape = (films, preprocess.channels, preprocess.size, preprocess.size)
    inputs = generator.standard_normal(shape, dtype=np.float32)
    labels = np.arange(films) % classes
    where = learner.device

    def steps(count: int) -> None:
        for number in range(count):
            # At rate 0: all of a step's work, and weights that made films can't spoil.
            learner.step(
                where.images(inputs), where.labels(labels), rate=0.0, seed_number=number, done=0
            )
        if where.gpu:
            torch.cuda.synchronize(device)

    steps(_WARM_UP)
    began, done = time.perf_counter(), 0
    while done < _FEWEST_STEPS or time.perf_counter() - began < seconds:
        count = _GPU_STEPS if where.gpu else 1
        steps(count)
        done += count
    return done * films / (time.perf_counter() - began)


def _learner(recipe: Recipe, classes: int, device: torch.device) -> Learner:
    phase = max(recipe.phases, key=_depth)
    torch.manual_seed(recipe.seed)
    model = architectures.build(
        recipe.model,
        in_channels=recipe.preprocess.channels,
        outputs=selection.outputs(classes),
        side=recipe.preprocess.size,
    )
    where = Device(recipe, device)
    where.holding(model)
    average = Average(model, recipe.ema_decay) if recipe.ema_decay else None
    shares_k = torch.full((classes,), 1 / classes, device=device)
    learner = Learner(recipe, phase, model, average, shares_k, where, Ranks())
    blocks.modes(model, phase.train, phase.batch_norm)
    return learner


def _depth(phase: Phase) -> float:
    """How much of the trunk a phase trains."""
    if phase.train == "all":
        return float("inf")
    return 0 if phase.train == "head" else phase.train


def _doublings(most: int) -> Iterator[int]:
    films = 1
    while films <= most:
        yield films
        films *= 2


def _free_bytes() -> int:
    """Memory that this machine, or what its container may use of it, has left."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(line.split()[1] for line in lines if line.startswith("MemAvailable"))
    return min(int(available) * 1024, memory_bytes())


def _status_bytes(name: str) -> int:
    """One of this process's own sizes, as Linux counts them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
