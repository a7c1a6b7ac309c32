"""
Handwritten digits: MNIST of LeCun, Cortes and Burges, from its four official gz files.

They are read where they lie. torchvision's reader unpacks beside its input, so it can't read a
folder that is shared or read-only. http://yann.lecun.com/exdb/mnist/ gives the file format.
"""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np

from lucency.datasets import official
from lucency.datasets.arrays import ArrayDataset, Part
from lucency.datasets.base import datasets
from lucency.datasets.fetch import Remote
from lucency.errors import DataError

SIDE = 28
# The authors' own site has stopped giving them out; these are the same bytes.
MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
# Bytes and SHA-256 of the files that have these MD5 sums.
PUBLISHED = {
    "train-images-idx3-ubyte.gz": (
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte.gz": (
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "t10k-images-idx3-ubyte.gz": (
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}
# Ten times the official set; what asks for more means harm.
_MAX_ENTRIES = 700_000
_PARTS = {"test": "t10k", "train": "train"}
_UINT8 = 0x08


@datasets.register("mnist")
class Mnist(ArrayDataset):
    """
    Ten digits, 60,000 to train on and 10,000 to test on, 28 x 28 px, gray.

    Args:
        root: Holds the four files, itself or in ``MNIST/raw``, where torchvision puts them.
        verify: Compare each file with the published MD5; off for files of the same form.
        download: Fetch the files that are missing, which are always compared.
        mirror: The address below which they are published.

    Raises:
        DataError: a file is missing, damaged or of another set.
    """

    def __init__(
        self,
        *,
        root: Path = Path("data/mnist"),
        verify: bool = True,
        download: bool = False,
        mirror: str = MIRROR,
    ) -> None:
        folder = official.folder(root, MD5, below="MNIST/raw", published=mirror, download=download)
        remotes = {
            name: Remote(official.address(mirror, name), MD5[name], *PUBLISHED[name])
            for name in MD5
        }
        official.complete(folder, remotes, download=download)
        parts = [
            Part(
                name,
                _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", (SIDE, SIDE), verify),
                _read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", (), verify),
            )
            for name, prefix in _PARTS.items()
        ]
        super().__init__(parts, tuple("0123456789"), site="mnist")


def _read_idx(path: Path, entry: tuple[int, ...], verify: bool) -> np.ndarray:
    """The array of an idx file: n entries, each of the given shape, of bytes."""
    packed = official.read(path, MD5[path.name] if verify else None)
    dimensions = 1 + len(entry)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            start = stream.read(4 + 4 * dimensions)
            shape = _shape(path, start, entry)
            # One more than promised tells a longer file, however long it is.
            data = stream.read(math.prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as cause:
        raise DataError(f"{str(path)!r} is no whole gzip file ({cause}): fetch it again") from cause
    if len(data) != math.prod(shape):
        more = "more" if len(data) > math.prod(shape) else str(len(data))
        raise DataError(
            f"{str(path)!r} promises shape {shape} and holds {more} bytes; expected as many as "
            "it promises"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _shape(path: Path, start: bytes, entry: tuple[int, ...]) -> tuple[int, ...]:
    """What the first bytes of an idx file promise, if it is what is expected."""
    dimensions = 1 + len(entry)
    if start[:4] != bytes([0, 0, _UINT8, dimensions]) or len(start) < 4 + 4 * dimensions:
        raise DataError(
            f"{str(path)!r} starts with {start[:4]!r}; expected an idx file of bytes with "
            f"{dimensions} dimensions"
        )
    shape: tuple[int, ...] = tuple(np.frombuffer(start, ">u4", dimensions, offset=4).tolist())
    if shape[1:] != entry or shape[0] > _MAX_ENTRIES:
        raise DataError(
            f"{str(path)!r} promises shape {shape}; expected {('n', *entry)} with n up to "
            f"{_MAX_ENTRIES}"
        )
    return shape
