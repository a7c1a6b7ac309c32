"""
Films streamed from the table by Ray Data, for sets that don't fit on a node once decoded.

A read takes the row groups of one window of the order and hands its films on in the order of the
batches; the data tasks decode and vary them; the training worker puts the pieces together.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
from ray.data import ExecutionOptions, ExecutionResources, TaskPoolStrategy

from lucency.datasets import reading
from lucency.datasets.table import Table
from lucency.errors import ClusterError
from lucency.training import feed
from lucency.training.feed import Batch, Feed, Renderer

# One window is handed on while the next one is read. Two reads beside the decoding would be a
# process more than Ray keeps on a node of two CPUs: it would start and end one all the time.
_READS_AT_ONCE = 1
# Row groups that are complete sooner, as in measuring, are read together up to so many films.
_FEWEST_FILMS = 1024
_PIECE_BYTES = 8 * 2**20
# Share of the cluster's object store that all streams of a run may fill.
_STORE_SHARE = 0.5
_PATIENCE_S = 120.0


class Streamed(Feed):
    """
    A split that is never whole in memory.

    Each rank streams its own share: it reads the bytes of every row group of a window, and
    decodes its own films alone. At hand are, still encoded, a rank's films of two windows, and a
    bounded number of finished pieces; the table's length adds some 50 bytes a film for the order.

    Args:
        cpus: How many films this worker's data tasks decode at the same time, one CPU each,
            beside the CPUs that the worker holds itself.
        world: How many workers stream at the same time.

    Raises:
        ClusterError: no CPU is left for data tasks.
    """

    def __init__(
        self, table: Table, name: str, renderer: Renderer, *, cpus: int, world: int = 1
    ) -> None:
        self._rows, split = feed.split_of(table, name)
        super().__init__(split)
        self._source = table.source
        self._renderer = renderer
        self._cpus = cpus
        self._world = world
        _require_a_cpu()

    def batches(self, batches: Sequence[np.ndarray], epoch: int = 0) -> Iterator[Batch]:
        return _put_together(self._pieces(batches, epoch), batches, self.labels, self._renderer)

    def _pieces(self, batches: Sequence[np.ndarray], epoch: int) -> Iterator[dict[str, Any]]:
        """Films of a batch in order of the batches; a piece may hold parts of several."""
        read: Any = _Read(self._source)
        render: Any = _Render(self._renderer, epoch)
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        plans = plan(batches, self.split.groups, self._rows)
        if not plans:
            return iter(())
        stream: Any = ray.data.from_arrow([*plans])
        _configure(stream.context, self._options(), render.piece_bytes)
        # Reading waits more than it works: it needs no CPU of its own, and must not take one
        # from decoding. Unlike resources also keep Ray from running both in one task.
        stream = stream.map_batches(
            read,
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=0,
            compute=TaskPoolStrategy(_READS_AT_ONCE),
        ).map_batches(render, batch_size=None, batch_format="pyarrow", num_cpus=1)
        return iter(stream.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=1))

    def _options(self) -> ExecutionOptions:
        store = ray.cluster_resources().get("object_store_memory", 0.0)
        return ExecutionOptions(
            preserve_order=True,
            resource_limits=ExecutionResources.for_limits(
                cpu=self._cpus, object_store_memory=store * _STORE_SHARE / self._world
            ),
        )


def plan(batches: Sequence[np.ndarray], groups: np.ndarray, rows: np.ndarray) -> list[pa.Table]:
    """
    Cut batches into reads: after a read none of its row groups is needed again.

    Args:
        groups: Row group by place.
        rows: Row of the table by place.

    Returns:
        For each read its films in the order they are wanted: ``batch``, ``index`` in the batch,
        ``place`` and ``row``.
    """
    place = np.concatenate([np.empty(0, dtype=np.int64), *batches])
    batch = np.repeat(np.arange(len(batches)), [len(each) for each in batches])
    index = np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(len(b)) for b in batches)])
    group = groups[place]
    first = np.full(groups.max() + 1, len(batches))
    np.minimum.at(first, group, batch)
    # Of a batch between two windows, the films of the earlier one come first.
    wanted = np.lexsort((index, first[group], batch))
    last = np.zeros_like(first)
    np.maximum.at(last, group[wanted], np.arange(len(wanted)))
    complete = np.maximum.accumulate(last[group[wanted]]) == np.arange(len(wanted))
    columns = pa.table(
        {
            "batch": pa.array(batch[wanted]),
            "index": pa.array(index[wanted]),
            "place": pa.array(place[wanted]),
            "row": pa.array(rows[place[wanted]]),
        }
    )
    return _cut(columns, np.flatnonzero(complete) + 1)


def _cut(columns: pa.Table, ends: np.ndarray) -> list[pa.Table]:
    reads: list[pa.Table] = []
    start = 0
    for end in ends.tolist():
        if end - start >= _FEWEST_FILMS or end == len(columns):
            reads.append(columns.slice(start, end - start))
            start = end
    return reads


class _Read:
    """The first task: films of one read out of the table, in the order of the plan."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __call__(self, wanted: pa.Table) -> Iterator[pa.Table]:
        films = reading.Films(self._source).read(wanted["row"].to_numpy().tolist())
        plan = wanted.drop_columns("row")
        for start in range(0, len(films), _FEWEST_FILMS):
            part = films[start : start + _FEWEST_FILMS]
            encoded = pa.array(part, pa.large_binary())
            yield plan.slice(start, len(part)).append_column("film", encoded)


