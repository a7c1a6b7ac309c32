"""Hold, advance or roll back, and the figure that decides."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from lucency.rollout.counts import Arm, Counts
from lucency.rollout.plan import Guards, Plan
from lucency.rollout.rule import decide

PLAN = Plan(least_films=100, least_s=60)


def arm(films: int = 200, *, seconds: float = 0.02, **more: int) -> Arm:
    """A model that answered so many films, each in that time."""
    made = Arm()
    for _ in range(films - more.get("errors", 0)):
        made.answered(seconds, abstained=False)
    made.films = films
    for name, value in more.items():
        setattr(made, name, value)
    return made


def move(counts: Counts, *, step: int = 0, seconds: float = 100.0) -> tuple[str, str]:
    """The move and its reason, for a model whose floor of sensitivity is 0.9."""
    found = decide(PLAN, step, counts, seconds=seconds, floor=0.9)
    return found.move, found.reason


def healthy() -> Counts:
    """Two models that differ in nothing."""
    return Counts(arm(2000), arm(), mirrored=200, disagreed=4)


def test_healthy_challenger_goes_through_all_steps() -> None:
    """1, 5 and 25 in a hundred, then it is the champion."""
    assert [move(healthy(), step=step)[0] for step in range(3)] == ["advance", "advance", "promote"]


def test_plan_of_one_step_promotes() -> None:
    """A challenger that is given all films at once is made the champion after them."""
    plan = Plan(shares=(1.0,), least_s=0)

    assert decide(plan, 0, healthy(), seconds=1, floor=0.9).move == "promote"


def test_step_lasts_its_time_and_its_films() -> None:
    """Neither many films in a minute nor few films in a day are enough."""
    few = Counts(arm(2000), arm(99))

    assert move(few) == ("hold", "99 of 100 films")
    assert move(healthy(), seconds=59) == ("hold", "59 of 60 s")


def put(where: Any, name: str, value: Any) -> None:
    """An attribute set, as an expression."""
    setattr(where, name, value)


FAULTS: dict[str, tuple[Callable[[Counts], None], str]] = {
    "errs": (lambda c: put(c, "challenger", arm(errors=12)), "errors: 12 of 400 films"),
    "errs on mirrored films": (lambda c: put(c, "failed", 20), "errors: 20 of 420 films"),
    "slow": (lambda c: put(c, "challenger", arm(seconds=0.05)), "latency: the 99% percentile"),
    "disagrees": (lambda c: put(c, "disagreed", 40), "disagreement: 40 of 200"),
    "abstains": (lambda c: put(c.challenger, "abstains", 50), "abstentions: 50 of 200"),
    "drifts": (lambda c: put(c.challenger, "drift", 1), "drift: the challenger's films"),
    "misses": (
        lambda c: c.challenger.__dict__.update(positives=60, found=45),
        "sensitivity by late labels: 45 of 60 found, at most 0.8",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_takes_the_challenger_back(fault: str) -> None:
    """Each guard works by itself, before the step has lasted its time, and says its figure."""
    counts = healthy()
    make, told = FAULTS[fault]
    make(counts)

    found = move(counts, seconds=1)

    assert found[0] == "roll back"
    assert found[1].startswith(told)


@pytest.mark.parametrize(
    "counts",
    [
        Counts(arm(2000), arm(20, errors=20)),
        Counts(arm(2000), arm(20), mirrored=20, disagreed=20),
        Counts(arm(2000), arm(20, abstains=20)),
        Counts(arm(2000), arm(20, positives=20, found=0)),
        Counts(arm(20), arm(seconds=1.0)),
    ],
    ids=["errors", "disagreement", "abstentions", "sensitivity", "latency"],
)
def test_few_films_prove_nothing(counts: Counts) -> None:
    """Under its least number of films no guard speaks, whatever they show."""
    assert move(counts)[0] != "roll back"


def test_fault_of_both_is_not_the_challengers() -> None:
    """A network that is down, films that are worse: what both suffer from decides nothing."""
    counts = healthy()
    counts.champion = arm(2000, errors=200, drift=1, abstains=600)
    counts.challenger = arm(errors=20, drift=1, abstains=60)

    assert move(counts)[0] == "advance"


def test_floor_of_the_plan_goes_first() -> None:
    """A configured floor of sensitivity stands for the model's own."""
    plan = Plan(guards=Guards(sensitivity_floor=0.6), least_films=100, least_s=60)
    counts = healthy()
    counts.challenger.positives, counts.challenger.found = 60, 45

    assert decide(plan, 0, counts, seconds=100, floor=0.9).move == "advance"


def test_equal_models_are_rarely_taken_back() -> None:
    """Looked at after every ten films, two equal models part in 1 of 20 trials at most."""
    generator = random.Random(0)
    back = 0
    for _ in range(100):
        counts = Counts(arm(5000, abstains=750), Arm())
        for n in range(300):
            counts.challenger.answered(0.02, abstained=generator.random() < 0.15)
            counts.mirrored += 1
            counts.disagreed += generator.random() < 0.04
            if n % 10 == 9 and move(counts, seconds=1)[0] == "roll back":
                back += 1
                break

    assert back <= 5
