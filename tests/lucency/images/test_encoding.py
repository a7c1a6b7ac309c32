"""PNGs: no pixel is lost, whichever way they are written."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from lucency import images

Encode = Callable[[np.ndarray], bytes]


def drawn(height: int, width: int, channels: int) -> np.ndarray:
    """Grain over a ramp."""
    rng = np.random.default_rng(height * width)
    ramp = np.linspace(0, 200, width)[None, :, None]
    return (ramp + rng.integers(0, 56, (height, width, channels))).astype(np.uint8)


@pytest.mark.parametrize("encode", [images.encode_png, images.encode_png_fast])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (37, 1), (64, 51)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_come_back(encode: Encode, height: int, width: int, channels: int) -> None:
    """Gray or colour, of any size: two readers find what was written, and nothing damaged."""
    image = drawn(height, width, channels)

    data = encode(image)

    with Image.open(io.BytesIO(data)) as opened:
        opened.verify()
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == ("L" if channels == 1 else "RGB")
        np.testing.assert_array_equal(np.asarray(opened).reshape(image.shape), image)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(read, np.broadcast_to(image, (height, width, 3)))


def test_fast_is_no_larger() -> None:
    """What is written faster is as small, on a picture with grain."""
    image = drawn(400, 500, 3)

    assert len(images.encode_png_fast(image)) < 1.05 * len(images.encode_png(image))
