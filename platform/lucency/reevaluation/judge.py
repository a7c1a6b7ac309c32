"""Each group of films against the clinical rule: it holds, it does not, or nobody can say yet."""

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from lucency.evaluation.intervals import Interval, wilson
from lucency.evaluation.metrics import plain
from lucency.evaluation.rule import ClinicalRule
from lucency.reevaluation.bias import Counts, accuracy
from lucency.reevaluation.films import Films

Word = Literal["holds", "below floor", "too few labels"]

_MOST_NEEDED = 1_000_000


def judged(films: Films, rule: ClinicalRule, counts: Counts | None = None) -> dict[str, Any]:
    """
    Figures and verdict of a group of films.

    Args:
        counts: Of answered and labelled films, where this group's own can't be known.
    """
    counts = counts or count(films)
    seen = films.where(films.labelled)
    found = accuracy(seen.ill, seen.called, seen.patient, counts, rule.confidence)
    positives = int(seen.ill.sum())
    word, needed = verdict(rule, found.sensitivity, found.specificity, positives)
    return {
        "films": len(films),
        "labelled": len(seen),
        "positives": positives,
        "missed": int((seen.ill & ~seen.called).sum()),
        "labelling_rates": dict(
            zip(("positive", "negative"), map(_rounded, counts.rates), strict=True)
        ),
        "weighted": found.weighted,
        "sensitivity": plain(found.sensitivity),
        "specificity": plain(found.specificity),
        "verdict": word,
        "more_positives_needed": needed,
    }


def count(films: Films) -> Counts:
    """How many were answered and labelled, by what was called."""
    called, labelled = films.called, films.labelled
    return Counts(
        called_positive=int(called.sum()),
        called_negative=int((~called).sum()),
        labelled_positive=int((called & labelled).sum()),
        labelled_negative=int((~called & labelled).sum()),
    )


def by_site(films: Films, rule: ClinicalRule) -> Iterator[dict[str, Any]]:
    """
    Site by site. Where only labels name a site, unlabelled films of it are not known as such:
    the labelling rates of all films stand in for its own.
    """
    whole = count(films)
    for name in np.unique(films.site):
        chosen = films.where(films.site == name)
        borrowed = whole if chosen.site_of_label.any() else None
        yield {"name": str(name), **judged(chosen, rule, borrowed)}


def by_version(films: Films, rule: ClinicalRule) -> Iterator[dict[str, Any]]:
    """Version by version, in order of their first films."""
    names, first = np.unique(films.version, return_index=True)
    for name in names[np.argsort(first)]:
        yield {"name": str(name), **judged(films.where(films.version == name), rule)}


def by_week(films: Films, rule: ClinicalRule) -> Iterator[dict[str, Any]]:
    """Week by week, named by its Monday; a week without films is not there."""
    for monday in np.unique(films.week):
        yield {"name": str(monday), **judged(films.where(films.week == monday), rule)}


def verdict(
    rule: ClinicalRule, sensitivity: Interval, specificity: Interval, positives: int
) -> tuple[Word, int]:
    """
    One of three words, and how many more labelled positive films would change ``too few labels``.

    ``holds`` is the gate's rule. ``below floor`` is said when an upper bound is under its floor:
    fewer labels than that must not have a good model taken away.
    """
    if sensitivity.upper < rule.sensitivity_floor or specificity.upper < rule.specificity_floor:
        return "below floor", 0
    held = sensitivity.lower >= rule.sensitivity_floor
    if held and specificity.value >= rule.specificity_floor:
        return "holds", 0
    return "too few labels", 0 if held else _needed(rule, sensitivity, positives)


def _needed(rule: ClinicalRule, found: Interval, positives: int) -> int:
    """More positives until the interval would leave the floor, were the share to stay as it is."""
    value = 1.0 if math.isnan(found.value) else found.value
    floor = rule.sensitivity_floor
    enough = _films(value, lambda each: each.lower >= floor or each.upper < floor, rule)
    if not positives or math.isnan(found.value):
        return enough
    # What the films at hand are worth: those of one patient less than their number.
    width = found.upper - found.lower
    worth = _films(value, lambda each: each.upper - each.lower <= width, rule)
    return max(1, math.ceil((enough / worth - 1) * positives))


def _films(value: float, fits: Callable[[Interval], bool], rule: ClinicalRule) -> int:
    """The fewest independent films whose interval fits, by halving."""
    low, high = 1, _MOST_NEEDED
    while low < high:
        middle = (low + high) // 2
        if fits(wilson(value, middle, rule.confidence)):
            high = middle
        else:
            low = middle + 1
    return low


def _rounded(rate: float) -> float | None:
    return None if math.isnan(rate) else round(rate, 4)
