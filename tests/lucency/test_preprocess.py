"""Pixels become the network's input by one recipe."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from lucency import images
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


def smooth(height: int, width: int) -> np.ndarray:
    """A film without fine detail."""
    small = np.random.default_rng(2).integers(0, 256, (5, 5)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def encoded(film: np.ndarray, kind: str) -> bytes:
    """The film as JPEG or PNG."""
    stream = io.BytesIO()
    Image.fromarray(film).save(stream, kind, quality=95)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("height", "width"), [(64, 64), (65, 127), (128, 128), (150, 1000), (801, 999), (40, 200)]
)
def test_working_film_is_no_larger_than_it_need_be(kind: str, height: int, width: int) -> None:
    """Each side has the input's size to twice that, and all that a smaller film has."""
    preprocess = Preprocess(size=64)

    working = preprocess.working(encoded(smooth(height, width), kind))

    assert working.dtype == np.uint8
    assert working.shape[2] == 1
    for side, original in zip(working.shape, (height, width), strict=False):
        assert min(64, original) <= side < 128


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("color", ["L", "RGB"])
def test_row_of_our_table_is_the_same_film(kind: str, color: images.Color) -> None:
    """Training reads rows as checked, serving bytes as unknown: the pixels are the same."""
    numbers = (0.5,) * (1 if color == "L" else 3)
    preprocess = Preprocess(size=64, color=color, mean=numbers, std=numbers)
    data = encoded(smooth(300, 420), kind)

    working = preprocess.working(data)

    np.testing.assert_array_equal(preprocess.working(data, checked=True), working)
    np.testing.assert_array_equal(preprocess(data), preprocess.tensor(working))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("shape", [(150, 130), (300, 420), (90, 700), (61, 80)])
def test_short_way_is_the_average_of_the_area(kind: str, shape: tuple[int, int]) -> None:
    """Scaled decoding, whole factors and one interpolation come to averaging over the area."""
    preprocess = Preprocess(size=64, mean=(0.0,), std=(1.0,))
    film = smooth(*shape)

    input_hw = 255 * preprocess(encoded(film, kind))[0]

    averaged = cv2.resize(film, (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(input_hw - averaged).mean() < 2


@pytest.mark.parametrize("color", ["L", "RGB"])
def test_table_is_the_formula(color: images.Color) -> None:
    """Each gray level becomes (level / 255 - mean) / std, to the rounding of float32."""
    mean, std = ((0.5,), (0.25,)) if color == "L" else ((0.485, 0.456, 0.406), (0.229, 0.2, 0.3))
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(len(mean), axis=2)

    found = Preprocess(size=16, color=color, mean=mean, std=std).normalise(levels)

    expected = (levels / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-6)


def test_changed_recipe_uses_its_own_table() -> None:
    """Nothing of the first recipe is left in a copy with other numbers."""
    film = np.full((16, 16, 1), 255, np.uint8)
    GRAY.normalise(film)

    changed = GRAY.model_copy(update={"mean": (1.0,)})

    assert not changed.normalise(film).any()


def test_input_is_written_where_it_is_wanted() -> None:
    """A batch is filled in place, one film beside the other."""
    batch = np.zeros((2, 1, 16, 16), np.float32)
    film = np.full((20, 30, 1), 255, np.uint8)

    given = GRAY.tensor(film, out=batch[1])

    assert np.shares_memory(given, batch)
    np.testing.assert_allclose(batch[0], 0)
    np.testing.assert_allclose(batch[1], 2)
