"""Trials on a cluster that fits them exactly: none hangs, none leaves anything behind."""

import time
from pathlib import Path

import numpy as np
import pytest
import ray
from ray.util.placement_group import placement_group_table

from lucency import progress
from lucency.config.train import Scaling
from lucency.config.tune import TuneConfig
from lucency.datasets.table import Table
from lucency.errors import ClusterError
from lucency.search import referee, tuner
from lucency.search.outcome import Validation
from lucency.search.rule import Terms
from lucency.search.study import Study
from lucency.search.tuner import Search
from tests.lucency.config.test_tune import RATE, config
from tests.lucency.search import runs
from tests.processes import wait_until

# A trial starts five processes; a busy machine takes half a minute for each.
BOUND_S = 280


def searched(
    folder: Path, table: Table, *overrides: str, minutes: float = 60
) -> tuple[TuneConfig, Search, float]:
    """A search that is over, and how long it took."""
    space = {RATE: {"log_uniform": [0.001, 0.01]}}
    changes = f"overrides=[table={table.path}, {', '.join(overrides)}]"
    found = config(folder, space, changes, "concurrent=2", f"time_budget_minutes={minutes}")
    began = time.monotonic()
    search = Search(
        found, Study(found, table.digest), table.source, Validation.of(table), folder.name
    )
    terms = Terms(found.stopping, found.base.recipe.rule, found.base.recipe.epochs)
    judge = referee.start(folder.name, terms, folder / "verdicts.jsonl")
    tuner.search(search, judge, tuner.room(found.base.recipe.scaling, 2))
    ray.kill(judge)
    return found, search, time.monotonic() - began


def all_is_free() -> bool:
    """Every CPU is back and no placement group holds any."""
    there, free = ray.cluster_resources(), ray.available_resources()
    groups = [group["state"] for group in placement_group_table().values()]
    return free.get("CPU") == there["CPU"] and set(groups) <= {"REMOVED"}


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(("workers", "each"), [(1, 2), (2, 2)])
def test_exactly_fitting_trials_end_and_leave_all_free(
    workers: int, each: int, table: Table, ray_cluster: None, tmp_path: Path
) -> None:
    """
    Two trials of one worker side by side, or one of two at a time, on CPUs that fit the workers and
    nothing else: all end, and afterwards every CPU is free.
    """
    cpus = ray.cluster_resources()["CPU"] / each

    found, search, took = searched(
        tmp_path,
        table,
        f"recipe.scaling.workers={workers}",
        f"recipe.scaling.cpus_per_worker={cpus}",
        "recipe.phases.0.epochs=1",
    )

    assert {each.state for each in search.outcomes.values()} == {"finished"}
    assert len(search.outcomes) == found.trials
    assert took < BOUND_S
    wait_until(all_is_free, 30, "all resources to be free")


@pytest.mark.ray
@pytest.mark.slow
def test_time_that_is_over_stops_trials_in_order(
    table: Table, ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials that run stop after their epoch, no other begins, and all CPUs come back."""
    lines: list[str] = []
    monkeypatch.setattr(progress, "say", lines.append)

    found, search, _ = searched(
        tmp_path, table, "recipe.phases.0.epochs=50", "recipe.patience=50",
        minutes=0.001,
    )  # fmt: skip

    assert found.trials == 2
    assert search.closed.is_set()
    assert {each.state for each in search.outcomes.values()} == {"stopped"}
    wait_until(all_is_free, 30, "all resources to be free")


@pytest.mark.ray
def test_more_trials_than_fit_wait_for_one_another(
    ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the machine can't hold at a time is said; a trial that never fits is an error."""
    lines: list[str] = []
    monkeypatch.setattr(progress, "say", lines.append)
    there = ray.cluster_resources()["CPU"]

    assert tuner.room(Scaling(cpus_per_worker=there / 4), 4) == 4
    assert lines == []
    assert tuner.room(Scaling(cpus_per_worker=there / 2), 3) == 2
    assert "2 trials at a time, not 3" in lines[0]
    with pytest.raises(ClusterError, match="scaling asks for"):
        tuner.room(Scaling(workers=2, cpus_per_worker=there), 1)


def test_ended_trials_are_taken_as_they_are(table: Table, tmp_path: Path) -> None:
    """Where each trial has an outcome on disk, it is told to the study and nothing starts."""
    found = config(
        tmp_path, {RATE: {"log_uniform": [0.001, 0.01]}}, f"overrides=[table={table.path}]"
    )
    study, films = Study(found, table.digest), Validation.of(table)
    search = Search(found, study, table.source, films, "nobody")
    drawn = [study.draw() for _ in range(found.trials)]
    for place, each in enumerate(drawn):
        recipe = found.recipe(each.values)
        scores_nk = np.linspace(-1, 1, films.labels_n.size)[:, None]
        runs.leave(search.runs / each.name, recipe, scores_nk, [0.5 + place / 10])

    tuner.search(search, judge=None, concurrent=1)

    assert sorted(search.outcomes) == [0, 1]
    assert study.unfinished() == []
