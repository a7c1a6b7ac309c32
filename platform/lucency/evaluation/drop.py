"""What a model loses from its own test films to another site's, and the most it may lose."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from lucency.evaluation.intervals import UNKNOWN, Interval

# Of a bundle: the evidence of every other table lies there, by the table's digest.
FOLDER = "external/"
MEASURES = ("auroc", "accuracy", "sensitivity", "specificity")

_Drop = Annotated[float, Field(ge=0, le=1)] | None


class MostDrop(BaseModel):
    """
    The most that a figure may fall from the model's own test films to any other site's.

    The upper bound of the drop is held against it: a site with few films does not show that a
    model holds there. None is no bound.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auroc: _Drop = None
    accuracy: _Drop = None
    sensitivity: _Drop = None
    specificity: _Drop = None

    @property
    def bounds(self) -> dict[str, float]:
        """The bounds that were set, by measure."""
        return self.model_dump(exclude_none=True)


def file_name(digest: str) -> str:
    """Where a bundle keeps its evidence on a table of this digest."""
    return f"{FOLDER}{digest[:12]}.json"


def difference(first: Interval, second: Interval) -> Interval:
    """
    ``first - second`` of two independent samples, its interval recovered from theirs.

    Newcombe, 1998 (method 10, Stat. Med. 17:873), for shares with Wilson's intervals; Zou and
    Donner, 2008, https://doi.org/10.1002/sim.3095, for any two estimates. So the model's own test
    films need not be opened again: their sealed intervals are enough.
    """
    value = first.value - second.value
    lower = ((first.value - first.lower) ** 2 + (second.upper - second.value) ** 2) ** 0.5
    upper = ((first.upper - first.value) ** 2 + (second.value - second.lower) ** 2) ** 0.5
    return Interval(value, value - lower, value + upper)


def of(internal: Mapping[str, Any], external: Mapping[str, Any]) -> dict[str, Interval]:
    """The drop of each measure that both have, from figures of the form of ``metrics.assess``."""
    return {
        name: difference(interval(internal[name]), interval(external[name]))
        for name in MEASURES
        if name in internal and name in external
    }


def interval(figure: Mapping[str, float | None]) -> Interval:
    """From JSON, where null is what could not be counted."""
    values = {name: float("nan") if x is None else float(x) for name, x in figure.items()}
    return Interval(**values)


def read(figures: Mapping[str, Mapping[str, float | None]]) -> dict[str, Interval]:
    """Drops by measure, from JSON."""
    return {name: interval(figure) for name, figure in figures.items()}


def lines(found: Mapping[str, Interval]) -> list[str]:
    """For people: ``auroc falls by 0.0123 (-0.0040 to 0.0300)``."""
    return [
        f"{name} falls by {drop.value:.4f} ({drop.lower:.4f} to {drop.upper:.4f})"
        for name, drop in found.items()
    ]


def judge(most: MostDrop, found: Mapping[str, Interval]) -> tuple[bool, list[str]]:
    """Whether each bound holds, and a sentence with figures for each of them."""
    held, reasons = True, []
    for name, bound in most.bounds.items():
        drop = found.get(name, UNKNOWN)
        # An unknown bound compares as not held.
        holds = drop.upper <= bound
        held &= holds
        reasons += [f"{line}, {_relation(drop, bound)}" for line in lines({name: drop})]
    return held, reasons


def _relation(drop: Interval, bound: float) -> str:
    if drop.upper <= bound:
        return f"upper bound not over the {bound} allowed"
    if drop.lower > bound:
        return f"lower bound over the {bound} allowed: the model does not hold there"
    return f"upper bound over the {bound} allowed: more films may show that it holds"
