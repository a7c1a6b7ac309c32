"""Ray's list of checkpoints is used as it is, or made again from the checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import _CheckpointManagerState

from lucency.training import checkpoint, snapshot
from lucency.training.checkpoint import State

LIST = "checkpoint_manager_snapshot.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three checkpoints, the best one in the middle, the last one within an epoch."""
    rows = [{"epoch": 1.0, "score": 0.9}, {"epoch": 2.0, "score": 0.4}]
    for name, state in {
        "epoch_001": State(epoch=1, history=rows[:1]),
        "epoch_002": State(epoch=2, history=rows),
        "epoch_002_step_000016": State(epoch=2, history=rows, tally={"loss": 1.0}),
    }.items():
        checkpoint.write(state, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("half", ["", '{"ray_version": "2', "{}", "gone"])
def test_list_is_made_again_from_whole_checkpoints(folder: Path, half: str) -> None:
    """Empty, cut off or of a checkpoint that is gone: Ray reads the new one, latest last."""
    gone: dict[str, Any] = {"checkpoint_results": [{"checkpoint_dir_name": "epoch_009"}]}
    (folder / LIST).write_text(json.dumps(gone) if half == "gone" else half)
    (folder / "epoch_003").mkdir()  # begun, not written

    snapshot.mend(folder)

    found = _CheckpointManagerState.model_validate(json.loads((folder / LIST).read_text()))
    names = [each.checkpoint_dir_name for each in found.checkpoint_results]
    assert names == ["epoch_002_step_000016", "epoch_002", "epoch_001"]
    assert found.checkpoint_report_indices == [2, 1, 0]
    assert found.latest_checkpoint_result is not None
    assert found.latest_checkpoint_result.checkpoint_dir_name == "epoch_002_step_000016"
    assert found.checkpoint_results[-1].metrics == {"score": 0.9, "epoch": 1.0}
    assert found.current_report_index == 3


def test_whole_list_is_left_alone(folder: Path) -> None:
    """What Ray wrote stays, byte for byte; where there is none, none is made."""
    snapshot.mend(folder)
    assert not (folder / LIST).exists()
    whole = '{"checkpoint_results": [{"checkpoint_dir_name": "epoch_001"}]}'
    (folder / LIST).write_text(whole)

    snapshot.mend(folder)

    assert (folder / LIST).read_text() == whole


def test_half_a_list_without_checkpoints_goes(tmp_path: Path) -> None:
    """Nothing was saved yet, so the run begins."""
    (tmp_path / LIST).write_text("")

    snapshot.mend(tmp_path)

    assert not (tmp_path / LIST).exists()
