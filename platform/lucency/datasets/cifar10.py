"""
Ten kinds of things in small colour photographs: CIFAR-10 of Krizhevsky, 2009.

From the official Python batches, https://www.cs.toronto.edu/~kriz/cifar.html. They are pickles,
which may call whatever they name; here they can call nothing but the two stand-ins below.
"""

import io
import pickle
import pickletools
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lucency import files
from lucency.datasets import fetch, official
from lucency.datasets.arrays import ArrayDataset, Part
from lucency.datasets.base import datasets
from lucency.datasets.fetch import Remote
from lucency.errors import DataError

SIDE = 32
MIRROR = "https://www.cs.toronto.edu/~kriz/"
ARCHIVE = "cifar-10-python.tar.gz"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
ARCHIVE_BYTES = 170_498_071
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
# The official batches have 31 MB, 10,013 numbered objects and 7 tuples each.
_MAX_BATCH_BYTES = 2**26
_MAX_NUMBER = 2**20
_MAX_TUPLES = 100
_BELOW = "cifar-10-batches-py"
_PARTS = {"test": ["test_batch"], "train": [f"data_batch_{number}" for number in range(1, 6)]}


@datasets.register("cifar10")
class Cifar10(ArrayDataset):
    """
    Ten classes, 50,000 pictures to train on and 10,000 to test on, 32 x 32 px, RGB.

    Args:
        root: Holds ``cifar-10-batches-py``, or is that folder.
        verify: Compare each file with the published MD5; off for files of the same form.
        download: Where none of the files is there, fetch the archive of them and unpack it.
        mirror: The address below which the archive is published.

    Raises:
        DataError: a file is missing, damaged, of another set, or names what it may not call.
    """

    def __init__(
        self,
        *,
        root: Path = Path("data/cifar10"),
        verify: bool = True,
        download: bool = False,
        mirror: str = MIRROR,
    ) -> None:
        archive = official.address(mirror, ARCHIVE)
        folder = official.folder(root, MD5, below=_BELOW, published=archive, download=download)
        if not folder.exists():
            _download(Remote(archive, ARCHIVE_MD5, ARCHIVE_BYTES, ARCHIVE_SHA256), folder)
        _check_names(folder / "batches.meta", verify)
        parts = []
        for name, batches in _PARTS.items():
            pixels, labels = zip(*[_read(folder / file, verify) for file in batches], strict=True)
            parts.append(Part(name, np.concatenate(pixels), np.concatenate(labels)))
        super().__init__(parts, CLASSES, site="cifar10")


def _download(archive: Remote, folder: Path) -> None:
    """Fetch the archive, and put the seven files of it into a folder of their own."""
    with (
        fetch.new_folders(folder.parent),
        tempfile.TemporaryDirectory(prefix=".fetched.", dir=folder.parent) as temporary,
    ):
        packed = Path(temporary) / ARCHIVE
        fetch.fetch(archive, packed)
        with files.atomic_folder(folder) as made:
            _unpack(packed, made)


def _unpack(packed: Path, folder: Path) -> None:
    # By name, and only what is compared right after: nothing else in an archive is ever written.
    try:
        with tarfile.open(packed, "r:gz") as archive:
            for name, md5 in MD5.items():
                stream = archive.extractfile(f"{_BELOW}/{name}")
                if stream is None:
                    raise DataError(f"{name!r} in {packed.name!r} is no file: check the mirror")
                (folder / name).write_bytes(stream.read(_MAX_BATCH_BYTES))
                official.read(folder / name, md5)
    except (OSError, EOFError, LookupError, zlib.error, tarfile.TarError) as cause:
        raise DataError(f"{packed.name!r} can't be unpacked ({cause}); check the mirror") from cause


class _Array:
    """Takes the place of numpy.ndarray and of the function that rebuilds one; bytes only."""

    values: np.ndarray

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, columns_first, data = state
        if not isinstance(dtype, _Dtype) or columns_first:
            raise pickle.UnpicklingError("an array that is not of bytes, row by row")
        self.values = np.frombuffer(data, np.uint8).reshape(shape)


class _Dtype:
    """Takes the place of numpy.dtype."""

    def __init__(self, code: bytes, *_: object) -> None:
        if code != b"u1":
            raise pickle.UnpicklingError(f"numbers of type {code!r}, expected b'u1'")

    def __setstate__(self, state: object) -> None: ...


# Stand-ins and not numpy's own functions, which are not made for a state that means harm.
_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}


class _Unpickler(pickle.Unpickler):
    """Dictionaries, lists, bytes, whole numbers, and arrays of bytes; nothing else."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it names {f'{module}.{name}'!r}")
        return _STAND_INS[module, name]

    def persistent_load(self, pid: object, /) -> Any:
        raise pickle.UnpicklingError("it names an object outside of the file")


def _refuse_costly(data: bytes) -> None:
    """Refuse what would cost memory or the process before a name is ever asked for."""
    nested = 0
    for code, argument, _ in pickletools.genops(data):
        # A list as long as the number says is made for it: eight bytes ask for gigabytes.
        if "PUT" in code.name and isinstance(argument, int) and argument > _MAX_NUMBER:
            raise pickle.UnpicklingError(f"it numbers an object {argument}")
        nested += "TUPLE" in code.name or code.name == "FROZENSET"
        # The interpreter itself ends when it compares tuples that are nested by the ten thousand.
        if nested > _MAX_TUPLES:
            raise pickle.UnpicklingError(f"it holds more than {_MAX_TUPLES} tuples")


def _load(path: Path, verify: bool) -> dict[bytes, Any]:
    data = official.read(path, MD5[path.name] if verify else None)
    try:
        _refuse_costly(data)
        loaded = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as cause:  # a damaged pickle may end in any error at all
        raise DataError(
            f"{str(path)!r} is refused: {cause}. Expected a pickle of numbers and names alone, "
            "as published: fetch it again"
        ) from cause
    if not isinstance(loaded, dict):
        raise DataError(f"{str(path)!r} holds a {type(loaded).__name__}, expected a dictionary")
    return loaded


def _read(path: Path, verify: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, n x 32 x 32 x 3, and labels of one batch."""
    batch = _load(path, verify)
    stored, labels = batch.get(b"data"), batch.get(b"labels")
    values = getattr(stored, "values", np.empty(0))
    if not isinstance(stored, _Array) or values.shape[1:] != (3 * SIDE * SIDE,):
        raise DataError(
            f"{str(path)!r} has the keys {sorted(map(repr, batch))} and 'data' of shape "
            f"{values.shape}; expected 'data' of shape (n, {3 * SIDE * SIDE})"
        )
    known = range(len(CLASSES))
    if not isinstance(labels, list) or not all(type(x) is int and x in known for x in labels):
        raise DataError(f"{str(path)!r} has no list of labels from 0 to {known[-1]} under 'labels'")
    planes = values.reshape(-1, 3, SIDE, SIDE)
    pixels = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    if len(labels) != len(pixels):
        raise DataError(f"{str(path)!r} has {len(pixels)} images and {len(labels)} labels")
    return pixels, np.array(labels, dtype=np.int64)


def _check_names(path: Path, verify: bool) -> None:
    names = _load(path, verify).get(b"label_names")
    if names != [name.encode() for name in CLASSES]:
        raise DataError(f"{str(path)!r} names the classes {names!r}; expected {list(CLASSES)}")
