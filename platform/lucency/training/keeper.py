"""Saving by the clock and after each epoch: rank 0 writes, and on all ranks it counts."""

import time
from pathlib import Path

from lucency import files
from lucency.config.train import Scaling
from lucency.errors import TrainingError
from lucency.evaluation.selection import SCORE
from lucency.training import checkpoint, storage
from lucency.training.checkpoint import Reports, State
from lucency.training.ranks import Ranks

HISTORY = "history.json"
# Ray Train keeps its scores as JSON, which has no infinity.
NEVER_BEST = -1e9


class Keeper:
    """
    Keeps a run's checkpoints.

    Attributes:
        last: Folder of the last one that counts.
    """

    def __init__(self, folder: Path, scaling: Scaling, ranks: Ranks, reports: Reports) -> None:
        self.last = reports.last()
        self._folder = folder
        self._every_s = 60 * scaling.checkpoint_minutes
        self._patience_s = scaling.storage_patience_s
        self._ranks = ranks
        self._reports = reports
        self._saved_at = time.monotonic()

    def restored(self) -> State:
        """The state to go on from; the empty one at the start of a run."""
        return checkpoint.load(self.last) if self.last else State()

    @property
    def due(self) -> bool:
        """Whether so long has passed that it is time to save within an epoch."""
        return self._every_s > 0 and time.monotonic() - self._saved_at >= self._every_s

    def save(self, state: State) -> None:
        """
        Called by all ranks, with states that agree; rank 0's is written.

        Raises:
            TrainingError: the storage does not take it; on all ranks.
        """
        folder = self._folder / name(state)
        failure = self._ranks.told(self._written(state, folder) if self._ranks.first else "")
        if failure:
            raise TrainingError(failure)
        score = NEVER_BEST if state.tally else state.history[-1][SCORE]
        metrics = {SCORE: score, "epoch": float(state.epoch)}
        self._reports.add(metrics, folder if self._ranks.first else None)
        self.last, self._saved_at = folder, time.monotonic()

    def _written(self, state: State, folder: Path) -> str:
        """What went wrong, or nothing."""

        def write() -> None:
            checkpoint.write(state, folder)
            files.write_json(self._folder / HISTORY, state.history)

        try:
            storage.patiently(write, self._folder, self._patience_s)
        except TrainingError as failure:
            return str(failure)
        return ""


def name(state: State) -> str:
    """Of a checkpoint's folder: the epochs finished and, within one, the steps."""
    within = f"_step_{state.sampler['step']:06d}" if state.tally else ""
    return f"epoch_{state.epoch:03d}{within}"
