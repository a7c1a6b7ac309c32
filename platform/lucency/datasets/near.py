"""
Is one film a changed copy of another: stored anew, mirrored, cropped or brightened?

Two steps, as in copy detection elsewhere. A perceptual hash (Zauner, 2010,
http://phash.org/docs/pubs/thesis_zauner.pdf, "DCT based hash") of every crop of one film against
the hash of the other proposes pairs; image registration (Evangelidis and Psarakis, 2008,
https://doi.org/10.1109/TPAMI.2008.113) lays the proposed pair on each other and measures
how much of the detail agrees. Chest films are alike in the large, so only detail counts.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Thumbnail = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.uint64]
Plane = npt.NDArray[np.float32]

SIDE = 128
_SMALL = 64
_WAVES = 8
# What may have been cut off: where on a side the rest begins, and what share of it was kept.
_SPANS = (
    (0.0, 1.0),
    *((place * 0.05, 0.95) for place in (0, 0.5, 1)),
    *((place * 0.1, 0.9) for place in (0, 0.25, 0.5, 0.75, 1)),
)
_BOXES = tuple((x, y, w, h) for (y, h), (x, w) in itertools.product(_SPANS, _SPANS))
_PAIRS_PER_BLOCK = 65_536  # so that they stay in the cache


@dataclass(frozen=True)
class _Stage:
    """
    One step of laying films on each other, each finer and slower than the one before.

    Attributes:
        side: Films are compared at this size, in px.
        band: What counts as detail, as two widths in px: larger than noise, smaller than a lung.
        rounds: Steps of the registration.
        slack: How much less may agree than in the end.
    """

    side: int
    band: tuple[float, float]
    rounds: int
    slack: float


_FLAT = 0.25  # standard deviation of the detail, in 8-bit levels
_JUDGED = (0.8, 2.0)
_STAGES = (
    _Stage(32, (0.4, 1.0), 8, 0.2),
    _Stage(64, (0.8, 2.0), 12, 0.1),
    _Stage(SIDE, (0.8, 2.0), 10, 0.0),
)


@dataclass(frozen=True)
class Match:
    """
    How one film shows another, the wider of the two.

    Attributes:
        similarity: Correlation of the detail after the films were laid on each other, in the median
            of sixteen parts; 1 for a copy.
        mirrored: Left and right are exchanged.
        width: Share of the wider film's width that the narrower one shows.
        height: The same for the height.
        gain: Contrast of the narrower film over that of the wider.
        shift: Mean gray level of the narrower film less that of the wider.
    """

    similarity: float
    mirrored: bool
    width: float
    height: float
    gain: float
    shift: float

    @property
    def variation(self) -> str:
        """What was done to the film, for people: ``mirrored, cropped to 91 x 94 %``."""
        told = ["mirrored"] if self.mirrored else []
        if min(self.width, self.height) < 0.985:
            told.append(f"cropped to {100 * self.width:.0f} x {100 * self.height:.0f} %")
        if not 0.93 < self.gain < 1.07:
            told.append(f"contrast x {self.gain:.2f}")
        if abs(self.shift) > 10:
            told.append(f"{'brighter' if self.shift > 0 else 'darker'} by {abs(self.shift):.0f}")
        return ", ".join(told) or "stored anew"


def thumbnail(pixels: npt.NDArray[np.uint8]) -> Thumbnail:
    """The film (h x w) as a small square, whatever its shape; half as large for small films."""
    shorter = min(pixels.shape[:2])
    side = SIDE if shorter >= SIDE else _SMALL
    method = cv2.INTER_AREA if shorter >= side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=method), np.uint8)


def codes(thumbnail: Thumbnail) -> Codes:
    """The 64-bit hashes of a film: of the whole first, then of its crops, then all mirrored."""
    waves = _waves()
    # Cropping, resizing and the cosine transform are linear along each side: one product of
    # matrices gives the coefficients of all crops at once.
    small = _resize(thumbnail, _SMALL)
    every = np.einsum("aiy,yx,bjx->abij", waves, small, waves, optimize=True)
    upright = every.reshape(-1, _WAVES, _WAVES)
    mirrored = upright * np.where(np.arange(_WAVES) % 2, -1, 1)
    flat = np.concatenate([upright, mirrored]).reshape(-1, _WAVES * _WAVES)
    half = flat.shape[1] // 2
    bits = flat >= np.partition(flat, half, axis=1)[:, half : half + 1]
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def candidates(first: Codes, second: Codes, *, bits: int) -> Iterator[tuple[int, int, int, bool]]:
    """
    Pairs of films of which a hash differs in few bits.

    Args:
        first: n x codes.
        second: m x codes.
        bits: Differing bits that still make a candidate.

    Returns:
        Row in ``first``, row in ``second``, which code, and whether it is a code of ``second``
        (that is, the first film would be a crop of the second); the nearest code of each pair.
    """
    ahead, behind = np.ascontiguousarray(first.T), np.ascontiguousarray(second.T)
    height = max(1, _PAIRS_PER_BLOCK // max(1, len(second)))
    for start in range(0, len(first), height):
        rows = slice(start, start + height)
        found = [_hits(code[rows], behind[0], bits, number) for number, code in enumerate(ahead)]
        found += [
            _hits(ahead[0, rows], code, bits, number + len(ahead))
            for number, code in enumerate(behind)
            if number % len(_BOXES)  # the whole film was compared above
        ]
        places, distances, numbers = np.concatenate(found, axis=1)
        order = np.lexsort((numbers, distances, places))
        _, nearest = np.unique(places[order], return_index=True)
        for hit in order[nearest]:
            row, column = divmod(int(places[hit]), len(second))
            swapped, code = divmod(int(numbers[hit]), len(ahead))
            yield start + row, column, code, bool(swapped)


def confirm(wide: Thumbnail, narrow: Thumbnail, code: int, *, least: float) -> Match | None:
    """
    Lay a film on the crop of another that a hash proposed; None if less of the detail agrees.
    """
    mirrored = code >= len(_BOXES)
    target = np.ascontiguousarray(narrow[:, ::-1]) if mirrored else narrow
    x, y, w, h = _BOXES[code % len(_BOXES)]
    shares = np.array([[w, 0, x], [0, h, y]], np.float32)
    side = min(len(wide), len(narrow))
    stages = [stage for stage in _STAGES if stage.side <= side]
    for stage in stages:
        found = _register(wide, target, stage, shares)
        if found is None or not _is_crop(found):
            return None
        shares = found
        # A coarse film has too few pixels to be judged by.
        judged = max(stage.side, _SMALL)
        laid, plain = _warp(_resize(wide, judged), shares), _resize(target, judged)
        one, two = _inner(_detail(laid, _JUDGED)), _inner(_detail(plain, _JUDGED))
        if not _correlation(one, two) >= least - stage.slack:
            return None
    similarity = _middle(one, two)
    if not similarity >= least:
        return None
    before, after = _inner(laid), _inner(plain)
    return Match(
        similarity=round(similarity, 4),
        mirrored=mirrored,
        width=round(min(float(shares[0, 0]), 1.0), 3),
        height=round(min(float(shares[1, 1]), 1.0), 3),
        gain=round(float(after.std() / max(before.std(), 1e-6)), 3),
        shift=round(float(after.mean() - before.mean()), 1),
    )


def _hits(one: Codes, two: Codes, bits: int, number: int) -> npt.NDArray[np.int64]:
    """Flat places of near pairs, their distances, and the number of the code."""
    differing = np.bitwise_count(one[:, None] ^ two[None]).ravel()
    places = np.flatnonzero(differing <= bits)
    return np.stack([places, differing[places].astype(np.int64), np.full(len(places), number)])


@cache
def _waves() -> Plane:
    """For each span the cosines that it is measured with: spans x waves x pixels."""
    pixels = (np.arange(_SMALL) + 0.5) / _SMALL
    wave = np.arange(_WAVES)[:, None]
    result = []
    for near, kept in _SPANS:
        inside = np.clip((near + kept - pixels) * _SMALL + 0.5, 0, 1) * np.clip(
            (pixels - near) * _SMALL + 0.5, 0, 1
        )
        result.append(inside * np.cos(np.pi * wave * (pixels - near) / kept) / kept)
    scale = np.where(np.arange(_WAVES) == 0, np.sqrt(0.5), 1.0)[:, None]
    return np.asarray(np.array(result) * scale, np.float32)


def _register(wide: Thumbnail, narrow: Thumbnail, stage: _Stage, shares: Plane) -> Plane | None:
    one, two = (_detail(_resize(film, stage.side), stage.band) for film in (wide, narrow))
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, stage.rounds, 1e-4)
    start = _in_pixels(shares, stage.side)
    try:
        _, found = cv2.findTransformECC(two, one, start, cv2.MOTION_AFFINE, stop)
    except cv2.error:  # it does not converge on films that have nothing in common
        return None
    return _in_shares(np.asarray(found, np.float32), stage.side)


def _resize(film: Thumbnail, side: int) -> Plane:
    small = cv2.resize(film, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _detail(plane: Plane, band: tuple[float, float]) -> Plane:
    fine, broad = (cv2.GaussianBlur(plane, (0, 0), width) for width in band)
    return np.asarray(fine - broad, np.float32)


def _inner(plane: Plane) -> Plane:
    """Without the rim, where filters and crops meet."""
    rim = 3 * len(plane) // 64
    return plane[rim:-rim, rim:-rim]


def _correlation(one: Plane, two: Plane) -> float:
    one, two = one - one.mean(), two - two.mean()
    scale = float(np.sqrt(np.vdot(one, one) * np.vdot(two, two)))
    return float(np.vdot(one, two)) / scale if scale else 0.0


def _middle(one: Plane, two: Plane) -> float:
    """
    The median correlation of sixteen parts, without those in which both films show nothing.

    Ribs and edges rule the correlation of whole films, and two children can have those in the
    same places; they never have all vessels too.
    """
    found = [
        _correlation(a, b)
        for upper, lower in zip(np.array_split(one, 4), np.array_split(two, 4), strict=True)
        for a, b in zip(
            np.array_split(upper, 4, axis=1), np.array_split(lower, 4, axis=1), strict=True
        )
        if max(a.std(), b.std()) > _FLAT
    ]
    return float(np.median(found)) if found else 0.0


def _in_pixels(shares: Plane, side: int) -> Plane:
    """The same map between pixel centres; shares run over the whole side, from edge to edge."""
    pixels = shares.copy()
    pixels[:, 2] = shares[:, 2] * side + 0.5 * shares[:, :2].sum(1) - 0.5
    return pixels


def _in_shares(pixels: Plane, side: int) -> Plane:
    shares = pixels.copy()
    shares[:, 2] = (pixels[:, 2] + 0.5 - 0.5 * pixels[:, :2].sum(1)) / side
    return shares


def _warp(film: Plane, shares: Plane) -> Plane:
    side = len(film)
    laid = cv2.warpAffine(
        film,
        _in_pixels(shares, side),
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(laid, np.float32)


def _is_crop(shares: Plane) -> bool:
    """Neither turned nor sheared, hardly enlarged, and inside the film."""
    (w, skew, x), (lean, h, y) = (map(float, row) for row in shares)
    slack = 0.03
    return (
        abs(skew) < 0.04
        and abs(lean) < 0.04
        and 0.85 < w < 1 + slack
        and 0.85 < h < 1 + slack
        and min(x, y, x + skew, y + lean) > -slack
        and max(x + w, y + h) < 1 + slack
    )
