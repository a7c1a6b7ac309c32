"""Leaks for the eye: each pair of films side by side, with what was found."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from lucency import images
from lucency.datasets.leaks import KINDS, OTHER, Leak, Place
from lucency.datasets.table import Table

Picture = npt.NDArray[np.uint8]

_SIDE = 192
_LINE = 18
_GAP = 12
_COLUMNS = 3


def draw(leaks: Sequence[Leak], table: Table, other: Table | None = None, *, most: int) -> bytes:
    """
    PNG of up to ``most`` pairs, all kinds in turn.

    Films are named by the beginning of their SHA-256, never by a patient.
    """
    shown = choose(leaks, most)
    films = _read([place for leak in shown for place in (leak.first, leak.second)], table, other)
    cells = [
        _cell(leak, films[2 * number], films[2 * number + 1]) for number, leak in enumerate(shown)
    ]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % _COLUMNS)
    rows = [np.hstack(cells[start : start + _COLUMNS]) for start in range(0, len(cells), _COLUMNS)]
    head = np.zeros((2 * _LINE, rows[0].shape[1]), np.uint8)
    _write(head, f"{len(shown)} of {len(leaks)} pairs, {table.name}", _LINE)
    return images.encode_png(np.vstack([head, *rows]))


def choose(leaks: Sequence[Leak], most: int) -> list[Leak]:
    by_kind = [[leak for leak in leaks if leak.kind == kind] for kind in reversed(KINDS)]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_kind))
    return list(itertools.islice((leak for leak in turns if leak), most))


def _read(places: Sequence[Place], table: Table, other: Table | None) -> list[Picture]:
    found: dict[Place, bytes] = {}
    for source, wanted in (
        (table, [place for place in places if place.split != OTHER]),
        (other, [place for place in places if place.split == OTHER]),
    ):
        if source and wanted:
            rows = [place.row for place in wanted]
            found.update(zip(wanted, source.images(rows), strict=True))
    return [_square(images.decode(found[place])[:, :, 0]) for place in places]


def _square(film: Picture) -> Picture:
    return np.asarray(cv2.resize(film, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _cell(leak: Leak, first: Picture, second: Picture) -> Picture:
    cell = np.zeros((_SIDE + 2 * _LINE + _GAP, 2 * _SIDE + _GAP), np.uint8)
    cell[:_SIDE, :_SIDE] = first
    cell[:_SIDE, _SIDE : 2 * _SIDE] = second
    for place, x in ((leak.first, 0), (leak.second, _SIDE)):
        _write(cell, f"{place.split} {place.sha256[:12]}", _SIDE + _LINE - 5, x)
    _write(cell, leak.label, _SIDE + 2 * _LINE - 5)
    return cell


def _write(picture: Picture, text: str, y: int, x: int = 0) -> None:
    cv2.putText(picture, text, (x + 2, y), cv2.FONT_HERSHEY_SIMPLEX, 0.38, 255, 1, cv2.LINE_AA)
