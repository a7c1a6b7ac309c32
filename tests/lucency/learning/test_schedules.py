"""The learning rate over a phase."""

import pytest

from lucency.learning.schedules import constant, cosine, schedules, triangle


@pytest.mark.parametrize(("steps", "warm_up"), [(10, 0.0), (10, 0.3), (1, 0.0), (7, 0.9)])
def test_cosine_ends_at_zero(steps: int, warm_up: float) -> None:
    """After the last step of a phase the rate is zero, and stays there."""
    assert cosine(steps, steps, warm_up=warm_up) == pytest.approx(0.0)
    assert cosine(steps + 5, steps, warm_up=warm_up) == pytest.approx(0.0)


def test_cosine_rises_and_then_falls() -> None:
    """The rate grows by equal steps to its full value and then only shrinks."""
    rates = [cosine(step, 20, warm_up=0.2) for step in range(20)]

    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[12] == pytest.approx(0.5)


def test_triangle_has_straight_sides() -> None:
    """Up by equal steps, down by equal steps, to the factor that is asked for."""
    rates = [triangle(step, 10, warm_up=0.2, end=0.2) for step in range(11)]

    assert rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[2:] == pytest.approx([1.0 - 0.1 * step for step in range(9)])


def test_constant_is_constant() -> None:
    """The full rate at every step, after a warm-up if one is asked for."""
    assert [constant(step, 4) for step in range(4)] == [1.0] * 4
    assert [constant(step, 4, warm_up=0.5) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", schedules.names())
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_no_step_is_wasted(name: str, steps: int) -> None:
    """Every step that is taken has a rate above zero and not above the full one."""
    options = schedules.options(name)(name=name)

    assert all(0 < schedules.build(options, step, steps) <= 1 for step in range(steps))
