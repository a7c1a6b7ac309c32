"""Losses that are no numbers, and the file that says so."""

import json
import math
import pickle
from pathlib import Path

import pytest
import torch

from lucency.errors import TrainingError
from lucency.training import failure


def test_first_wrong_loss_is_found() -> None:
    """NaN and infinity are wrong, the largest number is not."""
    assert failure.first_wrong([0.1, 3e38, math.inf, math.nan]) == 2
    assert failure.first_wrong([math.nan]) == 0
    assert failure.first_wrong([0.1, 0.2]) is None


@pytest.mark.parametrize("key", ["weight", "running_var"])
def test_weights_and_statistics_must_be_numbers(key: str) -> None:
    """One NaN in one of several networks is enough; counters are no floats."""
    networks: list[torch.nn.Module] = [torch.nn.Linear(2, 2), torch.nn.BatchNorm2d(3)]
    assert failure.finite(networks)

    networks[1].state_dict()[key][1] = torch.nan

    assert not failure.finite(networks)


def test_failure_is_left_for_the_driver(tmp_path: Path) -> None:
    """Message, epoch, step and films, counted from 1."""
    error = failure.diverged(
        "the loss is nan", epoch=0, step=6, films=["a" * 64] * 9, last_saved=Path("runs/epoch_000")
    )

    failure.note(tmp_path, error)

    told = json.loads((tmp_path / failure.FAILED).read_text())
    assert (told["epoch"], told["step"], len(told["films"])) == (1, 7, 9)
    assert "the loss is nan in epoch 1, step 7" in told["error"]
    assert "checkpoint 'epoch_000' is good" in told["error"]


def test_failure_of_the_folder_itself_is_raised(tmp_path: Path) -> None:
    """Where nothing can be written the error goes the other way, to Ray."""
    (tmp_path / "file").touch()

    with pytest.raises(TrainingError, match="can't be written"):
        failure.note(tmp_path / "file", TrainingError("the folder can't be written to"))


def test_error_crosses_processes() -> None:
    """A pickled copy says the same."""
    error = failure.diverged("inf", epoch=1, step=2, films=["a"], last_saved=None)

    copy = pickle.loads(pickle.dumps(error))

    assert str(copy) == str(error)
    assert (copy.epoch, copy.step, copy.films) == (2, 3, ["a"])
