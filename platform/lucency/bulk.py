"""
Predictions of any number of films as Parquet parts, on Ray Data, through the one inference path.

A part is a few hundred films: read, predicted and written by one task, under its name only when
it is whole. Killed anywhere, a later run makes the parts that are missing.
"""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray.data

from lucency import batch, cluster, files
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Input, Predictor
from lucency.datasets.table import Table
from lucency.errors import DataError, ImageError

MADE_BY = "made_by.json"
FILMS_PER_PART = 256
_BATCH = 16
_SCHEMA = pa.schema(
    [
        ("film", pa.string()),
        ("label", pa.string()),
        ("decision", pa.string()),
        ("reason", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("probability", pa.float64()),
        ("probabilities", pa.list_(pa.float64())),
        ("logits", pa.list_(pa.float64())),
        ("refused", pa.string()),
    ]
)

Reader = Callable[[], bytes]


class Films(Protocol):
    """Films in an order that is the same in every process; travels to the workers."""

    @property
    def digest(self) -> str:
        """Names these films, so that parts of others are never taken for theirs."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> Iterator[tuple[str, Reader]]:
        """Name of each film, and what reads its bytes."""


@dataclass(frozen=True)
class Folder:
    """Files under a folder, by their paths inside."""

    root: Path
    names: tuple[str, ...]
    digest: str

    @classmethod
    def find(cls, root: Path, endings: Sequence[str]) -> "Folder":
        """
        Every file with one of the endings, in any case, in the order of the paths.

        Raises:
            DataError: there is none.
        """
        if not root.is_dir():
            raise DataError(f"no folder {str(root)!r}")
        wanted = tuple(ending.lower() for ending in endings)
        found = sorted(
            path
            for path in root.rglob("*")
            if path.name.lower().endswith(wanted) and path.is_file()
        )
        if not found:
            raise DataError(f"no file under {str(root)!r} ends in one of {list(endings)}")
        names = tuple(str(path.relative_to(root)) for path in found)
        facts = [path.stat() for path in found]
        # Their bytes would be read twice; size and time are what make and rsync go by.
        known = [
            (name, fact.st_size, fact.st_mtime_ns) for name, fact in zip(names, facts, strict=True)
        ]
        return cls(root.absolute(), names, files.digest(known))

    def __len__(self) -> int:
        return len(self.names)

    def read(self, start: int, stop: int) -> Iterator[tuple[str, Reader]]:
        for name in self.names[start:stop]:
            yield name, (self.root / name).read_bytes


@dataclass(frozen=True)
class Rows:
    """Rows of a prepared table, named by the films' digests."""

    table: Table
    rows: np.ndarray

    @property
    def digest(self) -> str:
        return files.digest({"table": self.table.digest, "rows": self.rows.tolist()})

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, start: int, stop: int) -> Iterator[tuple[str, Reader]]:
        chosen = self.rows[start:stop]
        names = self.table.columns["sha256"][chosen]
        for name, data in zip(names, self.table.images(chosen), strict=True):
            yield str(name), functools.partial(bytes, data)


@dataclass(frozen=True)
class Plan:
    """Parts to be, by the number of their first film, and those of them that are not there."""

    artifact: Artifact
    films: Films
    parts: dict[int, Path]
    missing: tuple[int, ...]
    per_part: int

    def films_of(self, starts: Iterable[int]) -> int:
        """How many films the parts at these starts have."""
        return sum(min(self.per_part, len(self.films) - start) for start in starts)


def plan(artifact: Artifact, films: Films, output: Path, *, per_part: int = FILMS_PER_PART) -> Plan:
    """
    What there is to do.

    Raises:
        DataError: the folder holds the parts of other films or of another bundle.
    """
    _settle(
        output,
        {"bundle": artifact.digest, "films": films.digest, "of": len(films), "per_part": per_part},
    )
    parts = {
        start: output / f"part-{start // per_part:06d}.parquet"
        for start in range(0, len(films), per_part)
    }
    missing = tuple(start for start, part in parts.items() if not part.is_file())
    return Plan(artifact, films, parts, missing, per_part)


def run(plan: Plan) -> Iterator[int]:
    """Make the parts that are missing; gives the number of films of each as it is written."""
    if not plan.missing:
        return
    with cluster.connected():
        for start in _made(plan):
            yield plan.films_of([start])


def _settle(output: Path, made_by: dict[str, Any]) -> None:
    """What the parts are of stands beside them before there is one."""
    record = output / MADE_BY
    if not record.is_file():
        if output.is_dir() and any(output.glob("part-*.parquet")):
            raise DataError(f"{str(output)!r} has parts and no {MADE_BY}: give another folder")
        files.write_json(record, made_by)
        return
    found = record.read_text(encoding="utf-8")
    wanted = files.json_text(made_by)
    if found != wanted:
        raise DataError(
            f"{str(output)!r} holds predictions of other films or of another bundle ({MADE_BY} "
            "says which): give another folder, or fresh=true to throw them away"
        )


def _made(plan: Plan) -> Iterator[int]:
    batch.quiet()
    items = [{"start": start, "part": str(plan.parts[start].absolute())} for start in plan.missing]
    artifact = plan.artifact
    task: Any = _part  # with arguments more than Ray's types know of
    made = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        task,
        # The names of a million files are stored once, not sent along with every task.
        fn_args=(
            str(artifact.path.absolute()),
            artifact.digest,
            ray.put(plan.films),
            plan.per_part,
        ),
        batch_size=1,
        num_cpus=1,
    )
    for item in made.iter_rows():
        if item["failure"]:
            part = str(plan.parts[int(item["start"])])
            raise DataError(
                f"{part!r} can't be written: {item['failure']}. Parts that are there stay; put "
                "that right and run the same command again"
            )
        yield int(item["start"])


def _part(
    item: dict[str, np.ndarray], bundle: str, digest: str, stored: Any, per_part: int
) -> dict[str, np.ndarray]:
    films: Films = ray.get(stored)
    start = int(item["start"][0])
    predictor = batch.loaded(bundle, digest)
    rows = list(_rows(predictor, films.read(start, start + per_part)))
    failure = ""
    try:
        with files.atomic_file(Path(str(item["part"][0]))) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), temporary)
    except OSError as cause:
        # Raised here it would reach the job as text, in Ray Data's own error.
        failure = os.strerror(cause.errno) if cause.errno else str(cause)
    return {"start": item["start"], "failure": np.array([failure])}


def _rows(predictor: Predictor, named: Iterator[tuple[str, Reader]]) -> Iterator[dict[str, Any]]:
    waiting: list[tuple[str, Input]] = []
    for name, read in named:
        try:
            waiting.append((name, predictor.decode(read())))
        except ImageError as cause:
            yield {"film": name, "refused": cause.reason}
        except OSError:
            yield {"film": name, "refused": "unreadable"}
        if len(waiting) == _BATCH:
            yield from _answers(predictor, waiting)
            waiting = []
    yield from _answers(predictor, waiting)


def _answers(
    predictor: Predictor, waiting: Sequence[tuple[str, Input]]
) -> Iterator[dict[str, Any]]:
    if not waiting:
        return
    found = predictor.predict([film for _, film in waiting])
    fields = [name for name in _SCHEMA.names if name not in ("film", "refused")]
    for (name, _), prediction in zip(waiting, found, strict=True):
        yield {"film": name, **{field: getattr(prediction, field) for field in fields}}
