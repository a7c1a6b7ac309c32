"""What a restart can't cure: losses that are no numbers, and the file that ends a run."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from lucency import files
from lucency.errors import TrainingError

FAILED = "failed.json"


class Diverged(TrainingError):
    """
    The loss or a weight is no longer a number, which all ranks find out together.

    Args:
        epoch: From 1.
        step: Of the epoch, from 1.
        films: SHA-256 of each film of the step's batch.
    """

    def __init__(self, message: str, epoch: int, step: int, films: list[str]) -> None:
        super().__init__(message, epoch, step, films)
        self.message = message
        self.epoch = epoch
        self.step = step
        self.films = films

    def __str__(self) -> str:
        return self.message


def diverged(
    what: str, *, epoch: int, step: int, films: list[str], last_saved: Path | None
) -> Diverged:
    """The error for the step that went wrong; epoch and step from 0."""
    good = f"checkpoint {last_saved.name!r} is good" if last_saved else "no checkpoint was written"
    return Diverged(
        f"{what} in epoch {epoch + 1}, step {step + 1}, films {[each[:12] for each in films[:8]]} "
        f"of the train split; {good}. Lower the learning rate, or set clip_norm",
        epoch + 1,
        step + 1,
        films,
    )


def first_wrong(losses: list[float]) -> int | None:
    """Index of the first loss that is no number."""
    wrong = np.flatnonzero(~np.isfinite(losses))
    return int(wrong[0]) if wrong.size else None


def finite(networks: list[nn.Module]) -> bool:
    """Whether every weight and statistic is a number."""
    values = [each for network in networks for each in network.state_dict().values()]
    checks = [torch.isfinite(each).all() for each in values if each.is_floating_point()]
    return not checks or bool(torch.stack(checks).all())


def note(folder: Path, failure: TrainingError) -> None:
    """
    Leave ``failed.json`` for the driver to raise.

    Raises:
        TrainingError: the same, where the folder is what failed.
    """
    told = {
        "error": str(failure),
        "epoch": getattr(failure, "epoch", None),
        "step": getattr(failure, "step", None),
        "films": getattr(failure, "films", []),
    }
    try:
        files.write_json(folder / FAILED, told)
    except OSError:
        raise failure from None
