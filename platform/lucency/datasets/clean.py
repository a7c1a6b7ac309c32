"""Which films can be used: the checks before anything is stored, and the reasons of refusal."""

import io
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import cv2
import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from lucency import files, images
from lucency.datasets.base import Sample
from lucency.errors import ImageError
from lucency.images import quality
from lucency.images.quality import Kind

# A set is of one size when all but one film in a hundred have it.
_UNIFORM = 0.99
_FEW = 20


class Checks(BaseModel):
    """
    What is asked of a film besides that it can be decoded, which is always asked.

    Attributes:
        blank: Set aside films that show nothing.
        inverted: Set aside the negatives among films of one kind (bones black).
        min_side: Set aside films of which a side has fewer pixels; under 16 nothing is decoded.
        max_side: The same for more pixels; none: the decoder's limit of 40 megapixels in all.
        max_aspect_ratio: Longer side over shorter side; more is a strip and no film.
        odd_size: Flag films of another size where all but one in a hundred have the same. They are
            kept: a limit is a person's word, an odd one out is only worth a look.
        source: Flag what the source's own checks find, where it brings any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    blank: bool = True
    inverted: bool = True
    min_side: Annotated[int, Field(ge=images.MIN_SIDE)] = images.MIN_SIDE
    max_side: Annotated[int, Field(ge=images.MIN_SIDE)] | None = None
    max_aspect_ratio: Annotated[float, Field(ge=1)] | None = 5.0
    odd_size: bool = True
    source: bool = True


@dataclass(frozen=True)
class Film:
    """
    A sample that passed the checks of its own: what was measured, without the bytes.

    Attributes:
        mode: ``gray``, ``gray 16-bit``, ``color``, ... as the file stores it.
        brightness: Mean of the 8-bit gray levels.
        flags: Why it should be looked at, though it is kept.
    """

    sample: Sample
    sha256: str
    width: int
    height: int
    mode: str
    file_format: str
    file_bytes: int
    brightness: float
    thumbnail: np.ndarray = field(compare=False, repr=False)
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class SetAside:
    """A sample that can't be used, and why."""

    name: str
    reason: str
    message: str


@dataclass(frozen=True)
class Inspection:
    """The outcome for a whole source: films by name, and what is not among them."""

    films: list[Film]
    set_aside: list[SetAside]


def inspect(
    samples: Iterable[Sample],
    checks: Checks = Checks(),  # noqa: B008 (frozen)
    official: Collection[str] = (),
) -> Inspection:
    """
    Read, decode and judge every sample; no film's bytes are kept.

    Identical bytes are kept once, so that one film can't stand under two patients in two splits;
    which of them does not depend on the order of files. Under two labels they are not kept at
    all: nobody knows which one is right.

    Args:
        official: Splits of the source that stay as they are. A film that stands in two of them
            stays in both: left out here it would be a leak that nobody hears of.
    """
    films: list[Film] = []
    refused: list[SetAside] = []
    for sample in samples:
        try:
            films.append(_look(sample, checks))
        except ImageError as cause:
            refused.append(SetAside(sample.name, cause.reason, str(cause)))
    films.sort(key=lambda film: (film.sample.name, film.sample.label, film.sha256))
    found = dict(_twins(films, frozenset(official)))
    films = _without(films, found, refused)
    if checks.inverted:
        films = _without(films, dict(_inverted(films)), refused)
    if checks.odd_size:
        films = list(_flag_odd_sizes(films))
    return Inspection(films, sorted(refused, key=lambda aside: aside.name))


