"""Sheets: what is placed is there, in full, and nothing else."""

import numpy as np
import pytest

from lucency import images
from lucency.anatomy.sheet import Sheet, shortened

RED = np.full((10, 20, 3), (255, 0, 0), np.uint8)


def drawn(sheet: Sheet) -> np.ndarray:
    """The sheet's pixels, RGB."""
    return images.decode(sheet.png(), color="RGB")


def test_pictures_stand_where_they_were_placed() -> None:
    """Each pixel of a picture is on the sheet, and those around it stay white."""
    sheet = Sheet(200, 100, "")

    sheet.picture(30, 40, RED)

    expected = np.full((100, 200, 3), 255, np.uint8)
    expected[40:50, 30:50] = RED
    np.testing.assert_array_equal(drawn(sheet), expected)


def test_box_runs_around_its_pixels() -> None:
    """An outline of two pixels leaves what it encloses visible."""
    sheet = Sheet(200, 100, "")
    sheet.picture(30, 40, RED)

    sheet.box(30, 40, 49, 49, "#0000ff")

    found = drawn(sheet)
    np.testing.assert_array_equal(found[40:50, 30:50], RED)
    assert (found[38:40, 28:52] == (0, 0, 255)).all()
    assert (found[50:52, 28:52] == (0, 0, 255)).all()


def test_sheet_is_as_wide_as_its_title() -> None:
    """A long title is not cut off: the last columns hold its end and a white margin."""
    narrow = drawn(Sheet(100, 40, "short"))
    wide = drawn(Sheet(100, 40, "a title that goes on and on"))

    assert narrow.shape[1] == 100
    assert wide.shape[1] > 200
    assert (wide[:, -6:] == 255).all()
    assert (wide[:, -16:] < 255).any()


@pytest.mark.parametrize(("left", "top"), [(190, 0), (0, 95)])
def test_picture_that_leaves_the_sheet_is_our_mistake(left: int, top: int) -> None:
    """Nothing is clipped in silence."""
    with pytest.raises(AssertionError, match="leaves the sheet"):
        Sheet(200, 100, "").picture(left, top, RED)


def test_long_names_keep_their_ends() -> None:
    """Layers differ at the end of their names; short names stay whole."""
    name = "features.0.denseblock3.denselayer24.conv2"

    assert shortened("conv1", 100) == "conv1"
    cut = shortened(name, 100)
    assert cut.startswith("...")
    assert name.endswith(cut[3:])
    assert len(cut) > 10
