"""The study outlives its driver, and what is drawn follows from it and the seed alone."""

from pathlib import Path
from typing import Any

import pytest

from lucency.config.tune import TuneConfig
from lucency.errors import SearchError
from lucency.search.outcome import Outcome
from lucency.search.study import Drawn, Study
from tests.lucency.config.test_tune import RATE, config

SPACE = {
    RATE: {"log_uniform": [1e-4, 1e-1]},
    "recipe.loss": {"choice": ["bce", {"name": "focal", "gamma": 2.0}]},
}


def search(folder: Path, *overrides: str) -> TuneConfig:
    """Two trials at random, then by what the others reached."""
    return config(folder, SPACE, "startup_trials=2", *overrides)


def ended(drawn: Drawn, standing: float, state: Any = "finished", epochs: int = 2) -> Outcome:
    """A trial that stands so."""
    return Outcome(
        drawn.number, Path(drawn.name), drawn.values, state, "", epochs, standing=standing
    )


def drawn_after(study: Study, count: int) -> list[Drawn]:
    """Draw and tell so many; the lower the rate, the better."""
    found = []
    for _ in range(count):
        drawn = study.draw()
        study.tell(drawn, ended(drawn, 0.5 - drawn.values[RATE]))
        found.append(drawn)
    return found


def test_killed_search_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    """A study opened anew in the middle goes on with the same values as one that was not."""
    whole = drawn_after(Study(search(tmp_path, f"output={tmp_path}/a"), "d"), 6)

    again = search(tmp_path, f"output={tmp_path}/b")
    parts = drawn_after(Study(again, "d"), 3) + drawn_after(Study(again, "d"), 3)

    assert parts == whole
    assert [each.number for each in parts] == list(range(6))


def test_search_learns_from_its_trials(tmp_path: Path) -> None:
    """After its random trials the search draws more where trials were good."""
    found = drawn_after(Study(search(tmp_path), "d"), 20)

    rates = [each.values[RATE] for each in found]
    assert sorted(rates[2:])[9] < 0.003, "half of the later trials are in the better half"
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)


def test_begun_trials_are_known_after_a_kill(tmp_path: Path) -> None:
    """What was drawn and not told is unfinished, with its values, until it is told."""
    first = Study(search(tmp_path), "d")
    done, begun = first.draw(), first.draw()
    first.tell(done, ended(done, 0.5))

    again = Study(search(tmp_path), "d")

    assert again.unfinished() == [begun]
    assert again.drawn() == [done, begun]
    again.tell(begun, ended(begun, 0.4))
    assert Study(search(tmp_path), "d").unfinished() == []


def test_only_the_first_answer_counts(tmp_path: Path) -> None:
    """A trial that was told twice, as after a kill between file and word, is told once."""
    study = Study(search(tmp_path), "d")
    drawn = study.draw()
    study.tell(drawn, ended(drawn, 0.5))

    study.tell(drawn, ended(drawn, 0.1, "stopped"))

    assert study.unfinished() == []


def test_stopped_and_failed_trials_are_told_apart(tmp_path: Path) -> None:
    """Optuna hears of a stopped trial how far it came, of a failed one nothing."""
    study = Study(search(tmp_path), "d")
    stopped, failed = study.draw(), study.draw()

    study.tell(stopped, ended(stopped, 0.3, "stopped", epochs=4))
    study.tell(failed, Outcome(failed.number, Path("x"), failed.values, "failed", "NaN"))

    first, second = study.trials()
    assert (first.state.name, first.intermediate_values) == ("PRUNED", {4: 0.3})
    assert (second.state.name, second.value) == ("FAIL", None)


@pytest.mark.parametrize(
    ("override", "data", "said"),
    [
        ("seed=1", "d", "another seed"),
        (f"space.{RATE}.uniform=[0.1, 0.2]", "d", "another space"),
        ("overrides=[recipe.batch_size=8]", "d", "another recipe"),
        ("trials=9", "other", "another data"),
    ],
)
def test_other_search_in_the_same_folder_is_refused(
    override: str, data: str, said: str, tmp_path: Path
) -> None:
    """Trials of another space, recipe or data set are not mixed with these."""
    Study(search(tmp_path), "d")

    with pytest.raises(SearchError, match=said):
        Study(search(tmp_path, override), data)


def test_longer_search_goes_on(tmp_path: Path) -> None:
    """More trials than before are no other search."""
    Study(search(tmp_path), "d").draw()

    assert len(Study(search(tmp_path, "trials=9"), "d").drawn()) == 1
