"""What a search says to a trial: an actor hears each epoch's logits and may stop the run."""

from pathlib import Path
from typing import Any

import numpy as np
import ray

from lucency import files
from lucency.training.checkpoint import State
from lucency.training.order import Split

# Where a search registers its actors.
NAMESPACE = "lucency-search"
STOPPED = "stopped.json"


def stops(referee: str, folder: Path, state: State, validation: Split) -> bool:
    """
    Whether the actor of that name stops a run after its last epoch; then ``stopped.json`` says
    why. Asked again about an epoch, it says the same. Called by rank 0 alone.
    """
    assert state.logits is not None, "an epoch is judged after it was measured"
    actor = ray.get_actor(referee, namespace=NAMESPACE)
    logits_nk = state.logits.numpy().astype(np.float32)
    labels_n, patients_n = (
        each.astype(np.int64) for each in (validation.labels, validation.patients)
    )
    asked: Any = actor.judge.remote(folder.name, state.epoch, labels_n, logits_nk, patients_n)
    verdict: Any = ray.get(asked)
    if verdict["stop"]:
        told = {"epoch": state.epoch, "reason": str(verdict["reason"])}
        files.write_json(folder / STOPPED, told)
    return bool(verdict["stop"])
