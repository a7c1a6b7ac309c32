"""A place that can't be written to never ends a run, and misses nothing once it is back."""

import ast
import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lucency.config.train import Tracking
from lucency.training import tracking

RECIPE = {"seed": 1, "scaling": {"workers": 2}}


def row(epoch: int, **figures: float) -> dict[str, float]:
    """An epoch of the history."""
    return {"epoch": epoch, "score": epoch / 10, **figures}


def scores(folder: Path) -> list[tuple[int, float]]:
    """Step and value of the score as TensorBoard reads them."""
    found = EventAccumulator(str(folder))
    found.Reload()
    return [(event.step, round(event.value, 3)) for event in found.Scalars("score/score")]


def test_nothing_asked_for_is_nothing_written(tmp_path: Path) -> None:
    """Without a place to write to, a tracker takes rows and leaves no trace."""
    with tracking.opened(Tracking(), "run", RECIPE, tmp_path) as tracker:
        tracker.row(row(1))
        tracker.finish({})

    assert list(tmp_path.iterdir()) == []


def test_runs_that_do_not_ask_load_no_tracker() -> None:
    """MLflow and TensorBoard cost nothing where they are not configured."""
    tree = ast.parse(Path(tracking.__file__).read_text())

    imported = [ast.unparse(node) for node in tree.body if isinstance(node, ast.ImportFrom)]

    assert imported
    assert not [line for line in imported if "tracking_" in line or "tensorboard" in line]


def test_missed_epochs_follow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What could not be written is said once, and stands there after the place is back."""
    blocked = tmp_path / "events"
    blocked.write_text("a file where the folder should be")

    with tracking.opened(Tracking(tensorboard=blocked), "run", RECIPE, tmp_path) as tracker:
        tracker.row(row(1))
        tracker.row(row(2))
        said = capsys.readouterr().err
        blocked.unlink()
        tracker.row(row(3))
        tracker.finish({})

    assert said.count("TensorBoard can't be written to") == 1
    assert str(blocked) in said
    assert "can be written to again" in capsys.readouterr().err
    assert scores(blocked / "run") == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_what_is_missing_at_the_end_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A place that stays away is named at the end, with the epochs that it lacks."""
    blocked = tmp_path / "events"
    blocked.write_text("")

    with tracking.opened(Tracking(tensorboard=blocked), "run", RECIPE, tmp_path) as tracker:
        tracker.row(row(1))
        tracker.row(row(2))
        tracker.finish({})

    assert "epochs missing there: 1, 2." in capsys.readouterr().err


def test_epoch_given_twice_is_written_once(tmp_path: Path) -> None:
    """Workers that restart give an epoch again; the first one stays."""
    with tracking.opened(Tracking(tensorboard=tmp_path), "run", RECIPE, tmp_path) as tracker:
        for epoch in (1, 2, 2, 1, 3):
            tracker.row(row(epoch))
        tracker.finish({})

    assert scores(tmp_path / "run") == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_what_is_not_a_number_is_left_out(tmp_path: Path) -> None:
    """An AUROC that is not defined in one epoch is no point of its curve."""
    with tracking.opened(Tracking(tensorboard=tmp_path), "run", RECIPE, tmp_path) as tracker:
        tracker.row(row(1, auroc=math.nan))
        tracker.row(row(2, auroc=0.75))
        tracker.finish({})

    found = EventAccumulator(str(tmp_path / "run"))
    found.Reload()
    assert [event.step for event in found.Scalars("validation/auroc")] == [2]
