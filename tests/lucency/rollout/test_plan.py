"""What a plan may say."""

import pytest
from pydantic import ValidationError

from lucency.rollout.plan import Plan


@pytest.mark.parametrize("shares", [(0.5, 0.25, 1.0), (0.25, 0.25, 1.0), (0.05, 0.25)])
def test_shares_grow_to_all(shares: tuple[float, ...]) -> None:
    """A trial goes forward, and ends with every film."""
    with pytest.raises(ValidationError, match="shares grow from step to step and end with 1"):
        Plan(shares=shares)


def test_steps_are_those_of_a_canary() -> None:
    """1, 5, 25 and 100 in a hundred."""
    assert Plan().shares == (0.01, 0.05, 0.25, 1.0)
