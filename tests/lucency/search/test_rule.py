"""Which trials stop, and what they are told."""

import dataclasses

import numpy as np
import pytest

from lucency.config.stopping import Stopping
from lucency.evaluation.intervals import Interval
from lucency.evaluation.rule import ClinicalRule
from lucency.search.rule import Decision, Measure, Terms, decide, measure

TERMS = Terms(
    Stopping(grace=2, eta=2.0, budget=1.0),
    ClinicalRule(sensitivity_floor=0.8, specificity_floor=0.9),
    epochs=12,
)
_DRAWS = np.random.default_rng(0).normal(size=400)


def reached(
    run: str, epoch: int, value: float, *, doubt: float = 0.05, noise: int | None = None
) -> Measure:
    """
    An epoch of a trial whose figure is known to ``doubt``.

    Trials err on the same patients, unless ``noise`` gives this one errors of its own.
    """
    draws_r = _DRAWS if noise is None else np.random.default_rng(noise).normal(size=400)
    drawn_r = (value + doubt / 2 * draws_r).astype(np.float32)
    return Measure(
        run,
        epoch,
        "sensitivity at specificity 0.9",
        Interval(value, value - doubt, value + doubt),
        40,
        drawn_r,
    )


def state(*measures: Measure) -> dict[str, list[Measure]]:
    """What arrived, by run."""
    found: dict[str, list[Measure]] = {}
    for each in measures:
        found.setdefault(each.run, []).append(each)
    return found


def decided(now: Measure, *past: Measure, terms: Terms = TERMS) -> Decision:
    """The decision on ``now`` after ``past``."""
    return decide(terms, state(*past), now)


def spending(budget: float) -> Terms:
    """The terms with another budget."""
    return dataclasses.replace(TERMS, stopping=TERMS.stopping.model_copy(update={"budget": budget}))


def test_a_trial_that_is_surely_under_the_floor_stops() -> None:
    """The upper bound is under the floor, and the sentence names both, the epoch and patients."""
    found = decided(reached("a", 3, 0.7))

    assert found.stop
    assert "at epoch 3 the upper 95% bound 0.7500" in found.reason
    assert "40 patients is under the floor 0.8" in found.reason
    assert found.against == 0.8


def test_a_trial_that_may_reach_the_floor_goes_on() -> None:
    """A figure under the floor whose upper bound is over it is no reason to stop."""
    assert decided(reached("a", 3, 0.76), reached("a", 2, 0.7)).action == "continue"


def test_nothing_stops_in_grace() -> None:
    """Before the last epoch of grace a trial that has learnt nothing goes on."""
    found = decided(reached("a", 1, 0.1), reached("b", 1, 0.99))

    assert found.action == "continue"
    assert "grace" in found.reason


def test_nothing_stops_after_the_last_epoch() -> None:
    """A trial that is whole is not said to be stopped."""
    assert decided(reached("a", 12, 0.1)).action == "continue"


def test_a_trial_surely_behind_the_leader_stops_between_rungs() -> None:
    """Its upper bound is under the leader's lower one at the same epoch."""
    found = decided(reached("a", 3, 0.85, doubt=0.03), reached("b", 3, 0.96, doubt=0.02))

    assert found.stop
    assert "0.8800" in found.reason
    assert "lower bound 0.9400 of leader b" in found.reason
    assert found.leader == "b"


def test_intervals_that_overlap_stop_nobody_between_rungs() -> None:
    """A figure under the leader's lower bound is not enough: the upper bound must be."""
    leader = reached("b", 3, 0.91, doubt=0.02)

    found = decided(reached("a", 3, 0.85), reached("a", 2, 0.8), leader)

    assert found.action == "continue"


def test_the_leader_is_met_at_the_same_epoch() -> None:
    """What a trial reached later, or one that is not so far yet, is not held against another."""
    late = decided(reached("a", 3, 0.85), reached("b", 3, 0.8), reached("b", 9, 0.99, doubt=0.01))
    young = decided(reached("a", 3, 0.85), reached("b", 2, 0.99, doubt=0.01))

    assert not late.stop
    assert not young.stop


def test_the_best_epoch_so_far_speaks_for_a_trial() -> None:
    """One bad epoch stops nobody: the checkpoint that is kept is the best one's."""
    found = decided(reached("a", 3, 0.5), reached("a", 2, 0.9))

    assert found.action == "continue"
    assert "best epoch so far: 2" in found.reason
    assert found.interval.value == 0.5


def test_rungs_lie_as_in_asha() -> None:
    """The first at the grace, each next one eta times as late, none at the last epoch."""
    assert TERMS.rungs == (2, 4, 8)
    steep = Stopping(grace=1, eta=3.0)
    assert dataclasses.replace(TERMS, stopping=steep, epochs=27).rungs == (1, 3, 9)
    shallow = Stopping(grace=1, eta=1.2)
    assert dataclasses.replace(TERMS, stopping=shallow, epochs=4).rungs == (1, 2, 3)


