"""
Small medical pictures: any set of MedMNIST with one label an image, from its npz file.

Yang et al., 2023, https://doi.org/10.1038/s41597-022-01721-8. PneumoniaMNIST was made of the films
of Kermany et al. and divided by film: children of its validation films are in train as well. With
``rows``, a table of which patient each row is of, the films are divided anew by patient.
"""

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from lucency.datasets import official
from lucency.datasets.arrays import ArrayDataset, Part
from lucency.datasets.base import datasets
from lucency.datasets.fetch import Remote
from lucency.errors import DataError

MIRROR = "https://zenodo.org/records/10519652/files/"
# As published with MedMNIST v3. The file of any other set is fetched with its ``md5`` given.
MD5 = {
    "pneumoniamnist.npz": "28209eda62fecd6e6a2d98b1501bb15f",
    "pneumoniamnist_64.npz": "8f4eceb4ccffa70c672198ea285246c6",
}
_MAX_DIGITS = 9
_PARTS = ("test", "val", "train")
_COLUMNS = ("split", "index", "patient_id")
Patients = Mapping[str, Mapping[int, str]]


@datasets.register("medmnist")
class MedMnist(ArrayDataset):
    """
    The images of an npz file with the keys ``{train,val,test}_{images,labels}``.

    Args:
        classes: Names by label.
        rows: CSV with the columns split (train, val, test), index and patient_id, and perhaps
            label; a row that it does not name, or names without a patient, is its own patient.
        md5: What the file must have; none: a file that is there may be any of this form, with
            its rows in another order for example, and one that is fetched is compared with the
            published MD5.
        download: Fetch the file if it is missing.
        mirror: The address below which it is published, under its own name.
        max_bytes: Of all arrays together, and of the file.

    Raises:
        DataError: the file is missing or not of MedMNIST's form, a label is outside of
            ``classes``, or ``rows`` belongs to another file.
    """

    def __init__(
        self,
        *,
        path: Path = Path("data/pneumoniamnist/pneumoniamnist.npz"),
        classes: Annotated[tuple[str, ...], Field(min_length=2)] = ("NORMAL", "PNEUMONIA"),
        rows: Path | None = None,
        site: str = "medmnist",
        md5: str | None = None,
        download: bool = False,
        mirror: str = MIRROR,
        max_bytes: Annotated[int, Field(gt=0)] = 2**32,
    ) -> None:
        address = official.address(mirror, path.name)
        published = Remote(address, _published_md5(path, md5, download), max_bytes)
        official.complete(path.parent, {path.name: published}, download=download)
        if md5 is not None:
            official.compare(path, md5)
        arrays = _read_npz(path, max_bytes)
        labels = {name: _labels(arrays[f"{name}_labels"], name) for name in _PARTS}
        patients = _read_rows(rows, labels) if rows else {}
        parts = [
            Part(name, arrays[f"{name}_images"], labels[name], patients.get(name, {}))
            for name in _PARTS
        ]
        super().__init__(parts, classes, site)


def _published_md5(path: Path, md5: str | None, download: bool) -> str:
    known = md5 or MD5.get(path.name, "")
    if download and not known and not path.exists():
        raise DataError(
            f"{path.name!r} is none of {sorted(MD5)}, whose MD5 is known; give the published "
            "one as dataset.md5, so that what is fetched can be proved"
        )
    return known


def _read_npz(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    expected = [f"{name}_{kind}" for name in _PARTS for kind in ("images", "labels")]
    if not path.is_file():  # to open a pipe would wait for ever
        raise DataError(f"{str(path)!r} is no file; expected the npz file of a set")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        total = sum(member.file_size for member in members)
        found = sorted(member.filename.removesuffix(".npy") for member in members)
        missing = sorted(set(expected) - set(found))
        with np.load(path, allow_pickle=False) as stored:
            arrays = (
                {key: np.asarray(stored[key]) for key in expected}
                if not missing and total <= max_bytes
                else {}
            )
    except OSError as cause:
        raise DataError(f"{str(path)!r} can't be read ({cause.strerror or cause})") from cause
    except Exception as cause:  # numpy and zipfile meet damage with a dozen kinds of error
        raise DataError(
            f"{str(path)!r} is no whole npz file of plain arrays ({cause}): fetch it again"
        ) from cause
    if total > max_bytes:
        raise DataError(
            f"{str(path)!r} inflates to {total} bytes, the limit max_bytes is {max_bytes}; raise "
            "it if the set is that large"
        )
    if missing:
        raise DataError(f"{str(path)!r} has the keys {found}; {missing} are missing")
    return arrays


def _labels(stored: np.ndarray, name: str) -> np.ndarray:
    column = stored[:, 0] if stored.ndim == 2 and stored.shape[1] == 1 else stored
    if column.ndim != 1 or not np.issubdtype(column.dtype, np.integer):
        raise DataError(
            f"the {name} labels are {stored.dtype} of shape {stored.shape}; expected whole "
            "numbers, one an image: sets with several are not read"
        )
    return column


def _read_rows(path: Path, labels: Mapping[str, np.ndarray]) -> Patients:
    patients: dict[str, dict[int, str]] = {name: {} for name in _PARTS}
    seen: set[tuple[str, int]] = set()
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
                raise DataError(
                    f"{str(path)!r} has the columns {reader.fieldnames}; {missing} are missing"
                )
            for row in reader:
                where = f"{str(path)!r}, line {reader.line_num}"
                name, index = _place(row, labels, where)
                if (name, index) in seen:
                    raise DataError(f"{where}: {name} {index} stands there twice")
                seen.add((name, index))
                if row["patient_id"]:
                    patients[name][index] = row["patient_id"]
    except OSError as cause:
        raise DataError(f"{str(path)!r} can't be read ({cause.strerror})") from cause
    except (UnicodeDecodeError, csv.Error) as cause:
        raise DataError(f"{str(path)!r} is no CSV in UTF-8 ({cause})") from cause
    return patients


def _place(row: Mapping[str, str], labels: Mapping[str, np.ndarray], where: str) -> tuple[str, int]:
    """Split and row that a line of the CSV is about, checked against the images."""
    name, index = row["split"], row["index"] or ""
    if name not in labels or not _is_number(index) or int(index) >= len(labels[name]):
        sizes = {split: len(values) for split, values in labels.items()}
        raise DataError(f"{where}: there is no row {index!r} in split {name!r}; rows are {sizes}")
    # The rows of two copies of one set can be in different orders: then patients would be wrong.
    label = str(int(labels[name][int(index)]))
    if row.get("label", label) != label:
        raise DataError(
            f"{where}: label {row['label']!r}, but the image has {label!r}: "
            "the CSV belongs to another file"
        )
    return name, int(index)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MAX_DIGITS
