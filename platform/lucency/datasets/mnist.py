"""
Handwritten digits: MNIST of LeCun, Cortes and Burges, from its four official gz files.

They are read where they lie. torchvision's reader unpacks beside its input, so it can't read a
folder that is shared or read-only. http://yann.lecun.com/exdb/mnist/ gives the file format.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from lucency.datasets import official
from lucency.datasets.arrays import ArrayDataset, Part
from lucency.datasets.base import datasets
from lucency.errors import DataError

SIDE = 28
MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
_PARTS = {"test": "t10k", "train": "train"}
_UINT8 = 0x08


@datasets.register("mnist")
class Mnist(ArrayDataset):
    """
    Ten digits, 60,000 to train on and 10,000 to test on, 28 x 28 px, gray.

    Args:
        root: Holds the four files, itself or in ``MNIST/raw``, where torchvision puts them.
        verify: Compare each file with the published MD5; off for files of the same form.

    Raises:
        DataError: a file is missing, damaged or of another set.
    """

    def __init__(self, *, root: Path = Path("data/mnist"), verify: bool = True) -> None:
        folder = official.folder(root, MD5, below="MNIST/raw")
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
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as cause:
        raise DataError(f"{str(path)!r} is no whole gzip file ({cause}): fetch it again") from cause
    dimensions = 1 + len(entry)
    start = 4 + 4 * dimensions
    if data[:4] != bytes([0, 0, _UINT8, dimensions]) or len(data) < start:
        raise DataError(
            f"{str(path)!r} starts with {data[:4]!r}; expected an idx file of bytes with "
            f"{dimensions} dimensions"
        )
    shape = tuple(np.frombuffer(data, ">u4", dimensions, offset=4).tolist())
    if shape[1:] != entry or math.prod(shape) != len(data) - start:
        raise DataError(
            f"{str(path)!r} promises shape {shape} and holds {len(data) - start} bytes; "
            f"expected {('n', *entry)} and as many bytes"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