class _Render:
    """The second task: encoded films to inputs."""

    def __init__(self, renderer: Renderer, epoch: int) -> None:
        self._renderer = renderer
        self._epoch = epoch
        film_bytes = 4 * int(np.prod(renderer.shape))
        self._films = max(1, _PIECE_BYTES // film_bytes)
        self.piece_bytes = self._films * film_bytes

    def __call__(self, films: pa.Table) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(films), self._films):
            part = films.slice(start, self._films)
            inputs = np.empty((len(part), *self._renderer.shape), dtype=np.float32)
            places = part["place"].to_numpy().tolist()
            for film, place, out in zip(part["film"], places, inputs, strict=True):
                working = self._renderer.preprocess.working(film.as_py(), checked=True)
                self._renderer(working, self._epoch, place, out)
            yield {
                "batch": part["batch"].to_numpy(),
                "index": part["index"].to_numpy(),
                "inputs": inputs,
            }


def _put_together(
    pieces: Iterator[dict[str, Any]],
    batches: Sequence[np.ndarray],
    labels: np.ndarray,
    renderer: Renderer,
) -> Iterator[Batch]:
    inputs, missing = np.empty(0, dtype=np.float32), 0
    for piece in pieces:
        numbers, starts = np.unique(piece["batch"], return_index=True)
        ends = [*starts[1:].tolist(), len(piece["batch"])]
        for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
            places = batches[number]
            if not missing:
                inputs = np.empty((len(places), *renderer.shape), dtype=np.float32)
                missing = len(places)
            inputs[piece["index"][start:end]] = piece["inputs"][start:end]
            missing -= end - start
            if not missing:
                yield Batch(inputs, labels[places], places)


def _configure(context: Any, options: ExecutionOptions, piece_bytes: int) -> None:
    context.execution_options = options
    context.target_max_block_size = piece_bytes
    context.enable_progress_bars = False


def _require_a_cpu() -> None:
    """Ray Data would wait without a word where the workers hold every CPU."""
    ready = ray.remote(num_cpus=1)(_here).remote()
    try:
        ray.get(ready, timeout=_PATIENCE_S)
    except ray.exceptions.GetTimeoutError as cause:
        ray.cancel(ready, force=True)
        raise ClusterError(
            f"no CPU came free for streaming in {_PATIENCE_S:.0f} s; the cluster has "
            f"{ray.cluster_resources().get('CPU', 0):g} and its workers hold them: lower "
            "scaling.workers or scaling.cpus_per_worker, or add CPUs"
        ) from cause


def _here() -> bool:
    return True
