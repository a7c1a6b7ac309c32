"""Shortcut probes."""

import numpy as np
import pytest

from lucency.robustness import probes

FILM = np.random.default_rng(0).integers(0, 255, (90, 60, 1)).astype(np.uint8)


def test_border_only_keeps_the_outer_tenth() -> None:
    """Nine rows and six columns at each side are the film's; the rest has one gray."""
    left = probes.border_only(FILM)

    np.testing.assert_array_equal(left[:9], FILM[:9])
    np.testing.assert_array_equal(left[:, -6:], FILM[:, -6:])
    assert len(np.unique(left[9:-9, 6:-6])) == 1


def test_centre_blanked_hides_two_thirds_of_both_sides() -> None:
    """A film that differs in its middle two thirds alone gives the same picture around it."""
    left = probes.centre_blanked(FILM)

    assert len(np.unique(left[15:75, 10:50])) == 1
    np.testing.assert_array_equal(left[:15], FILM[:15])
    np.testing.assert_array_equal(left[:, :10], FILM[:, :10])


def test_size_only_keeps_nothing_but_the_size() -> None:
    """One gray, of the film's shape."""
    left = probes.size_only(FILM)

    assert left.shape == FILM.shape
    assert len(np.unique(left)) == 1


@pytest.mark.parametrize(
    ("lower", "upper", "told"),
    [(0.61, 0.9, True), (0.59, 0.9, False), (0.1, 0.39, True), (None, None, False)],
)
def test_a_shortcut_is_wholly_over_the_bar(
    lower: float | None, upper: float | None, told: bool
) -> None:
    """The interval decides, not the value; answers turned round tell the classes apart as well."""
    assert probes.is_shortcut({"value": 0.7, "lower": lower, "upper": upper}, 0.6) is told


def test_a_shortcut_is_said_in_a_sentence() -> None:
    """The sentence has the claim, the interval and the bar."""
    area = {"value": 0.71, "lower": 0.65, "upper": 0.77}

    said = probes.sentence("the model answers from the border", area, 0.6, True)

    assert said == (
        "Shortcut: the model answers from the border, AUROC 0.710 (0.650 to 0.770); the bar is 0.6."
    )


def test_sizes_that_differ_by_class_are_learnt() -> None:
    """Wide films of one class score higher than the others, on films never seen."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    sides = generator.integers(900, 1100, (200, 2))
    sides[labels == 1, 0] += 600

    scores = probes.size_scores(sides[::2], labels[::2], sides[1::2])

    assert scores is not None
    assert scores[50:, 1].min() > scores[:50, 1].max()


def test_one_size_is_nothing_to_learn_from() -> None:
    """Films that were all resized before have no size to give them away."""
    assert probes.size_scores(np.full((4, 2), 224), np.array([0, 1, 0, 1]), np.ones((2, 2))) is None
