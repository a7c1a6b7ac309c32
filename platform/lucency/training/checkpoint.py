"""What an epoch leaves behind so that a run can go on exactly where it was."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import Checkpoint
from torch import nn

_FILE = "state.pt"


@dataclass
class State:
    """
    Between two epochs.

    Attributes:
        epoch: Epochs finished, over all phases.
        phase: Index of the phase of the last finished epoch, whose optimiser state this is.
        model: State dict on the CPU.
        optimizer: State dict, or None before the first epoch.
        sampler: Where the order of the films goes on: epoch, step in it, digest of the order.
        history: One row an epoch: losses, figures, rate, seconds.
        logits: Of the validation films after this epoch, n x k in the order of the split.
    """

    epoch: int = 0
    phase: int = 0
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] | None = None
    sampler: dict[str, int | str] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    logits: torch.Tensor | None = None


def restore() -> State | None:
    """The state of the last committed checkpoint of this run, None at its start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return load(Path(folder))


def load(folder: Path) -> State:
    """Read a checkpoint folder."""
    return State(**torch.load(folder / _FILE, map_location="cpu", weights_only=True))


@contextmanager
def saved(state: State) -> Iterator[Checkpoint]:
    """A checkpoint in a temporary folder; Ray copies it to the storage inside ``report``."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save(asdict(state), Path(folder) / _FILE)
        yield Checkpoint.from_directory(folder)


def cpu_state(model: nn.Module) -> dict[str, Any]:
    """The weights as CPU tensors, independent of later steps."""
    return {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
