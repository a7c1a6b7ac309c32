"""The loop's pure part: when to stop."""

import pytest

from lucency.evaluation.selection import SCORE
from lucency.training.loop import stopped


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.4], 1, True),
        ([0.5, 0.4], 2, False),
        ([0.5, 0.6, 0.5, 0.4], 2, True),
        ([0.5, 0.4, 0.6, 0.5], 2, False),
        ([0.5, 0.5, 0.5], 2, True),
    ],
)
def test_run_stops_when_its_best_is_old(scores: list[float], patience: int, expected: bool) -> None:
    """Patience is counted from the first of the best epochs; an equal one renews nothing."""
    history = [{SCORE: value} for value in scores]

    assert stopped(history, patience) is expected
