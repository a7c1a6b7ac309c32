"""What a run leaves behind so that it can go on exactly where it was."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import ray.train
import torch
from ray.train import Checkpoint, CheckpointUploadMode
from torch import nn

from lucency import files
from lucency.errors import TrainingError

_FILE = "state.pt"


@dataclass
class State:
    """
    Between two steps. There is no random state: each step's seed follows from its number.

    Attributes:
        epoch: Epochs finished, over all phases.
        phase: Index of the phase whose optimiser state this is.
        model: State dict on the CPU.
        optimizer: State dict, or None before the first step.
        sampler: Where the order of the films goes on: epoch, step in it, digest of the order.
        history: One row an epoch: losses, figures, rate, seconds.
        logits: Of the validation films after the last finished epoch, n x k in the order of the
            split; None before the first.
        ema: State dict of the weights' moving average, where the recipe has one.
        scaler: Of fp16's loss scale; empty for other precisions.
        tally: What has added up in the epoch that is not finished: losses, seconds.
    """

    epoch: int = 0
    phase: int = 0
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] | None = None
    sampler: dict[str, int | str] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    logits: torch.Tensor | None = None
    ema: dict[str, Any] | None = None
    scaler: dict[str, Any] = field(default_factory=dict)
    tally: dict[str, float] = field(default_factory=dict)

    @property
    def measured(self) -> dict[str, Any]:
        """The weights that history and logits are about: the average where there is one."""
        return self.model if self.ema is None else self.ema


class Reports(Protocol):
    """Who keeps account of checkpoints: Ray Train, outside of tests."""

    def last(self) -> Path | None:
        """Folder of the last checkpoint that counts, None at the start of a run."""

    def add(self, metrics: dict[str, float], folder: Path | None) -> None:
        """Called by all ranks; rank 0 names the folder that it has written."""


class RayReports:
    """Ray Train's account: a checkpoint counts once its controller has noted it."""

    def last(self) -> Path | None:
        checkpoint = ray.train.get_checkpoint()
        return None if checkpoint is None else Path(checkpoint.path)

    def add(self, metrics: dict[str, float], folder: Path | None) -> None:
        # Written in its place already: Ray's own copying would fail where the disk is full.
        ray.train.report(
            metrics,
            checkpoint=Checkpoint.from_directory(folder) if folder else None,
            checkpoint_upload_mode=CheckpointUploadMode.NO_UPLOAD,
        )


def load(folder: Path) -> State:
    """
    Read a checkpoint folder.

    Raises:
        TrainingError: it was written by a version with other contents.
    """
    found = torch.load(folder / _FILE, map_location="cpu", weights_only=True)
    try:
        return State(**found)
    except TypeError as cause:
        raise TrainingError(
            f"checkpoint {str(folder)!r} was written by another version of Lucency ({cause}): "
            "train anew with fresh=true"
        ) from cause


def write(state: State, folder: Path) -> None:
    """
    Write a checkpoint folder, whole or not at all.

    Raises:
        OSError: the storage does not take it.
    """
    content = io.BytesIO()  # on a full disk torch's own writer raises no OSError
    torch.save(vars(state), content)
    with files.atomic_file(folder / _FILE) as temporary, temporary.open("wb") as stream:
        stream.write(content.getbuffer())


def weights(model: nn.Module) -> dict[str, Any]:
    """The weights for a state; on a CPU they are those that the next step changes."""
    return {key: value.detach().cpu() for key, value in model.state_dict().items()}
