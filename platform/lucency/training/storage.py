"""Writing to a run folder that may be full, read-only or away for a while."""

import time
from collections.abc import Callable
from pathlib import Path

from lucency import progress
from lucency.errors import TrainingError

_PAUSE_S = 2.0


def patiently(write: Callable[[], None], folder: Path, patience_s: float) -> None:
    """
    Write, and on an error of the storage wait and write again.

    Args:
        write: Must leave nothing half written, and may be called any number of times.
        folder: For the message.

    Raises:
        TrainingError: the storage did not recover in time.
    """
    began = time.monotonic()
    while True:
        try:
            return write()
        except OSError as cause:
            waited_s = time.monotonic() - began
            if waited_s >= patience_s:
                raise TrainingError(
                    f"run folder {str(folder)!r} could not be written to for {waited_s:.0f} s "
                    f"({cause}): free space or give access, then run the same command again; it "
                    "goes on from the last checkpoint. scaling.storage_patience_s waits longer"
                ) from cause
            progress.say(
                f"    run folder {str(folder)!r} can't be written to ({cause}); training waits, "
                f"up to {patience_s - waited_s:.0f} s more"
            )
            time.sleep(min(_PAUSE_S, patience_s - waited_s))
