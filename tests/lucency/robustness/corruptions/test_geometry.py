"""Turned and cut-off films."""

import numpy as np

from lucency.robustness.corruptions import geometry


def test_rotation_turns_about_the_centre_both_ways() -> None:
    """A dot right of the centre goes up on some films and down on others, by 20 degrees."""
    film = np.zeros((101, 101, 1), np.uint8)
    film[49:52, 89:92] = 255

    angles = set()
    for seed in range(8):
        made = geometry.rotation(film, 5, np.random.default_rng(seed))
        row, column = np.argwhere(made[:, :, 0] > 100).mean(axis=0) - 50
        angles.add(round(float(np.degrees(np.arctan2(row, column)))))

    assert angles == {-20, 20}


def test_crop_is_a_part_of_the_film() -> None:
    """Seven tenths of both sides are left at severity 5, at any place, no pixel changed."""
    film = np.arange(100 * 60, dtype=np.int64).reshape(100, 60, 1)

    made = [geometry.crop(film, 5, np.random.default_rng(seed)) for seed in range(4)]

    assert {each.shape for each in made} == {(70, 42, 1)}
    assert len({int(each[0, 0, 0]) for each in made}) == 4
    for each in made:
        assert (np.diff(each[:, 0, 0]) == 60).all()
        assert (np.diff(each[0, :, 0]) == 1).all()
