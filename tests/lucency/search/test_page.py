"""The page says what won, by how much, what it cost, and why each trial ended."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lucency.config.tune import TuneConfig
from lucency.evaluation.intervals import Interval
from lucency.search import outcome, page
from lucency.search.cost import Cost
from lucency.search.outcome import Outcome, Validation
from lucency.search.winner import Confirmation, Winner
from tests.lucency.config.test_tune import RATE, config
from tests.lucency.search import runs

SPACE = {
    RATE: {"log_uniform": [1e-4, 1e-1]},
    "recipe.loss": {"choice": ["bce", {"name": "focal", "gamma": 2.0}]},
}
WHY = "upper bound 0.61 <b>"
VERDICT = {"run": "trial_001", "epoch": 1, "action": "stop", "reason": WHY}


def searched(folder: Path) -> tuple[TuneConfig, Validation, list[Outcome]]:
    """A search of three trials: one won, one was stopped after an epoch of two, one diverged."""
    found, films = config(folder, SPACE), runs.validation()
    recipe = found.base.recipe
    best = runs.trial(
        folder,
        0,
        recipe,
        films,
        wrong=2,
        values=[0.7, 0.95],
        given={RATE: 0.01, "recipe.loss": "bce"},
    )
    stopped = runs.trial(
        folder, 1, recipe, films, wrong=20, values=[0.5], stopped=WHY,
        given={RATE: 0.0002, "recipe.loss": {"name": "focal", "gamma": 2.0}},
    )  # fmt: skip
    failed = outcome.failed(2, folder / "x", {RATE: 0.09, "recipe.loss": "bce"}, "the loss is nan")
    return found, films, [best, stopped, failed]


def won(found: TuneConfig, outcomes: list[Outcome], **changes: Any) -> Winner:
    """The first trial, trained twice more."""
    again = (
        Confirmation(1, Path("seed_1"), Interval(0.90, 0.8, 0.95), 2),
        Confirmation(2, Path("seed_2"), Interval(0.94, 0.8, 0.97), 2),
    )
    facts = {"confirmations": again, "runner_up": outcomes[1], **changes}
    return Winner(outcomes[0], found.recipe(outcomes[0].values), **facts)


def test_page_tells_the_whole_search(tmp_path: Path) -> None:
    """Winner, confirmation, cost, every trial with its reason, figures, recipe; nothing loaded."""
    found, films, outcomes = searched(tmp_path)

    html = page.render(found, outcomes, won(found, outcomes), [VERDICT], films)

    text = re.sub(r"\s+", " ", html)
    assert "trial_000 of 3 trials" in text
    assert "95.00 % (" in text
    assert "mean 92.00 %, standard deviation 2.83 points over 2 runs" in text
    assert "3: 1 stopped, 1 failed" in text
    assert "1 epochs, 25 % of what" in text
    assert "stopped: upper bound 0.61 &lt;b&gt;" in text
    assert "failed: the loss is nan" in text
    assert "2 trials are too few, it takes 12" in text
    assert "learning_rate: 0.01" in text
    assert {"frontier-", "trials-", "importance-"} <= set(re.findall(r'id="(\w+-)', html))
    assert not re.search(r'(src|href)="(?!#)', html)


def test_frontier_is_drawn_for_two_classes_alone(tmp_path: Path) -> None:
    """Trials judged by accuracy have no specificity to be drawn against; the page says so."""
    found, films, outcomes = searched(tmp_path)
    many = [replace(each, specificity=None) for each in outcomes]

    html = page.render(found, many, won(found, many), [], films)

    assert "it needs trials of two classes" in html


@pytest.mark.parametrize(
    ("upper", "contested", "said"),
    [(0.91, False, "the runner-up, trial_001, ends under"), (0.93, True, "can't tell it from")],
)
def test_runner_up_is_held_against_the_confirmed_mean(
    upper: float, contested: bool, said: str, tmp_path: Path
) -> None:
    """The winner is said to be better only where the next one's interval ends under its mean."""
    found, _, outcomes = searched(tmp_path)
    second = replace(outcomes[1], interval=Interval(0.8, 0.7, upper))

    winner = won(found, outcomes, runner_up=second)

    assert winner.mean == pytest.approx(0.92)
    assert winner.contested is contested
    assert said in winner.verdict


def test_cost_counts_what_the_rule_saved(tmp_path: Path) -> None:
    """Epochs that stopped trials did not train; what diverged or lost patience saves nothing."""
    found, _, outcomes = searched(tmp_path)

    cost = Cost.of(outcomes, won(found, outcomes), found.base.recipe.epochs)

    assert (cost.trials, cost.stopped, cost.failed) == (3, 1, 1)
    assert (cost.epochs, cost.saved, cost.confirming) == (3, 1, 4)
    assert cost.share_saved == 0.25
    assert cost.seconds == 6.0


def test_unconfirmed_winner_is_called_so(tmp_path: Path) -> None:
    """Without runs of other seeds there is no mean, and the page says what that means."""
    found, films, outcomes = searched(tmp_path)

    html = page.render(found, outcomes, won(found, outcomes, confirmations=()), [], films)

    assert "nothing says yet that it was not luck" in html
