"""Counts of replicas that add up, and percentiles read from them."""

import json
import math

import pytest

from lucency.rollout.counts import BOUNDS_S, Arm, Counts, total


def test_counts_survive_the_store() -> None:
    """What is written as JSON and read back is the same."""
    counts = Counts(mirrored=3, disagreed=1, dropped=2)
    counts.champion.answered(0.02, abstained=True)
    counts.challenger.failed()

    assert Counts.of(json.loads(json.dumps(counts.plain()))) == counts


def test_replicas_add_up() -> None:
    """Two replicas' films are one trial's; an alarm in both is one alarm."""
    one, other = Counts(mirrored=1), Counts(mirrored=2, disagreed=1)
    for counts in (one, other):
        counts.challenger.answered(0.02, abstained=False)
        counts.challenger.drift = 1

    both = total([one, other])

    assert (both.mirrored, both.disagreed) == (3, 1)
    assert both.challenger.films == sum(both.challenger.latency) == 2
    assert both.challenger.drift == 1


def test_percentile_is_read_to_a_quarter() -> None:
    """The bound that 99 of 100 films keep is at most a quarter over their slowest."""
    arm = Arm()
    for n in range(1000):
        arm.answered(0.010 if n < 985 else 0.200, abstained=False)

    assert 0.200 <= arm.percentile_s(0.99) <= 0.250
    assert 0.010 <= arm.percentile_s(0.5) <= 0.0125


def test_percentile_of_nothing_is_unknown() -> None:
    """No films give no number; films over the last bound give infinity."""
    arm = Arm()
    assert math.isnan(arm.percentile_s(0.99))
    arm.answered(BOUNDS_S[-1] * 2, abstained=False)

    assert arm.percentile_s(0.99) == pytest.approx(math.inf)
