"""Which films a report shows: those of each outcome or pair that were the most certain."""

import numpy as np

from lucency.evaluation import cases


def test_each_outcome_shows_its_most_certain_films() -> None:
    """Missed films begin with the lowest probability, false alarms with the highest."""
    labels_n = np.array([1, 1, 1, 1, 1, 0, 0, 0])
    given_n = np.array([0.4, 0.1, 0.3, 0.2, 0.9, 0.6, 0.8, 0.2])

    found = cases.of_two(labels_n, given_n, 0.5)

    assert [each.place for each in found] == [1, 3, 2, 6, 5, 4, 7]
    assert found[0].title == "false negative, probability 0.100"
    assert [each.title.split(",")[0] for each in found[3:]] == [
        "false positive",
        "false positive",
        "true positive",
        "true negative",
    ]


def test_probability_on_the_threshold_is_positive() -> None:
    """As everywhere: a film at the threshold is called positive."""
    (found,) = cases.of_two(np.array([0]), np.array([0.5]), 0.5)

    assert found.title.startswith("false positive")


def test_pairs_come_by_number_and_films_by_certainty() -> None:
    """The pair mistaken most often is first; of each pair the two most certain are shown."""
    labels_n = np.array([0, 1, 1, 1, 2, 2])
    given_nk = np.array(
        [
            [0.9, 0.1, 0.0],  # right
            [0.6, 0.4, 0.0],
            [0.8, 0.2, 0.0],
            [0.7, 0.3, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],  # right
        ]
    )

    found = cases.of_many(labels_n, given_nk, ("ant", "bee", "cat"))

    assert [each.place for each in found] == [2, 3, 4]
    assert found[0].title == "bee called ant, probability 0.800 (of bee: 0.200)"
    assert found[2].title == "cat called bee, probability 1.000 (of cat: 0.000)"


def test_at_most_eight_pairs_are_shown() -> None:
    """Thirty classes all mistaken for each other still make a page of sixteen films."""
    generator = np.random.default_rng(0)
    labels_n = generator.integers(0, 30, 3000)

    found = cases.of_many(labels_n, generator.random((3000, 30)), [str(n) for n in range(30)])

    assert len(found) == 16
    assert len({each.place for each in found}) == 16


def test_all_right_shows_nothing() -> None:
    """Without a mistake there is no film to show."""
    assert cases.of_many(np.arange(3), np.eye(3), ("ant", "bee", "cat")) == []
