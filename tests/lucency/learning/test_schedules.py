"""The learning rate over a phase."""

import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from lucency.learning.schedules import (
    At,
    constant,
    cosine,
    one_cycle,
    reduce_on_plateau,
    schedules,
    triangle,
)

SCORES = (0.5, 0.61, 0.61, 0.615, 0.6, 0.7, 0.69, 0.7, 0.7, 0.7, 0.7, 0.7, 0.705, 0.2, 0.2, 0.2)


@pytest.mark.parametrize(("steps", "warm_up"), [(10, 0.0), (10, 0.3), (1, 0.0), (7, 0.9)])
def test_cosine_ends_at_zero(steps: int, warm_up: float) -> None:
    """After the last step of a phase the rate is zero, and stays there."""
    assert cosine(At(steps, steps), warm_up=warm_up) == pytest.approx(0.0)
    assert cosine(At(steps + 5, steps), warm_up=warm_up) == pytest.approx(0.0)


def test_cosine_rises_and_then_falls() -> None:
    """The rate grows by equal steps to its full value and then only shrinks."""
    rates = [cosine(At(step, 20), warm_up=0.2) for step in range(20)]

    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[12] == pytest.approx(0.5)


def test_triangle_has_straight_sides() -> None:
    """Up by equal steps, down by equal steps, to the factor that is asked for."""
    rates = [triangle(At(step, 10), warm_up=0.2, end=0.2) for step in range(11)]

    assert rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[2:] == pytest.approx([1.0 - 0.1 * step for step in range(9)])


def test_constant_is_constant() -> None:
    """The full rate at every step, after a warm-up if one is asked for."""
    assert [constant(At(step, 4)) for step in range(4)] == [1.0] * 4
    assert [constant(At(step, 4), warm_up=0.5) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("steps", [2, 10, 97])
@pytest.mark.parametrize("warm_up", [0.3, 0.45])
@pytest.mark.parametrize(("start", "end"), [(0.04, 4e-6), (0.5, 0.1)])
def test_one_cycle_is_pytorchs(steps: int, warm_up: float, start: float, end: float) -> None:
    """Step by step the rates of ``torch.optim.lr_scheduler.OneCycleLR``."""
    optimizer = _optimizer()
    reference = OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=steps,
        pct_start=warm_up,
        div_factor=1 / start,
        final_div_factor=start / end,
        cycle_momentum=False,
    )
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < steps:
            reference.step()

    found = [one_cycle(At(n, steps), warm_up=warm_up, start=start, end=end) for n in range(steps)]

    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("threshold", [0.0, 0.01])
def test_plateau_is_pytorchs(patience: int, threshold: float) -> None:
    """After each epoch the rate of ``torch.optim.lr_scheduler.ReduceLROnPlateau``."""
    optimizer = _optimizer()
    reference = ReduceLROnPlateau(
        optimizer, "max", factor=0.5, patience=patience, threshold=threshold, threshold_mode="abs"
    )
    expected = [1.0]
    for score in SCORES:
        reference.step(score)
        expected.append(optimizer.param_groups[0]["lr"])

    found = [
        reduce_on_plateau(
            At(100 * epoch, 10_000, SCORES[:epoch]),
            factor=0.5,
            patience=patience,
            threshold=threshold,
        )
        for epoch in range(len(SCORES) + 1)
    ]

    assert found == pytest.approx(expected)
    assert min(found) < 1.0


def test_plateau_rises_first() -> None:
    """A warm-up and a reduction that falls into it multiply."""
    rates = [
        reduce_on_plateau(At(step, 10, scores), patience=0, factor=0.5, warm_up=0.4)
        for step, scores in [(0, ()), (2, (0.5,)), (2, (0.5, 0.4)), (5, (0.5, 0.4))]
    ]

    assert rates == pytest.approx([0.25, 0.75, 0.375, 0.5])


@pytest.mark.parametrize("name", schedules.names())
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_no_step_is_wasted(name: str, steps: int) -> None:
    """Every step that is taken has a rate above zero and not above the full one."""
    options = schedules.options(name)(name=name)

    assert all(0 < schedules.build(options, At(step, steps)) <= 1 for step in range(steps))


def _optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
