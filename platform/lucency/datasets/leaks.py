"""
What splits share that they must not: patients, films, and changed copies of films.

A film that a model was trained on tells nothing when it is tested on it, and neither does the
same film mirrored or cropped. ``splits.refuse_leaks`` trusts the patient's name; here the pixels
are asked, also against the table of another source.
"""

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from lucency import files, images, progress
from lucency.datasets import near as nearness
from lucency.datasets.near import Codes, Match, Thumbnail
from lucency.datasets.splits import SPLITS
from lucency.datasets.table import Table
from lucency.errors import DataError

Kind = Literal["patient", "bytes", "pixels", "near"]
KINDS: tuple[Kind, ...] = ("patient", "bytes", "pixels", "near")
OTHER = "other"

# Of all 18 million pairs of the films of Kermany et al. 52,000 are within 6 bits and none across
# patients agrees to 0.8; of drawn films the most alike agree to 0.94. Of their copies, stored
# anew at quality 60, mirrored, cropped by a tenth or brightened by a fifth, 98 % pass 0.95.
BITS = 6
SIMILARITY = 0.95
MAX_CANDIDATES = 500_000
_BATCH = 512
_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Place:
    """
    Where a film stands.

    Attributes:
        split: Its split; ``other`` for every film of the table held against the first.
        row: Row in its own table.
    """

    split: str
    row: int
    sha256: str
    patient: str


@dataclass(frozen=True)
class Leak:
    """
    Two films that should not stand in two splits; ``second`` is in the later one.

    Attributes:
        kind: ``patient``, ``bytes`` (same SHA-256), ``pixels`` (same after decoding) or ``near``
            (a changed copy).
        match: For ``near``, how alike they are and what was changed.
    """

    kind: Kind
    first: Place
    second: Place
    match: Match | None = None

    @property
    def label(self) -> str:
        """The kind and what was measured, for people."""
        if self.match is None:
            return f"same {self.kind}"
        return f"near {self.match.similarity:.3f}: {self.match.variation}"

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "label": self.label}


def find(
    table: Table,
    other: Table | None = None,
    *,
    patients: bool = True,
    near: bool = True,
    bits: int = BITS,
    similarity: float = SIMILARITY,
) -> list[Leak]:
    """
    Compare all films across splits; those of ``other`` count as one more split.

    Two films are one leak by patient, and one by the strongest of bytes, pixels and near. Where
    a split holds several films of one patient, or copies of one film, each film of the later
    split is named with the first of the earlier: so there are never more than films.

    Args:
        patients: Off where two tables number their patients each in its own way.
        near: Off to look for identical films only, which takes a fifth of the time.
        bits: How many of the 64 bits of two hashes may differ in a pair worth a closer look.
        similarity: How much of the detail must agree in a changed copy.

    Raises:
        DataError: there is nothing to compare, or nearly all films look alike.
    """
    places = [*_places(table, None), *(_places(other, OTHER) if other else [])]
    members = _members(places)
    if len(members) < 2:
        raise DataError(
            f"{str(table.path)!r} has no split but {sorted(members)}, there is nothing to compare: "
            "divide its patients, or name a table to hold against it"
        )
    found: list[Leak] = []
    if patients:
        found += _same("patient", places, members, [place.patient for place in places])
    found += _same("bytes", places, members, [place.sha256 for place in places])
    pixels, thumbnails = _look([table, *([other] if other else [])], len(places), near)
    found += [
        leak
        for leak in _same("pixels", places, members, pixels)
        if leak.first.sha256 != leak.second.sha256
    ]
    if near:
        found += _near(places, members, pixels, thumbnails, bits, similarity)
    return found


def counts(leaks: Sequence[Leak]) -> dict[str, int]:
    """Pairs by kind, in the order of ``KINDS``; kinds that were not found are left out."""
    counted = Counter(leak.kind for leak in leaks)
    return {kind: counted[kind] for kind in KINDS if counted[kind]}


def _places(table: Table, split: str | None) -> Iterator[Place]:
    columns = table.columns
    for row, (own, sha256, patient) in enumerate(
        zip(columns["split"], columns["sha256"], columns["patient"], strict=True)
    ):
        yield Place(split or str(own), row, str(sha256), str(patient))


def _members(places: Sequence[Place]) -> dict[str, list[int]]:
    """Positions by split, from those that learn to those that judge."""
    members: dict[str, list[int]] = {split: [] for split in SPLITS}
    for position, place in enumerate(places):
        members.setdefault(place.split, []).append(position)
    return {split: positions for split, positions in members.items() if positions}


def _same(
    kind: Kind,
    places: Sequence[Place],
    members: dict[str, list[int]],
    keys: Sequence[Hashable],
) -> Iterator[Leak]:
    leading: dict[str, dict[Hashable, int]] = defaultdict(dict)
    for split, positions in members.items():
        for position in positions:
            leading[split].setdefault(keys[position], position)
    for earlier, later in itertools.combinations(members, 2):
        for position in members[later]:
            twin = leading[earlier].get(keys[position])
            if twin is not None:
                yield Leak(kind, places[twin], places[position])


def _look(tables: Sequence[Table], total: int, near: bool) -> tuple[list[str], list[Thumbnail]]:
    """Decode every film once; keep a digest of its pixels and a thumbnail."""
    digests: list[str] = []
    thumbnails: list[Thumbnail] = []
    with progress.meter("looked at", total, "films") as bar:
        for data in itertools.chain.from_iterable(map(_films, tables)):
            pixels = images.decode(data)
            digests.append(files.sha256(repr(pixels.shape).encode() + pixels.tobytes()))
            if near:
                thumbnails.append(nearness.thumbnail(pixels[:, :, 0]))
            bar.update()
    return digests, thumbnails


def _films(table: Table) -> Iterator[bytes]:
    # In batches: all films of a large table at once would not fit into memory.
    with pq.ParquetFile(table.path) as stored:
        for batch in stored.iter_batches(batch_size=64, columns=["image"]):
            stored_images: list[Any] = batch.column(0).to_pylist()
            yield from (image["bytes"] for image in stored_images)


def _near(
    places: Sequence[Place],
    members: dict[str, list[int]],
    pixels: Sequence[str],
    thumbnails: Sequence[Thumbnail],
    bits: int,
    similarity: float,
) -> Iterator[Leak]:
    codes: Codes = np.stack([nearness.codes(thumbnail) for thumbnail in thumbnails])

    def compare(pair: tuple[int, int, int, bool]) -> Leak | None:
        first, second, code, swapped = pair
        if pixels[first] == pixels[second]:
            return None
        wide, narrow = (second, first) if swapped else (first, second)
        match = nearness.confirm(thumbnails[wide], thumbnails[narrow], code, least=similarity)
        return Leak("near", places[first], places[second], match) if match else None

    tried = 0
    # OpenCV lets go of the interpreter while it lays films on each other: threads are enough.
    with ThreadPoolExecutor(_THREADS) as threads:
        for earlier, later in itertools.combinations(members, 2):
            rows, columns = members[earlier], members[later]
            proposed = nearness.candidates(codes[rows], codes[columns], bits=bits)
            while batch := list(itertools.islice(proposed, _BATCH)):
                tried += len(batch)
                if tried > MAX_CANDIDATES:
                    raise DataError(
                        f"over {MAX_CANDIDATES} pairs of films have hashes within {bits} bits: "
                        "they are too alike to be compared so; take fewer bits, or near=false"
                    )
                pairs = [(rows[a], columns[b], code, swapped) for a, b, code, swapped in batch]
                yield from filter(None, threads.map(compare, pairs))
