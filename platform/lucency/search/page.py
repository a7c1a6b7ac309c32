"""The page of a search; layout in ``search.html.j2``."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from lucency import pages
from lucency.config.tune import TuneConfig
from lucency.evaluation.intervals import Interval
from lucency.search import figures, words
from lucency.search.cost import Cost
from lucency.search.importance import importance
from lucency.search.outcome import Outcome, Validation
from lucency.search.winner import Winner


def render(
    config: TuneConfig,
    outcomes: Sequence[Outcome],
    winner: Winner,
    verdicts: Sequence[Mapping[str, Any]],
    validation: Validation,
) -> str:
    """
    What was tried, what stopped and why, who won and by how much, as HTML text.

    Args:
        verdicts: The referee's, in order of arrival.
    """
    recipe = config.base.recipe
    best = winner.trial
    column = column_of(best)
    mattered = importance(config.space, outcomes, column)
    environment = pages.environment("lucency.search", share=share, value=words.short)
    return environment.get_template("search.html.j2").render(
        winner=winner,
        best=best,
        outcomes=outcomes,
        verdicts=[each for each in verdicts if each["action"] != "continue"],
        paths=list(config.space),
        cost=Cost.of(outcomes, winner, recipe.epochs),
        planned=recipe.epochs,
        films=len(validation.labels_n),
        patients=len(set(validation.patients_n.tolist())),
        clinical=recipe.rule,
        stopping=config.stopping.plain(),
        importance=mattered,
        frontier=Markup(figures.frontier(outcomes, validation, recipe.rule)),
        curves=Markup(figures.curves(outcomes, column, best.figure, best)),
        bars=Markup(figures.importance(mattered.shares, mattered.why)),
        config=winner.recipe.to_yaml(),
    )


def column_of(found: Outcome) -> str:
    """Where the history has what trials are judged by."""
    return "accuracy" if found.specificity is None else "sensitivity_at_specificity"


def share(found: Interval | None) -> str:
    """A measured share with its interval, in percent."""
    if found is None:
        return "not available"
    return f"{100 * found.value:.2f} % ({100 * found.lower:.2f} to {100 * found.upper:.2f})"
