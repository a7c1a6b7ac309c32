"""Hold, go on or go back: a trial's next move by its counts, the same on every replica."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from lucency.evaluation.intervals import Interval, wilson
from lucency.rollout.counts import Counts
from lucency.rollout.plan import Guards, Plan

Move = Literal["hold", "advance", "promote", "roll back"]


@dataclass(frozen=True)
class Decision:
    """A move, and the figure that decided."""

    move: Move
    reason: str


def decide(plan: Plan, step: int, counts: Counts, *, seconds: float, floor: float) -> Decision:
    """
    What to do with a challenger now.

    It goes back on the first guard that is certain to be broken, whatever is unknown yet; it goes
    on only when the step has lasted and seen enough, for then every guard had its films.

    Args:
        step: Place in ``plan.shares`` of the share that it answers now.
        counts: Of this step, over all replicas.
        seconds: Since the step began.
        floor: Of sensitivity, the challenger's own; the plan's goes first.
    """
    broken = next(_broken(plan.guards, counts, floor), None)
    if broken is not None:
        return Decision("roll back", broken)
    films = counts.challenger.films
    if films < plan.least_films:
        return Decision("hold", f"{films} of {plan.least_films} films")
    if seconds < plan.least_s:
        return Decision("hold", f"{seconds:.0f} of {plan.least_s:.0f} s")
    share = plan.shares[step]
    told = f"{films} films in {seconds:.0f} s at {share:.0%}, {_told(counts)}"
    if step + 1 < len(plan.shares) and plan.shares[step + 1] < 1:
        return Decision("advance", told)
    return Decision("promote", told)


def _broken(guards: Guards, counts: Counts, floor: float) -> Iterator[str]:
    """The guards that are broken, each with its figure."""
    mine, theirs = counts.challenger, counts.champion
    if guards.drift and mine.drift and not theirs.drift:
        yield "drift: the challenger's films set off its drift test, the champion's do not"
    least = guards.least_positives
    if mine.positives >= least:
        bound = _bounds(mine.found, mine.positives, guards).upper
        most = guards.sensitivity_floor or floor
        if bound < most:
            yield (
                f"sensitivity by late labels: {mine.found} of {mine.positives} found, at most "
                f"{bound:.3f}, under the floor {most:.3f}"
            )
    # Errors of mirrored films are the challenger's too; both make it sure the sooner.
    tried, failed = mine.films + counts.mirrored + counts.failed, mine.errors + counts.failed
    if tried >= guards.least_films:
        allowed = _share(theirs.errors, theirs.films) + guards.most_errors
        bound = _bounds(failed, tried, guards).lower
        if bound > allowed:
            yield (
                f"errors: {failed} of {tried} films, at least {bound:.3f}, over the champion's "
                f"share and the margin, {allowed:.3f}"
            )
    both = counts.mirrored
    if both >= guards.least_films:
        bound = _bounds(counts.disagreed, both, guards).lower
        if bound > guards.most_disagreement:
            yield (
                f"disagreement: {counts.disagreed} of {both} mirrored films, at least "
                f"{bound:.3f}, over {guards.most_disagreement:.3f}"
            )
    if min(mine.films, theirs.films) >= guards.least_films:
        yield from _beside(guards, counts)


def _beside(guards: Guards, counts: Counts) -> Iterator[str]:
    """What is only told by holding the two models' own films side by side."""
    mine, theirs = counts.challenger, counts.champion
    # Ranks have their own error: the challenger's percentile at its lowest, the champion's at its
    # highest. Of few films that is the champion's slowest, which one pause of the machine makes.
    quick, late = _rank(mine.films, guards, -1), _rank(theirs.films, guards, 1)
    ratio = mine.percentile_s(quick) / theirs.percentile_s(late)
    if ratio > guards.most_slower:
        yield (
            f"latency: the 99% percentile is at least {mine.percentile_s(quick):.3f} s, "
            f"{ratio:.2f} times the champion's, over {guards.most_slower:.2f}"
        )
    rise = _rise(
        _bounds(mine.abstains, mine.films, guards), _bounds(theirs.abstains, theirs.films, guards)
    )
    if rise > guards.most_abstain_rise:
        yield (
            f"abstentions: {mine.abstains} of {mine.films} films against {theirs.abstains} of "
            f"{theirs.films}, a rise of at least {rise:.3f}, over {guards.most_abstain_rise:.3f}"
        )


def _rank(films: int, guards: Guards, side: int) -> float:
    """The share of films under a bound of the 99th percentile, below or above (side) it."""
    error = NormalDist().inv_cdf(guards.confidence) * math.sqrt(0.99 * 0.01 / films)
    return min(1.0, 0.99 + side * error)


def _rise(mine: Interval, theirs: Interval) -> float:
    """Lower bound of a difference of two shares (Newcombe, Stat. Med. 17:873, 1998, method 10)."""
    down = math.hypot(mine.value - mine.lower, theirs.upper - theirs.value)
    return mine.value - theirs.value - down


def _bounds(hits: int, films: int, guards: Guards) -> Interval:
    # Each guard looks at one side alone: a two-sided interval of twice the error has that bound.
    return wilson(hits / films, films, 2 * guards.confidence - 1)


def _share(hits: int, films: int) -> float:
    return hits / films if films else 0.0


def _told(counts: Counts) -> str:
    mine = counts.challenger
    return (
        f"{mine.errors} errors, {mine.abstains} left to a reader, "
        f"{counts.disagreed} of {counts.mirrored} mirrored films decided otherwise"
    )
