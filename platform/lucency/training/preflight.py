"""
What a run needs of every node, tried there before workers start.

A worker that can't write its checkpoint says so after an epoch; here it takes a second. The part
that runs on the nodes imports no torch.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lucency import files, progress
from lucency.datasets.table import Table
from lucency.errors import DataError, TrainingError
from lucency.training import cache, hardware

_PROBE = "preflight"
_DRIVER = "driver"
_PATIENCE_S = 120.0
# Network file systems show a file to another client some time after it was written.
_SEEN_WITHIN_S = 15.0
_GIB = 2**30


@dataclass(frozen=True)
class Needs:
    """
    What a run asks of a node.

    Attributes:
        folder: The run's, the same storage for every node and the driver.
        table: Path or URI, as every node must be able to open it.
        checkpoint_bytes: Of one checkpoint.
        kept: Checkpoints that the run folder holds at a time, the one being written among them.
        cache: Folder for decoded films; the node's own default if none is named.
        cache_bytes: What the largest split takes there; 0 where films are streamed.
    """

    folder: str
    table: str
    checkpoint_bytes: int
    kept: int
    cache: str | None
    cache_bytes: int


@dataclass(frozen=True)
class Answer:
    """Of one node: what is wrong there, and what it is made of."""

    problems: tuple[str, ...]
    hardware: Mapping[str, Any]


def check(needs: Needs, *, cpus: float, gpus: float) -> list[dict[str, Any]]:
    """
    Try it on every node that could hold a worker of so many CPUs and GPUs.

    A node that joins later is not asked.

    Returns:
        The nodes' hardware, each kind once with its number of ``nodes``.

    Raises:
        TrainingError: names each node and what to do there.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and _holds(node, cpus, gpus)]
    with _probe(Path(needs.folder)) as token:
        answers = _asked(nodes, needs, token)
        problems = [
            f"{_name(node)}: {problem}"
            for node in nodes
            if node["NodeID"] in answers
            for problem in answers[node["NodeID"]].problems
            or _unseen(Path(needs.folder), node["NodeID"], token)
        ]
    if problems:
        raise TrainingError("\n".join(problems))
    return _grouped([dict(answer.hardware) for answer in answers.values()])


def look(needs: Needs, node: str, token: str) -> Answer:
    """What one node has to say, tried in this process."""
    problems = [*_storage(needs, node, token), *_table(needs.table), *_cache(needs)]
    return Answer(tuple(problems), hardware.described())


def _holds(node: Mapping[str, Any], cpus: float, gpus: float) -> bool:
    there = node["Resources"]
    return bool(there.get("CPU", 0) >= cpus and there.get("GPU", 0) >= gpus)


def _name(node: Mapping[str, Any]) -> str:
    return (
        f"node {node['NodeID'][:12]} ({node['NodeManagerHostname']}, {node['NodeManagerAddress']})"
    )


@contextmanager
def _probe(folder: Path) -> Iterator[str]:
    """A folder inside the run's for the nodes to write into; gives what the driver wrote there."""
    token = os.urandom(16).hex()
    try:
        if (folder / _PROBE).exists():
            shutil.rmtree(folder / _PROBE)  # of a driver that was killed while it looked
        files.write_text(folder / _PROBE / _DRIVER, token)
    except OSError as cause:
        raise TrainingError(
            f"the driver can't write to the run folder {str(folder)!r} ({_why(cause)}): give "
            "runs= a folder on storage that can be written"
        ) from cause
    try:
        yield token
    finally:
        shutil.rmtree(folder / _PROBE, ignore_errors=True)


def _asked(nodes: Sequence[Mapping[str, Any]], needs: Needs, token: str) -> dict[str, Answer]:
    """Answers by node; the driver's own node is tried without the detour of a task."""
    here = ray.get_runtime_context().get_node_id()
    waiting = {
        _task()
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(needs, node["NodeID"], token): node
        for node in nodes
        if node["NodeID"] != here
    }
    found = {
        node["NodeID"]: look(needs, node["NodeID"], token)
        for node in nodes
        if node["NodeID"] == here
    }
    if not waiting:
        return found
    done, late = ray.wait(list(waiting), num_returns=len(waiting), timeout=_PATIENCE_S)
    for reference in late:
        ray.cancel(reference, force=True)
    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    for reference, node in waiting.items():
        if node["NodeID"] not in alive:
            progress.say(f"    {_name(node)} has left the cluster")
            continue
        found[node["NodeID"]] = _answer(reference, answered=reference in done)
    return found


