"""Films listed in a CSV file: one row a film, its columns named in the options."""

import csv
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lucency import files
from lucency.datasets import layout
from lucency.datasets.base import Sample, datasets
from lucency.datasets.folder import read_inside
from lucency.errors import DataError, LucencyError

# Some millions of rows; without a line break the reader would take all of it for one line.
_MAX_BYTES = 2**28


@dataclass(frozen=True)
class _Row:
    """What one line says, in text; where the line stands is told in messages."""

    line: int
    image: str
    label: str
    patient: str
    site: str
    split: str | None
    scanner: str
    view: str
    age_band: str


@datasets.register("csv")
class Manifest:
    """
    The rows of a manifest, in its order; a file that is not there is set aside by the checks.

    Args:
        manifest: UTF-8, commas between values, names of columns in its first line.
        root: What image paths are relative to; none: the manifest's own folder.
        image: Column of the films' paths.
        label: Column of the classes' names.
        patient: Column of the patients; empty: every film is a patient of its own.
        site: Column of hospital or scanner; empty: all are ``unknown``.
        split: Column of the official split (train, val, valid, validation, test); empty: none.
        scanner: Column of maker and model; empty: not given.
        view: Column of the projection (PA, AP, LATERAL); empty: not given.
        age_band: Column of age ranges such as ``1-5``; empty: not given.
        classes: Values of the label column, the last one being the positive class of two;
            empty: all there are, sorted as text.
        corrections: What a reviewed worklist wrote (``label_corrections.csv``): films by their
            content, the label each gets and the one it must have had; each film is read once more.

    Raises:
        DataError: a column, a class or a value is not what it must be; the line is named.
    """

    def __init__(
        self,
        *,
        manifest: Path,
        root: Path | None = None,
        image: str = "image",
        label: str = "label",
        patient: str = "",
        site: str = "",
        split: str = "",
        scanner: str = "",
        view: str = "",
        age_band: str = "",
        classes: tuple[str, ...] = (),
        corrections: Path | None = None,
    ) -> None:
        layout.refuse_odd(classes)
        self.root = (manifest.parent if root is None else root).absolute()
        columns = {
            "image": image,
            "label": label,
            "patient": patient,
            "site": site,
            "split": split,
            "scanner": scanner,
            "view": view,
            "age_band": age_band,
        }
        self._rows = _rows(manifest, {key: name for key, name in columns.items() if name})
        for row in self._rows:
            _refuse_escape(self.root, row, str(manifest))
        self.classes = classes or tuple(sorted({row.label for row in self._rows}))
        _refuse_labels(self._rows, self.classes, str(manifest), label)
        self._corrections = _corrections(corrections, self.classes) if corrections else {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Sample]:
        labels = {name: label for label, name in enumerate(self.classes)}
        for row in self._rows:
            read = functools.partial(read_inside, self.root, row.image)
            yield Sample(
                name=row.image,
                read=read,
                label=labels[self._label(row, read)],
                patient=row.patient,
                site=row.site,
                split=row.split,
                scanner=row.scanner,
                view=row.view,
                age_band=row.age_band,
            )

    def _label(self, row: _Row, read: Callable[[], bytes]) -> str:
        if not self._corrections:
            return row.label
        try:
            sha256 = files.sha256(read())
        except (OSError, LucencyError):
            return row.label  # the checks set this film aside, with the reason
        was, label = self._corrections.get(sha256, (row.label, row.label))
        if row.label not in (was, label):
            raise DataError(
                f"film {row.image!r} has the label {row.label!r}, its correction is from {was!r} "
                f"to {label!r}: the corrections are of another manifest"
            )
        return label


def _corrections(path: Path, classes: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The label that each film had and the one it gets, by the film's SHA-256."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            found = {
                row["sha256"]: (row["was"], row["label"])
                for row in csv.DictReader(stream, strict=True)
            }
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as cause:
        raise DataError(
            f"corrections {str(path)!r} can't be read ({cause!r}); give the label_corrections.csv "
            "of a worklist"
        ) from cause
    for was, label in found.values():
        if was not in classes or label not in classes:
            raise DataError(
                f"{str(path)!r} corrects {was!r} to {label!r}; the classes are {list(classes)}"
            )
    return found


