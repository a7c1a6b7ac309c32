"""What is kept of a run, whole or not at all."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from lucency.errors import TrainingError
from lucency.training import checkpoint
from lucency.training.checkpoint import State


def state(value: float = 1.0) -> State:
    """With something in every field."""
    weights = {"weight": torch.full((4, 4), value), "steps": torch.tensor(3)}
    return State(
        epoch=2,
        phase=1,
        model=weights,
        optimizer={"state": {0: {"momentum_buffer": torch.ones(4)}}, "param_groups": []},
        sampler={"epoch": 2, "step": 16, "digest": "d"},
        history=[{"epoch": 1, "score": 0.5}],
        logits=torch.zeros(3, 1),
        ema={"weight": torch.full((4, 4), value / 2), "steps": torch.tensor(3)},
        scaler={"scale": 65536.0, "_growth_tracker": 0},
        tally={"loss": 0.1, "seconds": 2.0, "wait_s": 0.5},
    )


@contextmanager
def no_file_larger_than(count: int) -> Iterator[None]:
    """The system refuses to write more, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_state_comes_back_whole(tmp_path: Path) -> None:
    """Every field is what it was, tensors to the bit."""
    checkpoint.write(state(0.1), tmp_path / "epoch_002")

    found = checkpoint.load(tmp_path / "epoch_002")

    expected = vars(state(0.1))
    assert str(vars(found)) == str(expected)
    assert torch.equal(found.model["weight"], expected["model"]["weight"])


def test_measured_weights_are_the_averages(tmp_path: Path) -> None:
    """What is exported is what the figures are about."""
    with_average, without = state(), State(model={"weight": torch.ones(1)})

    assert with_average.measured["weight"].mean() == 0.5
    assert without.measured["weight"] == 1


def test_half_of_a_state_is_none(tmp_path: Path) -> None:
    """A write that fails half way leaves the old state, and nothing else, in the folder."""
    checkpoint.write(state(1.0), tmp_path)

    with pytest.raises(OSError, match="File too large"), no_file_larger_than(1000):
        checkpoint.write(state(2.0), tmp_path)

    assert checkpoint.load(tmp_path).model["weight"].mean() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_state_of_another_version_is_refused(tmp_path: Path) -> None:
    """A field that this version does not know is an error that says what to do."""
    torch.save({"epoch": 1, "wheels": 4}, tmp_path / "state.pt")

    with pytest.raises(TrainingError, match=r"another version.*wheels.*fresh=true"):
        checkpoint.load(tmp_path)
