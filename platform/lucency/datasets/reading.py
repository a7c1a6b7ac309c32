"""
Columns and films out of a stored table, by row group, from a disk or an object store.

Reads Arrow's own buffers: a Python object is made for a film and for nothing around it.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq


def opened(source: str) -> pq.ParquetFile:
    """
    A Parquet file by its path or by a URI that pyarrow.fs knows, such as ``s3://bucket/key``.

    Raises:
        OSError, pyarrow.ArrowInvalid: there is none, or it can't be read.
    """
    if "://" not in source:
        return pq.ParquetFile(source)
    filesystem, path = pyarrow.fs.FileSystem.from_uri(source)
    # Row groups come in one request each: in an object store the wait costs more than the bytes.
    return pq.ParquetFile(filesystem.open_input_file(path), pre_buffer=True)


class Columns(Mapping[str, np.ndarray]):
    """Columns in row order, each read when first asked for; no film is touched."""

    def __init__(self, source: str, names: Iterable[str]) -> None:
        self._source = source
        self._names = tuple(names)
        self._read: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = column(self._source, name).to_numpy()
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def column(source: str, name: str) -> "pa.ChunkedArray[Any]":
    """One column of all rows."""
    with opened(source) as stored:
        return stored.read(columns=[name])[name]


def codes(values: "pa.ChunkedArray[Any]") -> np.ndarray:
    """Whole numbers that are equal where the values are; no text becomes a Python object."""
    encoded: Any = pc.dictionary_encode(values).combine_chunks()
    return np.asarray(encoded.indices)


class Films:
    """The encoded images of one column; at any time one row group of them is in memory."""

    def __init__(self, source: str, column: str = "image") -> None:
        self._source = source
        self._column = column

    @cached_property
    def starts(self) -> np.ndarray:
        """First row of each row group, and the number of rows at the end."""
        with opened(self._source) as stored:
            sizes = [stored.metadata.row_group(g).num_rows for g in range(stored.num_row_groups)]
        return np.cumsum([0, *sizes])

    def groups(self, rows: np.ndarray) -> np.ndarray:
        """The row group of each row."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def by_group(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, list[bytes | None]]]:
        """
        The films of some rows, a row group at a time.

        Returns:
            For each group the indices into ``rows`` that it answers, and their films.
        """
        groups = self.groups(rows)
        with opened(self._source) as stored:
            for group in np.unique(groups):
                wanted = np.flatnonzero(groups == group)
                read = stored.read_row_group(int(group), columns=[f"{self._column}.bytes"])
                yield wanted, _slices(read[self._column], rows[wanted] - self.starts[group])

    def read(self, rows: Iterable[int]) -> list[Any]:
        """The films of some rows, in that order; None where there is no image."""
        wanted = np.fromiter(rows, dtype=np.int64)
        found: list[bytes | None] = [None] * wanted.size
        for places, films in self.by_group(wanted):
            for place, film in zip(places.tolist(), films, strict=True):
                found[place] = film
        return found


def _slices(images: "pa.ChunkedArray[Any]", rows: np.ndarray) -> list[bytes | None]:
    # flatten() gives the bytes their struct's gaps: a row without an image has none.
    struct: Any = images.combine_chunks()
    (encoded,) = struct.flatten()
    _, offsets, data = encoded.buffers()
    ends = np.frombuffer(offsets, np.int32)[encoded.offset : encoded.offset + len(encoded) + 1]
    there = encoded.is_valid().to_numpy(zero_copy_only=False)[rows]
    pairs = zip(ends[rows].tolist(), ends[rows + 1].tolist(), there.tolist(), strict=True)
    stored = memoryview(data) if data is not None else memoryview(b"")
    return [stored[first:last].tobytes() if real else None for first, last, real in pairs]
