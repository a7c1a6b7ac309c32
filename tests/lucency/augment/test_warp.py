"""One matrix moves a film as its parts would, one after the other."""

import math
from typing import Any

import cv2
import numpy as np
import pytest

from lucency.augment.warp import Variation, matrix, warp
from lucency.preprocess import Preprocess

STILL = Variation(0.0, 1.0, 1.0, 0.0, 0.0, False, 0.0, 1.0, 0.0)
NOISE = np.random.default_rng(0).integers(0, 256, (90, 90)).astype(np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """A film without edges, on which interpolations can be compared."""
    noise = cv2.resize(NOISE, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2))[:, :, None]


@pytest.mark.parametrize("size", [90, 60, 46])
def test_still_film_is_a_linear_resize(size: int) -> None:
    """Pixel centres lie where OpenCV has them; at its own size the film is not touched."""
    warped = warp(NOISE[:, :, None], STILL, Preprocess(size=size))[:, :, 0]

    expected = cv2.resize(NOISE, (size, size), interpolation=cv2.INTER_LINEAR)
    assert np.abs(warped.astype(int) - expected).max() <= (0 if size == 90 else 1)


@pytest.mark.parametrize("shape", [(20, 24), (30, 100), (60, 64), (400, 70)])
def test_any_film_fills_the_input(shape: tuple[int, int]) -> None:
    """A small or long film comes out as it is served, with no black rim."""
    film = smooth(*shape)

    warped = warp(film, STILL, Preprocess(size=48))

    assert np.abs(warped.astype(int) - Preprocess(size=48).resize(film)).max() <= 1


def test_mirror_is_exact() -> None:
    """A mirrored film has the same pixels, from right to left."""
    flipped = STILL._replace(flipped=True)

    warped = warp(NOISE[:, :, None], flipped, Preprocess(size=90))[:, :, 0]

    np.testing.assert_array_equal(warped, NOISE[:, ::-1])


def test_shift_moves_right_and_down() -> None:
    """A tenth of the side is a tenth of the side; black follows."""
    shifted = STILL._replace(shift_x=0.1, shift_y=0.2)

    warped = warp(NOISE[:, :, None], shifted, Preprocess(size=90))[:, :, 0]

    np.testing.assert_array_equal(warped[18:, 9:], NOISE[:-18, :-9])
    assert not warped[:18].any()
    assert not warped[:, :9].any()


def test_mirror_at_the_edge_repeats_no_pixel() -> None:
    """What comes in is what lies as far inside of the edge; nothing is black."""
    shifted = STILL._replace(shift_x=0.1, shift_y=-0.2)

    warped = warp(NOISE[:, :, None], shifted, Preprocess(size=90), "mirror")[:, :, 0]

    around = np.pad(NOISE, ((0, 18), (9, 0)), mode="reflect")
    np.testing.assert_array_equal(warped, around[18:, :90])


def test_quarter_turn_is_anticlockwise() -> None:
    """The centre of the film stays where it is."""
    turned = STILL._replace(angle=math.pi / 2)

    warped = warp(NOISE[:, :, None], turned, Preprocess(size=90))[:, :, 0]

    np.testing.assert_array_equal(warped[1:-1, 1:-1], np.rot90(NOISE)[1:-1, 1:-1])


@pytest.mark.parametrize(
    "change",
    [
        {"zoom_x": 1.2, "zoom_y": 0.9},
        {"angle": 0.2},
        {"angle": -0.1, "zoom_x": 0.9, "zoom_y": 1.1, "shift_x": 0.05, "flipped": True},
    ],
)
def test_film_is_turned_in_its_own_plane(change: dict[str, Any]) -> None:
    """A film squeezed before the warp comes out as one that is squeezed by the warp."""
    variation, size = STILL._replace(**change), 48
    film = smooth(60, 90)
    squeezed = cv2.resize(film, (size, size), interpolation=cv2.INTER_AREA)

    whole = warp(film, variation, Preprocess(size=size))[:, :, 0]

    found = matrix(variation, (60, 90), (size, size), size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    parts = cv2.warpAffine(squeezed, found, (size, size), flags=flags)
    difference = np.abs(whole.astype(int) - parts)[6:-6, 6:-6]
    assert difference.mean() < 1.5
    assert difference.max() < 12


def test_colours_move_together() -> None:
    """Each channel of a colour film is warped as a gray film would be."""
    film = np.dstack(
        [
            smooth(60, 90)[:, :, 0],
            smooth(60, 90)[::-1, :, 0],
            NOISE[:60, :].repeat(1).reshape(60, 90),
        ]
    )
    variation = STILL._replace(angle=0.1, zoom_x=1.1, shift_y=0.03)
    color = Preprocess(size=48, color="RGB", mean=(0.5,) * 3, std=(0.5,) * 3)

    warped = warp(film, variation, color)

    for channel in range(3):
        alone = warp(film[:, :, channel : channel + 1], variation, Preprocess(size=48))
        assert np.abs(warped[:, :, channel].astype(int) - alone[:, :, 0]).max() <= 1
