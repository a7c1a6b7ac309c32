"""Seconds that a rank waits and works."""

import json
import time
from pathlib import Path

from lucency.training.pace import PROGRESS, Pace, Tally


def test_waiting_is_part_of_the_seconds() -> None:
    """A tally goes on from an earlier one; saving is left out."""
    began = time.monotonic()
    pace = Pace(None, Tally(loss=1.0, seconds=10.0, wait_s=2.0))

    with pace.waiting():
        time.sleep(0.05)
    pace.stepped(4)
    time.sleep(0.2)
    pace.resume()
    pace.stepped(4)

    trained_s = pace.tally.seconds - 10
    assert 0.05 <= pace.tally.wait_s - 2 <= trained_s <= time.monotonic() - began - 0.2
    assert pace.tally.plain()["loss"] == 1.0


def test_progress_is_that_of_the_last_moments(tmp_path: Path) -> None:
    """Speed and share of waiting count from the file's last writing."""
    pace = Pace(tmp_path, Tally())
    with pace.waiting():
        time.sleep(0.05)
    pace.stepped(8)
    pace.show(8, 1, 0.5)
    first = json.loads((tmp_path / PROGRESS).read_text())

    time.sleep(0.05)
    pace.stepped(4)
    pace.show(12, 1, 0.25)

    then = json.loads((tmp_path / PROGRESS).read_text())
    assert first["wait_share"] > 0.5
    assert then["wait_share"] == 0
    assert (then["done"], then["epoch"], then["loss"]) == (12, 1, 0.25)
    assert then["images_per_s"] <= 4 / 0.05
    assert [path.name for path in tmp_path.iterdir()] == [PROGRESS]


def test_folder_that_is_away_stops_nothing(tmp_path: Path) -> None:
    """Progress is for people; what can't be told is not."""
    Pace(tmp_path / "gone", Tally()).show(1, 1, 0.5)

    assert not (tmp_path / "gone").exists()
