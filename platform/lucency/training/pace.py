"""How far a rank is and how fast: seconds that it waits and works, and the file that tells it."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROGRESS = "progress.json"
_EVERY_S = 0.5


@dataclass
class Tally:
    """
    What adds up over an epoch, across restarts too.

    Attributes:
        loss: Sum of the losses of the batches.
        seconds: Of training, waiting for films among them.
    """

    loss: float = 0.0
    seconds: float = 0.0
    wait_s: float = 0.0

    def plain(self) -> dict[str, float]:
        """For a checkpoint."""
        return asdict(self)


class Pace:
    """
    Times one epoch's steps and, on rank 0, writes ``progress.json`` twice a second.

    Args:
        folder: Of the run; None on ranks that write nothing.
        tally: Goes on from here.
    """

    def __init__(self, folder: Path | None, tally: Tally) -> None:
        self.tally = tally
        self._folder = folder
        self._last = self._shown = time.monotonic()
        self._waited_s = 0.0
        self._films = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Inside, the rank has nothing to compute."""
        began = time.monotonic()
        yield
        waited_s = time.monotonic() - began
        self.tally.wait_s += waited_s
        self._waited_s += waited_s

    def stepped(self, films: int) -> bool:
        """
        Count a step of so many films of all ranks.

        Returns:
            Whether it is time to show.
        """
        now = time.monotonic()
        self.tally.seconds += now - self._last
        self._last = now
        self._films += films
        return self._folder is not None and now - self._shown >= _EVERY_S

    def resume(self) -> None:
        """Leave out what happened since the last step, as saving: it was no training."""
        self._last = time.monotonic()

    def show(self, done: float, epoch: int, loss: float) -> None:
        """
        Args:
            done: Films so far, over all epochs.
            epoch: That is trained now, from 1.
        """
        now = time.monotonic()
        recent_s = max(1e-9, now - self._shown)
        told: dict[str, Any] = {
            "done": int(done),
            "epoch": epoch,
            "loss": loss,
            "images_per_s": self._films / recent_s,
            "wait_share": min(1.0, self._waited_s / recent_s),
            "pid": os.getpid(),
        }
        self._shown, self._waited_s, self._films = now, 0.0, 0
        assert self._folder is not None, "only rank 0 shows"
        # For people only: a folder that can't be written to is waited for when saving.
        with suppress(OSError):
            # Whole, but not synced to the disk: that would hold up steps.
            temporary = self._folder / f".{PROGRESS}"
            temporary.write_text(json.dumps(told) + "\n")
            temporary.replace(self._folder / PROGRESS)
