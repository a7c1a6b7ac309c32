"""The driver's eye on a run: shows what the workers write, hands it on, keeps the run's page."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lucency import files, progress
from lucency.config.train import Recipe
from lucency.training import loop, run_page
from lucency.training.tracking import Tracker

PAGE = "run.html"
_EVERY_S = 0.5
# Rate and time left follow from what the workers say of themselves, not from the bar's own age.
_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} films [{elapsed}{postfix}]"


@contextmanager
def watched(folder: Path, recipe: Recipe, films: int, tracker: Tracker) -> Iterator[None]:
    """Show and hand on what happens inside the block; the workers may be on other machines."""
    ended = threading.Event()
    watcher = _Watcher(folder, recipe, films, tracker)
    thread = threading.Thread(target=watcher.watch, args=(ended,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def write_page(
    folder: Path,
    recipe: Recipe,
    *,
    record: Mapping[str, Any] | None = None,
    failed: Mapping[str, Any] | None = None,
) -> None:
    """The run's page as things stand."""
    page = run_page.render(
        folder.name, _read(folder / loop.HISTORY) or [], recipe.plain(), record, failed
    )
    files.write_text(folder / PAGE, page)


class _Watcher:
    def __init__(self, folder: Path, recipe: Recipe, films: int, tracker: Tracker) -> None:
        self._folder = folder
        self._recipe = recipe
        self._films = films
        self._tracker = tracker
        # What an earlier driver has shown already.
        self._shown = len(_read(folder / loop.HISTORY) or [])
        self._tracked = 0

    def watch(self, ended: threading.Event) -> None:
        with progress.meter("train", self._films * self._recipe.epochs, "films") as bar:
            bar.bar_format = _BAR
            last = False
            while not last:
                last = ended.wait(_EVERY_S)
                try:
                    self._look(bar)
                except OSError:
                    # Storage that is away for a while: the workers wait for it, and say so.
                    continue

    def _look(self, bar: Any) -> None:
        rows = _read(self._folder / loop.HISTORY) or []
        told = _read(self._folder / loop.PROGRESS)
        if told:
            bar.n = told["done"]
            bar.set_postfix_str(_pace(told, rows, self._recipe, self._films), refresh=False)
            bar.update(0)
        for row in rows[self._shown :]:
            progress.say(line(row, self._recipe))
            self._shown += 1
        if len(rows) > self._tracked:
            for row in rows[self._tracked :]:
                self._tracker.row(row)
            self._tracked = len(rows)
            write_page(self._folder, self._recipe)


def line(row: Mapping[str, float], recipe: Recipe) -> str:
    """One epoch for people."""
    shown = {
        "loss": row["train_loss"],
        "validation": row["validation_loss"],
        "accuracy": row["accuracy"],
        "AUROC": row["auroc"],
    }
    if "sensitivity_at_specificity" in row:
        floor = recipe.rule.specificity_floor
        shown[f"sensitivity at specificity {floor}"] = row["sensitivity_at_specificity"]
    figures = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
    spent = row["wait_s"] + row["compute_s"]
    waiting = row["wait_s"] / spent if spent else 0.0
    rate = (
        f"{row['images_per_s']:.0f} films/s, {waiting:.0%} waiting for films, "
        f"{1 - waiting:.0%} computing"
    )
    return f"    epoch {row['epoch']:.0f}/{recipe.epochs}: {figures} ({rate})"


def _pace(told: Mapping[str, Any], rows: list[dict[str, float]], recipe: Recipe, films: int) -> str:
    left = films * recipe.epochs - told["done"]
    rate = max(1e-9, told["images_per_s"])
    measuring_s = sum(row.get("measure_s", 0.0) for row in rows) / max(1, len(rows))
    left_s = left / rate + measuring_s * (recipe.epochs - len(rows))
    return (
        f"epoch {told['epoch']}/{recipe.epochs}, {rate:.0f} films/s, "
        f"{told['wait_share']:.0%} waiting, {_duration(left_s)} left"
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _read(path: Path) -> Any:
    """What a worker wrote, None if it has not; files are replaced whole, so never half of it."""
    return json.loads(path.read_text()) if path.is_file() else None
