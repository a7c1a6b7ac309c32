"""
The one stored form of a data set: a Parquet table with one row a film.

The image column has the ``{bytes, path}`` form and the metadata that Hugging Face datasets
reads as images, so the file opens there, in pandas, in DuckDB and in Ray Data as it is.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lucency import files
from lucency.errors import DataError

NAME = "table.parquet"
FORMAT = 1
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SCHEMA = pa.schema(
    [
        ("image", _IMAGE),
        ("mask", _IMAGE),
        ("label", pa.int64()),
        ("patient", pa.string()),
        ("site", pa.string()),
        ("split", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
    ]
)
_ROWS_PER_GROUP = 256


@dataclass(frozen=True)
class Row:
    """One film that passed every check."""

    data: bytes
    mask_png: bytes | None
    label: int
    patient: str
    site: str
    split: str
    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Table:
    """
    A prepared data set on disk.

    Attributes:
        path: The Parquet file.
        classes: Names by label; the last one is the positive class of a binary task.
        name: The data set's registered name.
        digest: SHA-256 over every row's film, label, patient, site and split.
    """

    path: Path
    classes: tuple[str, ...]
    name: str
    digest: str

    @classmethod
    def open(cls, path: Path) -> "Table":
        """
        Open a table by its file or by the folder that holds it.

        Raises:
            DataError: there is none, or it is not one of ours.
        """
        file = path / NAME if path.is_dir() else path
        if not file.is_file():
            raise DataError(
                f"no table at {str(path)!r}; make one with "
                f"python jobs/prepare.py configs/prepare/phantom.yaml output={path}"
            )
        try:
            metadata = pq.read_schema(file).metadata or {}
            header = json.loads(metadata[b"lucency"])
        except (KeyError, ValueError, pa.ArrowInvalid) as cause:
            raise DataError(
                f"{str(file)!r} is not a table that jobs/prepare.py wrote ({cause})"
            ) from cause
        if header["format"] != FORMAT:
            raise DataError(
                f"{str(file)!r} has table format {header['format']}, this version reads {FORMAT}: "
                "prepare it again"
            )
        return cls(file, tuple(header["classes"]), header["name"], header["digest"])

    @cached_property
    def columns(self) -> Mapping[str, np.ndarray]:
        """All columns but the images, each with n entries in row order."""
        names = ["label", "patient", "site", "split", "width", "height", "sha256"]
        read = pq.read_table(self.path, columns=names)
        return {name: read[name].to_numpy(zero_copy_only=False) for name in names}

    @property
    def drawn(self) -> bool:
        """True for phantom films, whose figures must never be given as clinical results."""
        return self.name == "phantom"

    def rows(self, split: str) -> np.ndarray:
        """
        Row numbers of one split, ascending.

        Raises:
            DataError: the table has no such split.
        """
        found = np.flatnonzero(self.columns["split"] == split)
        if not found.size:
            present = sorted(set(self.columns["split"]))
            raise DataError(f"{str(self.path)!r} has no split {split!r}; it has {present}")
        return found

    def images(self, rows: Iterable[int]) -> list[bytes]:
        """The encoded bytes of the given rows, in that order."""
        return self._binary("image", rows)

    def masks(self, rows: Iterable[int]) -> list[bytes | None]:
        """The lesion masks (PNG) of the given rows, None where none is known."""
        return self._binary("mask", rows)

    def _binary(self, column: str, rows: Iterable[int]) -> list[Any]:
        wanted = np.fromiter(rows, dtype=np.int64)
        found: list[Any] = [None] * wanted.size
        # One row group at a time: a table may be larger than memory, a group never is.
        with pq.ParquetFile(self.path) as stored:
            sizes = [stored.metadata.row_group(g).num_rows for g in range(stored.num_row_groups)]
            starts = np.cumsum([0, *sizes])
            groups = np.searchsorted(starts, wanted, side="right") - 1
            for group in np.unique(groups):
                values = stored.read_row_group(int(group), columns=[column])[column]
                for place in np.flatnonzero(groups == group):
                    value = values[int(wanted[place] - starts[group])].as_py()
                    found[place] = value["bytes"] if value else None
        return found


def write(path: Path, rows: Sequence[Row], *, classes: Sequence[str], name: str) -> Table:
    """Write rows as a table at ``path``, atomically."""
    header = {
        "format": FORMAT,
        "name": name,
        "classes": list(classes),
        "digest": files.digest(
            [[row.sha256, row.label, row.patient, row.site, row.split] for row in rows]
        ),
    }
    features = {
        "image": {"_type": "Image"},
        "mask": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(classes)},
        **{key: {"_type": "Value", "dtype": "string"} for key in ("patient", "site", "split")},
        **{key: {"_type": "Value", "dtype": "int32"} for key in ("width", "height")},
        "sha256": {"_type": "Value", "dtype": "string"},
    }
    schema = _SCHEMA.with_metadata(
        {
            "huggingface": json.dumps({"info": {"features": features}}),
            "lucency": json.dumps(header),
        }
    )
    with (
        files.atomic_file(path) as temporary,
        # Films are compressed already: a second compression would only cost time.
        pq.ParquetWriter(temporary, schema, compression="none") as writer,
    ):
        for start in range(0, len(rows), _ROWS_PER_GROUP):
            group = [_as_record(row) for row in rows[start : start + _ROWS_PER_GROUP]]
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
    return Table.open(path)


def _as_record(row: Row) -> dict[str, Any]:
    # The file's own name may carry a patient's; the content hash can't.
    stem = row.sha256[:16]
    suffix = "png" if row.data.startswith(b"\x89PNG") else "jpeg"
    mask = {"bytes": row.mask_png, "path": f"{stem}_mask.png"} if row.mask_png else None
    return {
        "image": {"bytes": row.data, "path": f"{stem}.{suffix}"},
        "mask": mask,
        "label": row.label,
        "patient": row.patient,
        "site": row.site,
        "split": row.split,
        "width": row.width,
        "height": row.height,
        "sha256": row.sha256,
    }
