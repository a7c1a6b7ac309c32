"""Which films can be used: the checks before anything is stored, and the reasons of refusal."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lucency import files, images
from lucency.datasets.base import Sample
from lucency.errors import ImageError

# A film whose gray values all lie this close together shows nothing (8-bit levels).
_BLANK_DEVIATION = 2.0


@dataclass(frozen=True)
class Film:
    """A sample whose bytes were read and passed every check."""

    sample: Sample
    data: bytes
    sha256: str
    width: int
    height: int


@dataclass(frozen=True)
class SetAside:
    """A sample that can't be used, and why."""

    name: str
    reason: str
    message: str


@dataclass(frozen=True)
class Inspection:
    """The outcome for a whole source."""

    films: list[Film]
    set_aside: list[SetAside]


def inspect(samples: Iterable[Sample]) -> Inspection:
    """
    Read, decode and judge every sample.

    Identical bytes are kept once, under their first name, so that one film can't stand under
    two patients in two splits. Under two labels they are not kept at all: nobody knows which
    one is right.
    """
    kept: dict[str, Film] = {}
    refused: list[SetAside] = []
    contested: set[str] = set()
    for sample in samples:
        try:
            film = _check(sample)
            if twin := kept.get(film.sha256):
                if twin.sample.label != sample.label:
                    contested.add(film.sha256)
                raise ImageError("duplicate", f"the same bytes as {twin.sample.name!r}")
        except ImageError as cause:
            refused.append(SetAside(sample.name, cause.reason, str(cause)))
            continue
        kept[film.sha256] = film
    for digest in contested:
        name = kept.pop(digest).sample.name
        refused.append(SetAside(name, "label_conflict", "the same bytes have two labels"))
    return Inspection(list(kept.values()), refused)


def report(inspection: Inspection, splits: list[str], classes: tuple[str, ...]) -> dict[str, Any]:
    """What the table holds and what was set aside, for the JSON and HTML report."""
    films = inspection.films
    sizes = np.array([[film.width, film.height] for film in films])
    return {
        "films": len(films),
        "patients": len({film.sample.patient for film in films}),
        "classes": _by(classes[film.sample.label] for film in films),
        "sites": _by(film.sample.site for film in films),
        "splits": {
            split: {
                "films": sum(other == split for other in splits),
                "patients": len(
                    {
                        film.sample.patient
                        for film, other in zip(films, splits, strict=True)
                        if other == split
                    }
                ),
                "classes": _by(
                    classes[film.sample.label]
                    for film, other in zip(films, splits, strict=True)
                    if other == split
                ),
            }
            for split in ("train", "validation", "test")
        },
        "width_px": _quartiles(sizes[:, 0]),
        "height_px": _quartiles(sizes[:, 1]),
        "aspect_ratio_by_class": {
            name: _quartiles(
                np.array([f.width / f.height for f in films if f.sample.label == label])
            )
            for label, name in enumerate(classes)
        },
        "set_aside": [asdict(refused) for refused in inspection.set_aside],
        "set_aside_by_reason": _by(refused.reason for refused in inspection.set_aside),
    }


def _check(sample: Sample) -> Film:
    try:
        data = sample.read()
    except OSError as cause:
        raise ImageError("unreadable", f"the file can't be read ({cause.strerror})") from cause
    pixels = images.decode(data)
    if float(pixels.std()) < _BLANK_DEVIATION:
        raise ImageError("blank", "all pixels have nearly the same value")
    height, width = pixels.shape[:2]
    return Film(sample, data, files.sha256(data), width, height)


def _by(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _quartiles(values: np.ndarray) -> dict[str, float]:
    if not values.size:
        return {}
    points = np.percentile(values, [0, 25, 50, 75, 100])
    names = ("least", "quarter", "median", "three_quarters", "most")
    return {name: round(float(point), 4) for name, point in zip(names, points, strict=True)}