def _look(sample: Sample, checks: Checks) -> Film:
    try:
        data = sample.read()
    except OSError as cause:
        raise ImageError("unreadable", f"the file can't be read ({cause.strerror})") from cause
    pixels = images.decode(data)
    _refuse_size(pixels.shape[1], pixels.shape[0], checks)
    if checks.blank and quality.is_blank(pixels):
        raise ImageError("blank", "all pixels have nearly the same value")
    return Film(
        sample=sample,
        sha256=files.sha256(data),
        width=pixels.shape[1],
        height=pixels.shape[0],
        mode=_mode(data),
        file_format=images.content_type(data).removeprefix("image/"),
        file_bytes=len(data),
        brightness=cv2.mean(pixels)[0],
        thumbnail=quality.thumbnail(pixels),
        flags=sample.flags(pixels) if checks.source and sample.flags else (),
    )


def _refuse_size(width: int, height: int, checks: Checks) -> None:
    shorter, longer = sorted((width, height))
    found = f"the film has {width} x {height} pixels"
    if shorter < checks.min_side:
        raise ImageError("wrong_size", f"{found}; min_side is {checks.min_side}")
    if checks.max_side is not None and longer > checks.max_side:
        raise ImageError("wrong_size", f"{found}; max_side is {checks.max_side}")
    if checks.max_aspect_ratio is not None and longer > checks.max_aspect_ratio * shorter:
        raise ImageError(
            "wrong_size",
            f"{found}, a ratio of {longer / shorter:.1f}; max_aspect_ratio is "
            f"{checks.max_aspect_ratio:g}",
        )


def _mode(data: bytes) -> str:
    # The pixels were decoded before: this header holds no surprise.
    with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as opened:
        stored = opened.mode
    if stored.startswith("I"):
        return "gray 16-bit"
    return {"L": "gray", "1": "black and white", "RGB": "color", "P": "palette"}.get(stored, stored)


def _twins(films: Sequence[Film], official: frozenset[str]) -> Iterator[tuple[int, SetAside]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for place, film in enumerate(films):
        groups[film.sha256].append(place)
    for group in groups.values():
        if len({films[place].sample.label for place in group}) > 1:
            names = ", ".join(repr(films[place].sample.name) for place in group[:3])
            for place in group:
                message = f"the same bytes have two labels: {names}"
                yield place, SetAside(films[place].sample.name, "label_conflict", message)
            continue
        # Those of official splits come first, and each such split keeps one.
        leading: dict[str | None, str] = {}
        for place in sorted(group, key=lambda place: films[place].sample.split not in official):
            sample = films[place].sample
            part = sample.split if sample.split in official else None
            twin = next(iter(leading.values()), None) if part is None else leading.get(part)
            if twin is not None:
                yield place, SetAside(sample.name, "duplicate", f"the same bytes as {twin!r}")
            else:
                leading[part] = sample.name


def _inverted(films: Sequence[Film]) -> Iterator[tuple[int, SetAside]]:
    if len(films) < _FEW:  # the mean of a handful is no kind
        return
    kind = Kind.of([film.thumbnail for film in films])
    if kind is None:
        return
    for place, film in enumerate(films):
        agreement = kind.agreement(film.thumbnail)
        if agreement >= quality.NEGATIVE:
            continue
        message = (
            f"a negative: it agrees with the mean of the set to {agreement:.2f}, the "
            f"others to {kind.median:.2f} in the median; invert it at its source"
        )
        yield place, SetAside(film.sample.name, "inverted", message)


def _without(
    films: Sequence[Film], found: Mapping[int, SetAside], refused: list[SetAside]
) -> list[Film]:
    # By place: a manifest may name one file twice.
    refused += found.values()
    return [film for place, film in enumerate(films) if place not in found]


def _flag_odd_sizes(films: Sequence[Film]) -> Iterator[Film]:
    sizes = Counter((film.width, film.height) for film in films)
    usual, count = sizes.most_common(1)[0] if sizes else ((0, 0), 0)
    uniform = len(films) > _FEW and count >= _UNIFORM * len(films)
    for film in films:
        odd = uniform and (film.width, film.height) != usual
        yield replace(film, flags=(*film.flags, "odd_size")) if odd else film
