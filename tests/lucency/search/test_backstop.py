"""Tune ends a trial only when its own loop did not."""

import pytest

from lucency.search.backstop import overdue

VERDICTS = [
    {"run": "trial_000", "epoch": 1, "action": "continue"},
    {"run": "trial_000", "epoch": 2, "action": "stop"},
    {"run": "trial_001", "epoch": 1, "action": "promote"},
]


@pytest.mark.parametrize(
    ("run", "epoch", "ended"),
    [
        ("trial_000", 1, False),
        ("trial_000", 2, False),
        ("trial_000", 3, True),
        ("trial_001", 9, False),
        ("trial_002", 9, False),
    ],
)
def test_only_epochs_after_the_word_are_overdue(run: str, epoch: int, ended: bool) -> None:
    """The epoch at which a trial hears that it stops is its last rightful one."""
    assert overdue(VERDICTS, run, epoch) is ended
