"""
Decoded films in one file on the node's disk, mapped into memory by all of its workers.

A cache is two files: the pixels, and an index that is written last and makes it one. Whoever
holds the lock builds, the others wait; the system takes the lock back from a process that dies.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import PIL
import simplejpeg

from lucency import files, progress
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.preprocess import Preprocess
from lucency.training import feed
from lucency.training.feed import Batch, Feed, Renderer

_FORMAT = 1
_FILMS_AT_ONCE = 512
_PIXELS, _INDEX, _LOCK = ".pixels", ".index", ".lock"


class Cached(Feed):
    """A split decoded once; an epoch costs no decoding."""

    def __init__(
        self, table: Table, name: str, renderer: Renderer, *, folder: Path, threads: int
    ) -> None:
        rows, split = feed.split_of(table, name)
        super().__init__(split)
        self._renderer = renderer
        self._threads = threads
        self._films = Decoded.of(table, name, rows, renderer.preprocess, folder, threads)

    def batches(self, batches: Sequence[np.ndarray], epoch: int = 0) -> Iterator[Batch]:
        films_nhwc = self._films.stacked
        if films_nhwc is not None and not self._renderer.takes_whole(films_nhwc.shape[1:]):
            films_nhwc = None

        def assemble(places: np.ndarray) -> Batch:
            if films_nhwc is not None:
                inputs = self._renderer.whole(films_nhwc[places])
            else:
                inputs = self._one_by_one(places, epoch)
            return Batch(inputs, self.labels[places], places)

        return feed.prefetched(assemble, batches, self._threads)

    def _one_by_one(self, places: np.ndarray, epoch: int) -> np.ndarray:
        inputs = np.empty((len(places), *self._renderer.shape), dtype=np.float32)
        for index, place in enumerate(places.tolist()):
            self._renderer(self._films[place], epoch, place, inputs[index])
        return inputs


class Decoded(Sequence[np.ndarray]):
    """
    Working films by place, uint8 h x w x c each, views of the mapped file.

    Attributes:
        stacked: All of them, n x h x w x c, if they have one shape; else None.
    """

    def __init__(self, stem: Path) -> None:
        with np.load(_with(stem, _INDEX)) as index:
            self._ends, self._shapes = index["ends"].tolist(), index["shapes"].tolist()
        self._pixels = np.memmap(_with(stem, _PIXELS), np.uint8, "r").view(np.ndarray)
        self.stacked: np.ndarray | None = None
        if self._shapes and all(shape == self._shapes[0] for shape in self._shapes):
            self.stacked = self._pixels.reshape(len(self._shapes), *self._shapes[0])

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, place: int) -> np.ndarray:  # type: ignore[override]
        pixels = self._pixels[self._ends[place] : self._ends[place + 1]]
        return pixels.reshape(self._shapes[place])

    @classmethod
    def of(
        cls,
        table: Table,
        name: str,
        rows: np.ndarray,
        preprocess: Preprocess,
        folder: Path,
        threads: int,
    ) -> "Decoded":
        """
        Open the cache of a split, or build it if this process is the first of its node.

        Raises:
            DataError: the disk has no room for it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / key(table, name, preprocess)
        with _locked(_with(stem, _LOCK)):
            if not _with(stem, _INDEX).exists():
                make_room(folder, most_bytes(table, rows, preprocess))
                _build(stem, table, rows, preprocess, threads)
            os.utime(_with(stem, _INDEX))  # the least recently used goes first
            return cls(stem)


def key(table: Table, name: str, preprocess: Preprocess) -> str:
    """The name of a cache: equal where the same films are decoded by the same decoders."""
    decoding = preprocess.model_dump(exclude={"mean", "std"})
    versions = [cv2.__version__, simplejpeg.__version__, PIL.__version__]
    return files.digest([_FORMAT, table.digest, name, decoding, versions])[:24]


def default_folder() -> Path:
    """The user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lucency"


def most_bytes(table: Table, rows: np.ndarray, preprocess: Preprocess) -> int:
    """What the working films of some rows take at most; no side is twice the input's."""
    sides = [np.minimum(table.columns[side][rows], 2 * preprocess.size) for side in _SIDES]
    return int((sides[0].astype(np.int64) * sides[1]).sum()) * preprocess.channels


_SIDES = ("width", "height")


def room(folder: Path) -> int:
    """Bytes that all caches of a folder may take together: half of what they could have."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return (shutil.disk_usage(there).free + sum(_sizes(folder).values())) // 2


def make_room(folder: Path, wanted: int) -> None:
    """
    Delete the least recently used caches until another one fits.

    A process that has one of them mapped keeps it to its end.

    Raises:
        DataError: it would not fit into an empty folder either.
    """
    limit = room(folder)
    if wanted > limit:
        raise _no_room(folder, wanted, limit)
    sizes = _sizes(folder)
    for stem in sorted(sizes, key=lambda stem: _with(stem, _INDEX).stat().st_mtime):
        if sum(sizes.values()) + wanted <= limit:
            return
        # The index first: pixels without an index are no cache, an index without pixels is wrong.
        _with(stem, _INDEX).unlink(missing_ok=True)
        _with(stem, _PIXELS).unlink(missing_ok=True)
        sizes.pop(stem)


def _build(
    stem: Path, table: Table, rows: np.ndarray, preprocess: Preprocess, threads: int
) -> None:
    for left in stem.parent.glob(f".{stem.name}.*"):
        left.unlink()  # of a builder that was killed: this process holds its lock
    progress.say(f"    decoding {len(rows)} films once, to {_with(stem, _PIXELS)}")
    shapes: list[tuple[int, ...]] = []
    try:
        with (
            files.atomic_file(_with(stem, _PIXELS)) as temporary,
            temporary.open("wb") as stream,
            ThreadPoolExecutor(max(1, threads)) as pool,
        ):
            for start in range(0, len(rows), _FILMS_AT_ONCE):
                encoded = table.images(rows[start : start + _FILMS_AT_ONCE])
                for film in pool.map(lambda data: preprocess.working(data, checked=True), encoded):
                    shapes.append(film.shape)
                    stream.write(film.tobytes())
    except OSError as cause:
        if cause.errno != errno.ENOSPC:
            raise
        raise _no_room(stem.parent, most_bytes(table, rows, preprocess), 0) from cause
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    with files.atomic_file(_with(stem, _INDEX)) as temporary, temporary.open("wb") as stream:
        np.savez(stream, ends=ends, shapes=np.array(shapes))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _sizes(folder: Path) -> dict[Path, int]:
    """Bytes of each whole cache, by its path without an ending."""
    stems = [path.with_suffix("") for path in folder.glob(f"*{_INDEX}")]
    return {stem: _with(stem, _PIXELS).stat().st_size for stem in stems}


def _with(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)


def _no_room(folder: Path, wanted: int, limit: int) -> DataError:
    return DataError(
        f"decoded films take up to {wanted / 2**30:.1f} GiB, caches in {str(folder)!r} may take "
        f"{limit / 2**30:.1f} GiB (half of what is free or theirs): name a folder on a larger disk "
        "with scaling.cache, or set scaling.feeding=stream"
    )
