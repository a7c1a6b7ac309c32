"""The grays of a film, against pixels worked out here from the standard's formulas."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from lucency.dicom import grays
from tests.hostile_dicom import film

RAMP = np.arange(1280, dtype=np.uint16).reshape(40, 32) * 3


def gray(share: float) -> int:
    """A share of white in 8 bits, halves up."""
    return math.floor(min(max(share, 0.0), 1.0) * 255 + 0.5)


def linear(x: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1, in its own three cases."""
    if x <= center - 0.5 - (width - 1) / 2:
        return 0.0
    if x > center - 0.5 + (width - 1) / 2:
        return 1.0
    return (x - (center - 0.5)) / (width - 1) + 0.5


def exact(x: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.2."""
    if x <= center - width / 2:
        return 0.0
    if x > center + width / 2:
        return 1.0
    return (x - center) / width + 0.5


def sigmoid(x: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.3.1."""
    return 1 / (1 + math.exp(-4 * (x - center) / width))


def check(dataset: Dataset, stored: np.ndarray, share: Callable[[float], float]) -> None:
    """Each pixel is what the formula gives for its stored value."""
    expected = [[gray(share(float(value))) for value in row] for row in stored]

    np.testing.assert_array_equal(grays.render(dataset), expected)


@pytest.mark.parametrize(
    ("function", "formula"),
    [(None, linear), ("LINEAR", linear), ("LINEAR_EXACT", exact), ("SIGMOID", sigmoid)],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_window(
    function: str | None, formula: Callable[[float, float, float], float], photometric: str
) -> None:
    """Each function of the standard, upright and inverted, with a fractional centre."""
    elements = {} if function is None else {"VOILUTFunction": function}
    dataset = film(
        RAMP,
        WindowCenter=1500.5,
        WindowWidth=901,
        PhotometricInterpretation=photometric,
        **elements,
    )
    inverted = photometric == "MONOCHROME1"

    check(
        dataset,
        RAMP,
        lambda x: abs(inverted - formula(x, 1500.5, 901)),
    )


def test_window_of_one_is_a_threshold() -> None:
    """The narrowest lawful window has no grays between."""
    check(film(RAMP, WindowCenter=600, WindowWidth=1), RAMP, lambda x: float(x > 599.5))


def test_first_of_several_windows_counts() -> None:
    """Makers list alternatives; the first is what they mean."""
    dataset = film(RAMP, WindowCenter=[1000, 50], WindowWidth=[500, 10])

    check(dataset, RAMP, lambda x: linear(x, 1000, 500))


def test_rescale_comes_before_the_window() -> None:
    """Slope and intercept, the slope negative, then the window in the rescaled unit."""
    dataset = film(
        RAMP, RescaleSlope=-0.5, RescaleIntercept=100, WindowCenter=-800, WindowWidth=700
    )

    check(dataset, RAMP, lambda x: linear(-0.5 * x + 100, -800, 700))


@pytest.mark.parametrize("bits", [9, 10, 12, 15, 16])
def test_signed_values(bits: int) -> None:
    """Two's complement in any number of bits."""
    half = 1 << (bits - 1)
    stored = np.linspace(-half, half - 1, 1280).astype(np.int16).reshape(40, 32)
    dataset = film(stored, BitsStored=bits, WindowCenter=0, WindowWidth=half)

    check(dataset, stored, lambda x: linear(x, 0, half))


def test_signed_bytes() -> None:
    """8 signed bits without a window: -128 is black, 127 is white."""
    stored = np.arange(256).astype(np.uint8).view(np.int8).reshape(16, 16)

    check(film(stored), stored, lambda x: (x + 128) / 255)


def test_bits_above_are_not_pixels() -> None:
    """An overlay in the unused bits is not seen."""
    dirty = RAMP | np.uint16(0xF000)
    window = {"WindowCenter": 2048, "WindowWidth": 4096}

    np.testing.assert_array_equal(
        grays.render(film(dirty, **window)), grays.render(film(RAMP, **window))
    )


def test_eight_bits_without_a_window_are_shown_as_they_are() -> None:
    """A film of bytes was made for display: nothing is stretched."""
    stored = np.arange(60, 160, dtype=np.uint8).repeat(4).reshape(20, 20)

    np.testing.assert_array_equal(grays.render(film(stored)), stored)


def test_deep_film_without_a_window_is_stretched_but_for_its_ends() -> None:
    """15 bits, values of 1000 to 2000, one hot pixel: the film is not dark for its sake."""
    stored = np.linspace(1000, 2000, 1600).astype(np.uint16).reshape(40, 40)
    stored[0, 0] = 32767

    picture = grays.render(film(stored, BitsStored=15))

    low, high = np.sort(stored.ravel())[[7, 1591]]
    expected = np.floor(np.clip((stored.astype(float) - low) / (int(high) - low), 0, 1) * 255 + 0.5)
    np.testing.assert_array_equal(picture, expected)


def test_negative_slope_turns_the_stretch() -> None:
    """Without a window too, bright means a high rescaled value."""
    plain = grays.render(film(RAMP))
    turned = grays.render(film(RAMP, RescaleSlope=-1, RescaleIntercept=4095))

    np.testing.assert_allclose(turned.astype(int), 255 - plain.astype(int), atol=1)


def test_both_polarities_of_one_picture_are_the_same_film() -> None:
    """The complement under MONOCHROME1 with the window mirrored shows the same grays."""
    window = {"WindowCenter": 1800, "WindowWidth": 1000, "VOILUTFunction": "LINEAR_EXACT"}
    mirrored = {**window, "WindowCenter": 4095 - 1800}
    upright = grays.render(film(RAMP, **window))

    inverted = grays.render(film(4095 - RAMP, PhotometricInterpretation="MONOCHROME1", **mirrored))

    np.testing.assert_allclose(inverted.astype(int), upright.astype(int), atol=1)


@pytest.mark.parametrize("signed", [False, True])
def test_voi_lut_goes_before_the_window(signed: bool) -> None:
    """A curve of the maker's, also one that starts below zero."""
    first = -100 if signed else 50
    curve = np.round(1023 * np.linspace(0, 1, 200) ** 2).astype(int)
    stored = (
        np.arange(first - 20, first + 380).astype(np.int16 if signed else np.uint16).reshape(20, 20)
    )
    item = lut([200, first % 2**16, 10], curve)
    dataset = film(stored, VOILUTSequence=item, WindowCenter=1, WindowWidth=2)

    check(dataset, stored, lambda x: curve[int(np.clip(x - first, 0, 199))] / 1023)


def test_modality_lut_gives_what_the_window_sees() -> None:
    """The first table maps stored values, the window is in its unit."""
    table = np.arange(4096)[::-1]
    dataset = film(
        RAMP, ModalityLUTSequence=lut([4096, 0, 16], table), WindowCenter=2000, WindowWidth=999
    )

    check(dataset, RAMP, lambda x: linear(4095 - x, 2000, 999))


def test_lut_that_promises_too_few_bits_is_scaled_by_its_data() -> None:
    """Descriptors of 8 bits over data of 12 are common, and would be all white."""
    curve = np.arange(4096)
    dataset = film(RAMP, VOILUTSequence=lut([4096, 0, 8], curve))

    check(dataset, RAMP, lambda x: x / 4095)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black(photometric: str) -> None:
    """What is no part of the picture is background, and does not count for the stretch."""
    stored = RAMP + 100
    stored[:10] = 0
    padded = film(stored, PhotometricInterpretation=photometric)
    padded.add_new("PixelPaddingValue", "US", 0)

    picture = grays.render(padded)

    assert (picture[:10] == 0).all()
    assert (picture[10:].min(), picture[10:].max()) == (0, 255)


def test_padding_range() -> None:
    """Both ends of the range and all between are padding."""
    dataset = film(RAMP, WindowCenter=2048, WindowWidth=4096)
    dataset.add_new("PixelPaddingValue", "US", 3000)
    dataset.add_new("PixelPaddingRangeLimit", "US", 3300)

    picture = grays.render(dataset)

    inside = (RAMP >= 3000) & (RAMP <= 3300)
    assert (picture[inside] == 0).all()
    assert (picture[RAMP > 3300] > 200).all()


def test_empty_window_is_none() -> None:
    """Elements that are there but empty say nothing."""
    np.testing.assert_array_equal(
        grays.render(film(RAMP, WindowCenter="", WindowWidth="", RescaleSlope="")),
        grays.render(film(RAMP)),
    )


def lut(descriptor: list[int], entries: np.ndarray) -> Sequence:
    """One look-up table in a sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", descriptor)
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    return Sequence([item])