def test_the_first_in_a_rung_is_promoted() -> None:
    """As in ASHA there is nobody to wait for."""
    assert decided(reached("a", 2, 0.85)).action == "promote"


def test_the_best_of_a_rung_are_promoted_whatever_is_spent() -> None:
    """The upper half passes at eta 2."""
    past = [reached(name, 2, value) for name, value in zip("bcd", (0.84, 0.86, 0.88), strict=True)]

    found = decided(reached("a", 2, 0.87), *past, terms=spending(0.01))

    assert found.action == "promote"
    assert "best 1 in 2" in found.reason
    assert "4 trials" in found.reason


def test_a_rung_stops_what_the_same_patients_tell_from_the_leader() -> None:
    """Intervals overlap, but patient by patient the trial is behind: that is enough."""
    found = decided(reached("a", 2, 0.87), reached("b", 2, 0.9))

    assert found.stop
    assert "difference to leader b on the same 40 patients is under 0" in found.reason


def test_a_rung_keeps_what_cannot_be_told_from_the_leader() -> None:
    """As far behind, but on other patients: ASHA would stop it, here it goes on."""
    found = decided(reached("a", 2, 0.87, noise=1), reached("b", 2, 0.9))

    assert found.action == "promote"
    assert "is not under 0" in found.reason
    assert found.leader == "b"


def test_a_spent_budget_stops_what_is_not_among_the_best() -> None:
    """The same trial when two trials of 12 epochs were granted 2 epochs and took 4."""
    past = [reached("b", 1, 0.8), reached("b", 2, 0.9), reached("a", 1, 0.8)]

    found = decided(reached("a", 2, 0.87, noise=1), *past, terms=spending(2 / 24))

    assert found.stop
    assert "4 epochs of 2 that the budget grants are spent" in found.reason


def test_the_budget_stops_nobody_in_the_second_half() -> None:
    """What is left then are the best, too alike to be ranked."""
    found = decided(reached("a", 8, 0.87, noise=1), reached("b", 8, 0.9), terms=spending(0.01))

    assert found.action == "promote"
    assert "more than half of its epochs" in found.reason


def test_a_rung_that_was_missed_is_made_up_for() -> None:
    """A trial that was away at epoch 2 (its worker died) is ranked at the next epoch it reports."""
    leader = [reached("b", epoch, 0.9) for epoch in (1, 2, 3)]

    away = decided(reached("a", 3, 0.87), reached("a", 1, 0.8), *leader)
    ranked = decided(reached("a", 3, 0.87), reached("a", 2, 0.8), *leader)

    assert away.stop
    assert ranked.action == "continue"


def test_of_equal_trials_the_one_that_came_first_leads() -> None:
    """Ties have one answer."""
    assert decided(reached("a", 2, 0.85), reached("b", 2, 0.9), reached("c", 2, 0.9)).leader == "b"


def test_what_cannot_be_measured_stops_nobody() -> None:
    """Without films of both classes there is no figure to judge by."""
    labels_n, logits_nk = np.ones(30, dtype=np.int64), np.zeros((30, 1), dtype=np.float32)

    found = decided(measure(TERMS, "a", 4, labels_n, logits_nk, np.arange(30)))

    assert found.action == "continue"
    assert "can't be measured" in found.reason


def test_a_network_that_calls_all_films_alike_stops_at_the_floor() -> None:
    """From predictions to the decision: chance is surely under a floor of 0.8."""
    labels_n = np.repeat([1, 0], [40, 14])

    found = decided(measure(TERMS, "a", 2, labels_n, np.zeros((54, 1)), np.arange(54)))

    assert found.stop
    assert "floor" in found.reason
    assert found.patients == 40


@pytest.mark.parametrize(("classes", "patients"), [(1, 10), (3, 15)])
def test_patients_are_those_that_the_figure_counts(classes: int, patients: int) -> None:
    """Those with a positive film for sensitivity, all of them for accuracy; films count once."""
    labels_n = np.repeat([1, 0], [20, 10])
    patients_n = np.arange(30) // 2
    logits_nk = np.random.default_rng(0).normal(size=(30, classes))

    found = measure(TERMS, "a", 1, labels_n, logits_nk, patients_n)

    assert found.patients == patients
    assert found.figure.startswith("sensitivity" if classes == 1 else "accuracy")


def test_a_decision_is_a_function_of_what_arrived() -> None:
    """Asked twice with the same state: the same decision, and the state is as it was."""
    past = state(reached("b", 2, 0.9), reached("c", 2, 0.86))
    now = reached("a", 2, 0.87, noise=1)

    first, again = decide(TERMS, past, now), decide(TERMS, past, now)

    assert first == again
    assert {run: len(curve) for run, curve in past.items()} == {"b": 1, "c": 1}
