"""The data set family: what a source of films must give so that it can be prepared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lucency.registry import Family


@dataclass(frozen=True)
class Sample:
    """
    One film before preparation.

    Attributes:
        name: Where it came from, relative to the source, for the report of what was set aside.
        read: Gives the encoded bytes, the same each time: preparation judges a film first and
            reads it again to store it. May raise OSError, which preparation reports.
        label: Index into the data set's ``classes``.
        patient: All films of one patient stay in one split.
        site: Hospital or scanner, for strata and per-site tables.
        split: The source's own split (``train``, ``validation``, ``test``) or None.
        mask_png: Known lesion mask, as PNG bytes of the film's size; None where unknown.
        scanner: Maker and model, where it is known apart from the site.
        view: Projection: ``PA``, ``AP``, ``LATERAL``.
        age_band: Age in years as a range, ``1-5``: coarse enough to name nobody.
        flags: The source's own checks, called on the decoded film (uint8, h x w x 1): reasons why
            it should be looked at (``burned_in_text``). A film with flags is kept, and listed.
    """

    name: str
    read: Callable[[], bytes]
    label: int
    patient: str
    site: str
    split: str | None = None
    mask_png: bytes | None = None
    scanner: str = ""
    view: str = ""
    age_band: str = ""
    flags: Callable[[np.ndarray], tuple[str, ...]] | None = None


class Dataset(Protocol):
    """A source of samples."""

    classes: tuple[str, ...]

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...


datasets: Family[Dataset] = Family("dataset", "lucency.datasets")
