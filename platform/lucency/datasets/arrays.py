"""What MNIST, CIFAR-10 and MedMNIST have in common: pictures that lie in memory as arrays."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lucency import images
from lucency.datasets.base import Sample
from lucency.errors import DataError

_SPLITS = {"train": "train", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Part:
    """
    One split of a source.

    Attributes:
        name: The source's word for it: ``train``, ``val`` or ``test``.
        pixels: uint8, n x h x w or n x h x w x 3 (RGB).
        labels: n whole numbers.
        patients: By row; a row without one is a patient of its own.
    """

    name: str
    pixels: np.ndarray
    labels: np.ndarray
    patients: Mapping[int, str] = field(default_factory=dict)


class ArrayDataset:
    """
    Samples of parts, in the order of the parts; a picture becomes PNG when it is read.

    Preparation keeps the first of identical pictures, so a source gives its test part first:
    the official test stays whole, and what it shares with train leaves train.

    Raises:
        DataError: shape, type or labels of a part are not what ``Part`` says.
    """

    def __init__(self, parts: Sequence[Part], classes: tuple[str, ...], site: str) -> None:
        for part in parts:
            _check(part, classes)
        self.classes = classes
        self.site = site
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(part.pixels) for part in self._parts)

    def __iter__(self) -> Iterator[Sample]:
        for part in self._parts:
            for row, (pixels, label) in enumerate(zip(part.pixels, part.labels, strict=True)):
                name = f"{part.name}/{row:05}"
                yield Sample(
                    name=name,
                    read=functools.partial(images.encode_png, pixels),
                    label=int(label),
                    patient=part.patients.get(row, name),
                    site=self.site,
                    split=_SPLITS[part.name],
                )


def _check(part: Part, classes: Sequence[str]) -> None:
    pixels, labels = part.pixels, part.labels
    gray, color = pixels.ndim == 3, pixels.ndim == 4 and pixels.shape[3] == 3
    if pixels.dtype != np.uint8 or not (gray or color):
        raise DataError(
            f"the {part.name} images are {pixels.dtype} of shape {pixels.shape}; "
            "expected uint8 of shape (n, h, w) or (n, h, w, 3)"
        )
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"the {part.name} labels are {labels.dtype} of shape {labels.shape}; "
            "expected one whole number an image"
        )
    if len(labels) != len(pixels):
        raise DataError(f"{part.name} has {len(pixels)} images and {len(labels)} labels")
    outside = labels[(labels < 0) | (labels >= len(classes))]
    if outside.size:
        raise DataError(
            f"{part.name} has label {int(outside[0])}; the {len(classes)} classes "
            f"{list(classes)} have labels 0 to {len(classes) - 1}"
        )