def _rows(manifest: Path, columns: Mapping[str, str]) -> list[_Row]:
    if not manifest.is_file():
        raise DataError(f"manifest {str(manifest)!r} does not exist; give a CSV file")
    if manifest.stat().st_size > _MAX_BYTES:
        raise DataError(
            f"{str(manifest)!r} has more than {_MAX_BYTES} bytes, too many for a list of films"
        )
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            _refuse_columns(reader.fieldnames or [], columns, str(manifest))
            rows = [_row(reader.line_num, raw, columns, str(manifest)) for raw in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise DataError(
            f"{str(manifest)!r} can't be read as CSV ({cause}); expected UTF-8 with commas"
        ) from cause
    if not rows:
        raise DataError(f"{str(manifest)!r} lists no film; expected one row for each")
    return rows


def _refuse_columns(found: Sequence[str], columns: Mapping[str, str], source: str) -> None:
    for option, name in columns.items():
        if found.count(name) > 1:
            raise DataError(f"{source!r} has the column {name!r} twice; leave one of them")
        if name not in found:
            meant = layout.closest(name, found)
            hint = "" if meant is None else f", the nearest is {meant!r}"
            raise DataError(
                f"{source!r} has no column {name!r}{hint}; it has {list(found)}: say with the "
                f"option {option!r} which one it is"
            )


def _row(
    line: int, raw: Mapping[str | None, str | None], columns: Mapping[str, str], source: str
) -> _Row:
    where = f"line {line} of {source!r}"
    if None in raw:
        raise DataError(
            f"{where} has more values than there are columns; put values that hold a comma in "
            "double quotes"
        )
    values = {key: (raw[name] or "").strip() for key, name in columns.items()}
    for key in ("image", "label", "patient"):
        if values.get(key) == "":
            raise DataError(
                f"{where} has no value in column {columns[key]!r}; every film needs one"
            )
    split = values.get("split")
    if split is not None and split.lower() not in layout.SPLITS:
        raise DataError(
            f"{where} has the split {split!r} in column {columns['split']!r}; expected one of "
            f"{list(layout.SPLITS)}"
        )
    return _Row(
        line=line,
        image=values["image"],
        label=values["label"],
        patient=values.get("patient", values["image"]),
        site=values.get("site") or "unknown",
        split=None if split is None else layout.SPLITS[split.lower()],
        scanner=values.get("scanner", ""),
        view=values.get("view", ""),
        age_band=values.get("age_band", ""),
    )


def _refuse_escape(root: Path, row: _Row, source: str) -> None:
    # By the text alone: links are followed, and judged, when the film is read.
    path = Path(os.path.normpath(root / row.image))
    if "\0" in row.image or not path.is_relative_to(os.path.normpath(root)):
        raise DataError(
            f"line {row.line} of {source!r} names {row.image!r}, which is outside of "
            f"{str(root)!r}; give the folder above all films as root"
        )


def _refuse_labels(rows: Sequence[_Row], classes: Sequence[str], source: str, column: str) -> None:
    if len(classes) < 2:
        raise DataError(
            f"column {column!r} of {source!r} holds only {classes[0]!r}; expected two classes "
            "or more"
        )
    for row in rows:
        if row.label not in classes:
            raise DataError(
                f"line {row.line} of {source!r} has the label {row.label!r}; "
                f"{layout.nearest(row.label, classes)}: correct it, or add it to classes"
            )
    found = {row.label for row in rows}
    if missing := [name for name in classes if name not in found]:
        raise DataError(
            f"no row of {source!r} has the class {missing[0]!r} in column {column!r}; "
            f"{layout.nearest(missing[0], found)}"
        )
