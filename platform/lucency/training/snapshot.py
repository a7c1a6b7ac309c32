"""
Ray Train's list of a run's checkpoints, put right where it was left half written.

Ray writes the list over itself after every report. A kill or a full disk in that moment leaves a
file that Ray refuses to start with, although every checkpoint is there.
"""

import json
from pathlib import Path

import ray

from lucency import files, progress
from lucency.evaluation.selection import SCORE
from lucency.training import checkpoint
from lucency.training.keeper import NEVER_BEST

_SNAPSHOT = "checkpoint_manager_snapshot.json"


def mend(folder: Path) -> None:
    """Write the list anew, from the checkpoints of a run's folder, where it can't be used."""
    path = folder / _SNAPSHOT
    if not path.is_file() or _usable(path):
        return
    names = sorted(state.parent.name for state in folder.glob("epoch_*/state.pt"))
    progress.say(
        f"    Ray's list of checkpoints was left half written; {len(names)} checkpoints are whole"
    )
    if not names:
        path.unlink()
        return
    # By name they are in the order of their steps.
    metrics = [_metrics(folder, name) for name in names]
    ranked = sorted(range(len(names)), key=lambda index: metrics[index][SCORE])
    reported = [
        {"checkpoint_dir_name": name, "metrics": found}
        for name, found in zip(names, metrics, strict=True)
    ]
    files.write_json(
        path,
        {
            "ray_version": ray.__version__,
            "checkpoint_results": [reported[index] for index in ranked],
            "checkpoint_report_indices": ranked,
            "latest_checkpoint_result": reported[-1],
            "pending_training_results": [],
            "pending_validation_specs": [],
            "current_report_index": len(reported),
            "validated_checkpoint_dir_names": [],
            "timed_out_validation_checkpoint_dir_names": [],
            "failed_validation_checkpoint_dir_names": [],
        },
    )


def _usable(path: Path) -> bool:
    try:
        found = json.loads(path.read_text())["checkpoint_results"]
    except (ValueError, KeyError):
        return False
    return all((path.parent / each["checkpoint_dir_name"]).is_dir() for each in found)


def _metrics(folder: Path, name: str) -> dict[str, float]:
    state = checkpoint.load(folder / name)
    score = NEVER_BEST if state.tally else state.history[-1][SCORE]
    return {SCORE: score, "epoch": float(state.epoch)}
