"""Films under heat."""

import numpy as np

from lucency import images
from lucency.explain import pictures
from lucency.explain.curves import Curves

GRAY = np.full((32, 32), 0.5)


def decoded(png: bytes) -> np.ndarray:
    """RGB, signed."""
    return images.decode(png, color="RGB").astype(int)


def test_heat_is_where_the_map_is_hot() -> None:
    """A warm corner is coloured, the rest stays as gray as the film."""
    heat = np.zeros((32, 32), np.float32)
    heat[:8, :8] = 1.0

    found = decoded(pictures.heat(GRAY, heat))

    assert np.ptp(found[28, 28]) > 50
    assert np.ptp(found[150:, 150:], axis=2).max() <= 2


def test_cold_map_leaves_the_film_gray() -> None:
    """What speaks against the class alone colours nothing."""
    found = decoded(pictures.heat(GRAY, -np.ones((32, 32), np.float32)))

    np.testing.assert_array_equal(found, decoded(pictures.film(GRAY)))


def test_target_is_outlined() -> None:
    """Where a mask is known its edge is drawn, its inside is not covered."""
    mask = np.zeros((32, 32), np.bool_)
    mask[8:24, 8:24] = True

    changed = (decoded(pictures.film(GRAY, mask)) != decoded(pictures.film(GRAY))).any(axis=2)

    assert changed[56:168, 54:60].any()
    assert not changed[80:140, 80:140].any()


def test_no_curve_is_said() -> None:
    """Without a film that is called positive the figure says why it is empty."""
    assert "no film was called positive" in pictures.curves({"cam": Curves.none()})