def _task() -> Any:
    return ray.remote(num_cpus=0, max_retries=0)(look)


def _answer(reference: Any, *, answered: bool) -> Answer:
    if not answered:
        silent = (
            f"no answer in {_PATIENCE_S:.0f} s: its storage may hang, or it can't start processes; "
            "look at its logs (ray logs), or take it out of the cluster"
        )
        return Answer((silent,), {})
    try:
        found: Answer = ray.get(reference)
    except ray.exceptions.RayError as cause:
        last = str(cause).strip().splitlines()[-1]
        return Answer((f"it can't run Lucency ({last}): bring its environment up to date",), {})
    return found


def _storage(needs: Needs, node: str, token: str) -> Iterator[str]:
    """The run folder can be written, is the driver's, and has room."""
    folder = Path(needs.folder)
    try:
        seen = _read(folder / _PROBE / _DRIVER, token)
        if seen:
            files.write_text(folder / _PROBE / node, token)
            files.sha256_file(folder / _PROBE / node)
    except OSError as cause:
        yield (
            f"the run folder {needs.folder!r} can't be written or read back ({_why(cause)}): "
            "mount it there for the user that Ray runs as, or give runs= another folder"
        )
        return
    if not seen:
        yield (
            f"the run folder {needs.folder!r} is not the driver's there, a file that the driver "
            "wrote is missing: mount the same storage at this path on every node, or give runs= a "
            "folder that all of them share"
        )
        return
    yield from _room("the run folder", folder, needs.kept, needs.checkpoint_bytes)
    yield from _room("the temporary folder", Path(tempfile.gettempdir()), 1, needs.checkpoint_bytes)


def _read(path: Path, expected: str) -> bool:
    end = time.monotonic() + _SEEN_WITHIN_S
    # A folder that is not there at all was never shared; one that is may lag behind.
    while path.parent.parent.is_dir():
        if path.is_file() and path.read_text() == expected:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return False


def _unseen(folder: Path, node: str, token: str) -> list[str]:
    if _read(folder / _PROBE / node, token):
        return []
    return [
        f"what it writes to the run folder {str(folder)!r} does not reach the driver: mount the "
        "same storage at this path on every node"
    ]


def _room(what: str, folder: Path, count: int, each: int) -> Iterator[str]:
    free = shutil.disk_usage(folder).free
    if free < count * each:
        yield (
            f"{what} {str(folder)!r} has {free / _GIB:.2f} GiB free, {count} checkpoints of "
            f"{each / _GIB:.2f} GiB need {count * each / _GIB:.2f} GiB: make room, or name a "
            f"larger disk ({'runs=' if count > 1 else 'TMPDIR'})"
        )


def _table(source: str) -> Iterator[str]:
    try:
        table = Table.open(source)
        first = table.rows("train")[:1].tolist()
        table.images(first)
    except DataError as cause:
        yield f"the table can't be opened: {cause}"
    except OSError as cause:
        yield f"the films of table {source!r} can't be read ({_why(cause)}): mount it there too"


def _cache(needs: Needs) -> Iterator[str]:
    if not needs.cache_bytes:
        return
    folder = Path(needs.cache) if needs.cache else cache.default_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"x")
    except OSError as cause:
        yield (
            f"the folder for decoded films {str(folder)!r} can't be written ({_why(cause)}): name "
            "another one with scaling.cache, or set scaling.feeding=stream"
        )
        return
    limit = cache.room(folder)
    if needs.cache_bytes > limit:
        yield (
            f"decoded films take up to {needs.cache_bytes / _GIB:.1f} GiB, caches in "
            f"{str(folder)!r} may take {limit / _GIB:.1f} GiB: name a folder on a larger disk with "
            "scaling.cache, or set scaling.feeding=stream"
        )


def _why(cause: OSError) -> str:
    return cause.strerror or str(cause)


def _grouped(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    kinds: dict[str, dict[str, Any]] = {}
    for each in found:
        kind = kinds.setdefault(files.canonical(each), {**each, "nodes": 0})
        kind["nodes"] += 1
    return list(kinds.values())
