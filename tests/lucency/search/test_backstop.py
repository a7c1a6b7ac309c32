"""Tune ends a trial only when its own loop did not."""

from typing import Any

import pytest
import ray
from ray.tune.schedulers import TrialScheduler

from lucency.search.backstop import Backstop


class Told:
    """A judge that has told one trial to stop after its second epoch."""

    def stopped_at(self, run: str) -> int | None:
        """As the referee has it."""
        return 2 if run == "trial_000" else None


@pytest.fixture(scope="module")
def judge(ray_cluster: None) -> Any:
    """An actor, as Tune's scheduler meets it."""
    return ray.remote(num_cpus=0)(Told).remote()


@pytest.mark.ray
@pytest.mark.parametrize(
    ("run", "epoch", "ended"),
    [
        ("trial_000", 1, False),
        ("trial_000", 2, False),
        ("trial_000", 3, True),
        ("trial_001", 9, False),
    ],
)
def test_only_epochs_after_the_word_are_overdue(
    judge: Any, run: str, epoch: int, ended: bool
) -> None:
    """The epoch at which a trial hears that it stops is its last rightful one."""
    action = Backstop(judge).on_trial_result(None, None, {"run": run, "epoch": epoch})

    assert (action == TrialScheduler.STOP) is ended
