"""Pixels become the network's input by one recipe."""

import io

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from lucency.errors import ImageError
from lucency.images import encode_png
from lucency.preprocess import Preprocess

GRAY = Preprocess(size=16, color="L", mean=(0.5,), std=(0.25,))


def test_flat_film_stays_flat() -> None:
    """Resizing and normalising introduce no values that the film did not have."""
    data = encode_png(np.full((40, 26), 255, np.uint8))

    array_chw = GRAY(data)

    assert array_chw.shape == (1, 16, 16)
    np.testing.assert_allclose(array_chw, 2.0)


def test_input_is_what_a_graph_takes() -> None:
    """The array is float32 and contiguous, so that no runtime copies it again."""
    array_chw = GRAY(encode_png(np.zeros((16, 16), np.uint8)))

    assert array_chw.dtype == np.float32
    assert array_chw.flags.c_contiguous


def test_each_channel_has_its_own_numbers() -> None:
    """Mean and deviation are applied channel by channel, in the order red, green, blue."""
    preprocess = Preprocess(size=16, color="RGB", mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    film = np.full((20, 20, 3), (255, 255, 0), np.uint8)

    array_chw = preprocess(encode_png(film))

    np.testing.assert_allclose(array_chw[:, 0, 0], [1.0, 1.0, -4.0])


def test_gray_film_is_repeated_for_three_channels() -> None:
    """A network pretrained on colour sees the same film three times."""
    preprocess = Preprocess(size=16, color="RGB", mean=(0.5,) * 3, std=(0.5,) * 3)
    film = np.random.default_rng(0).integers(0, 256, (30, 30)).astype(np.uint8)

    array_chw = preprocess(encode_png(film))

    np.testing.assert_array_equal(array_chw[0], array_chw[2])


def test_film_of_the_right_size_is_left_alone() -> None:
    """No interpolation where none is needed."""
    film = np.random.default_rng(0).integers(0, 256, (16, 16, 1)).astype(np.uint8)

    assert GRAY.resize(film) is film


def test_shrinking_averages() -> None:
    """Lines finer than a pixel of the input become their mean; none is stepped over."""
    film = np.zeros((160, 160, 1), np.uint8)
    film[:, ::10] = 200

    small = GRAY.resize(film)

    assert set(np.unique(small)) == {20}


@pytest.mark.parametrize("shape", [(17, 400, 1), (400, 17, 3), (20, 20, 1), (12, 12, 3)])
def test_resized_film_keeps_its_axes(shape: tuple[int, int, int]) -> None:
    """Any film becomes a square with the channels it had."""
    resized = GRAY.resize(np.zeros(shape, np.uint8))

    assert resized.shape == (16, 16, shape[2])
    assert resized.dtype == np.uint8


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"color": "RGB"}, "mean has 1 numbers, color 'RGB' has 3 channels"),
        ({"mean": (0.5, 0.5, 0.5)}, "mean has 3 numbers, color 'L' has 1 channels"),
        ({"std": (0.0,)}, "greater than 0"),
        ({"size": 8}, "greater than or equal to 16"),
        ({"sise": 224}, "sise"),
    ],
)
def test_wrong_recipe_is_refused(options: dict[str, object], complaint: str) -> None:
    """A recipe that fits no film fails when it is made."""
    with pytest.raises(ValidationError, match=complaint):
        Preprocess.model_validate(options)


def test_recipe_travels_as_json() -> None:
    """The recipe in a bundle is the recipe of the training run."""
    assert Preprocess.model_validate_json(GRAY.model_dump_json()) == GRAY


def test_callers_limit_of_pixels_holds() -> None:
    """The service's limit reaches the decoder."""
    stream = io.BytesIO()
    Image.new("L", (100, 100)).save(stream, "PNG")

    with pytest.raises(ImageError, match="100 x 100"):
        GRAY(stream.getvalue(), max_pixels=9_999)
