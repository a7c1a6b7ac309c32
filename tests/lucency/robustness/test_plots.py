"""Curves over severity."""

from typing import Any

from lucency.robustness import plots


def _assessed(value: float | None) -> dict[str, Any]:
    figure = {"value": value, "lower": value, "upper": value}
    return {"auroc": figure, "sensitivity": figure, "passed": True}


def test_a_corruption_with_severities_has_a_panel() -> None:
    """One panel each, a title in words; a corruption of one severity has no curve."""
    several = {"severities": {str(severity): _assessed(0.9) for severity in range(1, 6)}}

    drawn = plots.curves(
        _assessed(0.9),
        {"motion_blur": several, "inverted": {"severities": {"1": _assessed(0.9)}}},
        floors={"sensitivity": 0.9},
    )

    assert "motion blur" in drawn
    assert "inverted" not in drawn


def test_what_is_unknown_is_a_gap() -> None:
    """A figure that could not be counted leaves a gap, and the rest is drawn."""
    several = {"severities": {"1": _assessed(None), "2": _assessed(0.8)}}

    assert "gamma" in plots.curves(_assessed(0.9), {"gamma": several}, floors={})


def test_nothing_to_draw_is_said() -> None:
    """Without a corruption of several severities the figure says so."""
    assert "not available" in plots.curves(_assessed(0.9), {}, floors={})
