"""Lead markers and text."""

import numpy as np
import pytest

from lucency.robustness.corruptions import markers

FILM = np.full((200, 160, 1), 90, np.uint8)


def test_a_marker_lies_in_a_corner_and_leaves_the_chest() -> None:
    """At severities 1 and 2 only one corner is drawn on, each of the four on some film."""
    corners = set()
    for seed in range(16):
        made = markers.marker(FILM, 2, np.random.default_rng(seed))
        places = np.argwhere(made[:, :, 0] != 90)
        low, right = places.mean(axis=0) > (100, 80)
        corners.add((bool(low), bool(right)))
        spread = np.ptp(places, axis=0)
        assert (spread < (50, 40)).all()

    assert len(corners) == 4


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_a_marker_covers_more_with_each_severity(severity: int) -> None:
    """More pixels are drawn on than at the severity below, and fewer than a quarter of all."""
    drawn = [
        int((markers.marker(FILM, level, np.random.default_rng(1)) != 90).sum())
        for level in (max(1, severity - 1), severity)
    ]

    assert drawn[0] < drawn[1] or severity == 1
    assert 0 < drawn[1] < FILM.size / 4
