"""What the driver shows, hands on and draws of what the workers write."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lucency import files
from lucency.config.train import Recipe
from lucency.training import loop, watcher
from lucency.training.tracking import Tracker

ROW = {
    "train_loss": 0.5,
    "validation_loss": 0.4,
    "accuracy": 0.8,
    "auroc": 0.9,
    "sensitivity_at_specificity": 0.75,
    "score": 0.75,
    "images_per_s": 120.0,
    "wait_s": 1.0,
    "compute_s": 3.0,
    "measure_s": 2.0,
    "seconds": 6.0,
    "learning_rate": 0.003,
    "memory_mib": 300.0,
}
TOLD = {"done": 100, "epoch": 2, "loss": 0.4, "images_per_s": 50.0, "wait_share": 0.2, "pid": 1}


class Kept(Tracker):
    """A tracker that keeps which epochs it is given."""

    def __init__(self) -> None:
        super().__init__([])
        self.epochs: list[float] = []

    def row(self, row: Mapping[str, float]) -> None:
        """Take an epoch."""
        self.epochs.append(row["epoch"])


def rows(count: int) -> list[dict[str, float]]:
    """The history of so many epochs."""
    return [{"epoch": float(epoch), **ROW} for epoch in range(1, count + 1)]


def test_every_new_epoch_is_said_tracked_and_drawn(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Epochs of an earlier driver are tracked again, for a tracker that missed them, not said."""
    kept = Kept()
    files.write_json(tmp_path / loop.HISTORY, rows(1))

    with watcher.watched(tmp_path, recipe, 100, kept):
        files.write_json(tmp_path / loop.HISTORY, rows(2))

    said = capsys.readouterr().err
    assert kept.epochs == [1.0, 2.0]
    assert "epoch 1/2" not in said
    assert "epoch 2/2: loss 0.5000" in said
    assert "(120 films/s, 25% waiting for films, 75% computing)" in said
    assert (tmp_path / watcher.PAGE).read_text().startswith("<!")


def test_meter_tells_speed_waiting_and_time_left(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Time left is that of the films at the present speed and of the epochs' measuring."""
    files.write_json(tmp_path / loop.HISTORY, rows(1))
    files.write_json(tmp_path / loop.PROGRESS, TOLD)

    with watcher.watched(tmp_path, recipe, 100, Tracker([])):
        pass

    # 100 films of 200 at 50 a second, and one more measuring of 2 s.
    assert "100/200 films" in (said := capsys.readouterr().err)
    assert "epoch 2/2, 50 films/s, 20% waiting, 4 s left" in said


def test_storage_that_is_away_blinds_nobody_for_good(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be read or written is made up for when the storage is back."""
    kept, away = Kept(), threading.Event()
    write_page, failed = watcher.write_page, threading.Event()

    def gone(*arguments: Any, **options: Any) -> None:
        if away.is_set():
            failed.set()
            raise OSError(5, "Input/output error")
        write_page(*arguments, **options)

    monkeypatch.setattr(watcher, "write_page", gone)
    away.set()
    with watcher.watched(tmp_path, recipe, 100, kept):
        files.write_json(tmp_path / loop.HISTORY, rows(1))
        assert failed.wait(20)
        away.clear()
        files.write_json(tmp_path / loop.HISTORY, rows(2))

    assert kept.epochs == [1.0, 2.0]
    assert (tmp_path / watcher.PAGE).is_file()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59, "59 s"), (90, "2 min"), (3600, "1 h 0 min"), (86100, "23 h 55 min")],
)
def test_time_left_is_as_exact_as_it_can_be(seconds: float, expected: str) -> None:
    """Seconds, then minutes, then hours."""
    assert watcher._duration(seconds) == expected


def test_page_says_what_failed(recipe: Recipe, tmp_path: Path) -> None:
    """A run that ended with an error shows it, with the epochs that it has."""
    files.write_json(tmp_path / loop.HISTORY, rows(1))

    watcher.write_page(tmp_path, recipe, failed={"error": "the loss is nan in epoch 2"})

    assert "the loss is nan in epoch 2" in (tmp_path / watcher.PAGE).read_text()
