"""
The one stored form of a data set: a Parquet table with one row a film.

The image column has the ``{bytes, path}`` form and the metadata that Hugging Face datasets
reads as images, so the file opens there, in pandas, in DuckDB and in Ray Data as it is.
"""

import json
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lucency import files, images
from lucency.datasets import reading, splits
from lucency.errors import DataError
from lucency.images import Color

NAME = "table.parquet"
FORMAT = 2
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SCHEMA = pa.schema(
    [
        ("image", _IMAGE),
        ("mask", _IMAGE),
        ("label", pa.int64()),
        ("patient", pa.string()),
        ("site", pa.string()),
        ("scanner", pa.string()),
        ("view", pa.string()),
        ("age_band", pa.string()),
        ("split", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
    ]
)
_ROWS_PER_GROUP = 256


@dataclass(frozen=True)
class Row:
    """
    One film that passed every check.

    Attributes:
        data: The encoded bytes, or what reads them when the row is written: the films of a large
            set don't fit into memory.
    """

    data: bytes | Callable[[], bytes]
    mask_png: bytes | None
    label: int
    patient: str
    site: str
    split: str
    width: int
    height: int
    sha256: str
    scanner: str = ""
    view: str = ""
    age_band: str = ""


@dataclass(frozen=True)
class Table:
    """
    A prepared data set on disk.

    Attributes:
        path: The Parquet file.
        classes: Names by label; the last one is the positive class of a binary task.
        name: The data set's registered name.
        digest: SHA-256 over every row's film, label, patient, site and split.
        splits_digest: SHA-256 over who is in which split, that of the saved ``splits.json``.
        uri: Where the file is, if not on a disk of this machine.
    """

    path: Path
    classes: tuple[str, ...]
    name: str
    digest: str
    splits_digest: str
    uri: str = ""

    @classmethod
    def open(cls, path: Path | str) -> "Table":
        """
        Open a table by its file, by the folder that holds it, or by the URI of the file.

        An S3-compatible store is named by its own endpoint:
        ``s3://bucket/table.parquet?endpoint_override=HOST:PORT&scheme=https``.

        Raises:
            DataError: there is none, it is not one of ours, or the URI holds a password.
        """
        uri = path if isinstance(path, str) and "://" in path else ""
        if "@" in urllib.parse.urlsplit(uri).netloc:
            # A run's record repeats where its table lies.
            raise DataError(
                "the table's URI holds a user or a password, which would be written down with "
                "every run: leave them out and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        path = Path(path)
        file = path / NAME if path.is_dir() else path
        if not uri and not file.is_file():
            raise DataError(
                f"no table at {str(path)!r}; make one with "
                f"python jobs/prepare.py configs/prepare/phantom.yaml output={path}"
            )
        try:
            with reading.opened(uri or str(file)) as stored:
                header = json.loads((stored.schema_arrow.metadata or {})[b"lucency"])
        except OSError as cause:
            raise DataError(f"table {uri or str(file)!r} can't be read: {cause}") from cause
        except (KeyError, ValueError, pa.ArrowInvalid) as cause:
            raise DataError(
                f"{str(file)!r} is not a table that jobs/prepare.py wrote ({cause})"
            ) from cause
        if header["format"] != FORMAT:
            raise DataError(
                f"{str(file)!r} has table format {header['format']}, this version reads {FORMAT}: "
                "prepare it again"
            )
        return cls(
            file,
            tuple(header["classes"]),
            header["name"],
            header["digest"],
            header["splits_digest"],
            uri,
        )

    @property
    def source(self) -> str:
        """The path or the URI that any process of the cluster can open it by."""
        return self.uri or str(self.path.absolute())

    @cached_property
    def columns(self) -> Mapping[str, np.ndarray]:
        """All columns but the images, each with n entries in row order."""
        names = [name for name in _SCHEMA.names if name not in ("image", "mask")]
        return reading.Columns(self.source, names)

    @cached_property
    def films(self) -> reading.Films:
        """The encoded images, read by row group."""
        return reading.Films(self.source)

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
            raise DataError(f"{self.source!r} has no split {split!r}; it has {present}")
        return found

    def codes(self, column: str) -> np.ndarray:
        """Whole numbers, one a row, that are equal where the column's entries are."""
        return reading.codes(reading.column(self.source, column))

    def images(self, rows: Iterable[int]) -> list[bytes]:
        """The encoded bytes of the given rows, in that order."""
        return self.films.read(rows)

    def masks(self, rows: Iterable[int]) -> list[bytes | None]:
        """The lesion masks (PNG) of the given rows, None where none is known."""
        return reading.Films(self.source, "mask").read(rows)

    def load(self, split: str | None = None, *, color: Color = "L") -> np.ndarray:
        """
        All films of a split, or of the table, decoded: uint8, n x h x w x c, in row order.

        For sets whose films have one size and fit into memory together.

        Raises:
            DataError: the films differ in size.
        """
        rows = np.arange(len(self.columns["split"])) if split is None else self.rows(split)
        sides = np.stack([self.columns[side][rows] for side in ("height", "width")], axis=1)
        sizes = [tuple(size) for size in np.unique(sides, axis=0).tolist()]
        if len(sizes) != 1:
            raise DataError(
                f"{self.source!r} has films of {len(sizes)} sizes (h, w), as {sizes[:3]}; "
                "an array needs one size: read them by images"
            )
        decoded = np.empty((len(rows), *sizes[0], 1 if color == "L" else 3), dtype=np.uint8)
        for places, films in self.films.by_group(rows):
            for place, film in zip(places.tolist(), films, strict=True):
                assert film is not None, "every row has an image"
                decoded[place] = images.decode_checked(film, color=color)
        return decoded


def write(path: Path, rows: Sequence[Row], *, classes: Sequence[str], name: str) -> Table:
    """Write rows as a table at ``path``, atomically, with the films of one row group in memory."""
    header = {
        "format": FORMAT,
        "name": name,
        "classes": list(classes),
        "digest": files.digest(
            [[row.sha256, row.label, row.patient, row.site, row.split] for row in rows]
        ),
        "splits_digest": splits.digest([(row.sha256, row.patient, row.split) for row in rows]),
    }
    features = {
        "image": {"_type": "Image"},
        "mask": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(classes)},
        **{
            key: {"_type": "Value", "dtype": "string"}
            for key in ("patient", "site", "scanner", "view", "age_band", "split")
        },
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
    data = row.data if isinstance(row.data, bytes) else row.data()
    suffix = "png" if data.startswith(b"\x89PNG") else "jpeg"
    mask = {"bytes": row.mask_png, "path": f"{stem}_mask.png"} if row.mask_png else None
    return {
        "image": {"bytes": data, "path": f"{stem}.{suffix}"},
        "mask": mask,
        "label": row.label,
        "patient": row.patient,
        "site": row.site,
        "scanner": row.scanner,
        "view": row.view,
        "age_band": row.age_band,
        "split": row.split,
        "width": row.width,
        "height": row.height,
        "sha256": row.sha256,
    }
