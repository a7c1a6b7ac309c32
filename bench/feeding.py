"""
How films reach the training step: memory of streaming, images per CPU second, reading of tables.

    python bench/feeding.py [--films 1000] [--arrays work/mnist/data work/cifar10/data]

Streams tables of N, 2N and 8N drawn films, each in a fresh process, and takes the peak of memory
(proportional set size) over all processes of the run, Ray's own among them. Then epochs from the
cache, the stream and a torch DataLoader in turns, and CPU time of all processes that worked.
``--arrays`` decodes prepared tables of one size whole. Every bar is printed as reached or missed.
"""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from lucency import cluster, files
from lucency.augment import Augmentation
from lucency.datasets import table
from lucency.datasets.phantom import Phantom
from lucency.datasets.table import Row, Table
from lucency.preprocess import Preprocess
from lucency.training.cache import Cached
from lucency.training.feed import Feed, Renderer
from lucency.training.order import EpochOrder
from lucency.training.stream import Streamed

_DRAWN = 100
_TICKS = os.sysconf("SC_CLK_TCK")
# Eight times the films may cost so much more memory; the order alone costs 50 bytes a film.
_GROWTH = 1.10
_READING_S = 3.0


def main() -> None:
    """Measure, print each bar for people and one JSON line for programs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--films", type=int, default=1000, help="N")
    parser.add_argument("--size", type=int, default=256, help="side of the drawn films, px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arrays", type=Path, nargs="*", default=[], help="prepared tables")
    parser.add_argument("--streamed", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.streamed:
        _stream_once(options.streamed, options.films)
        return
    bars: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = {
            times: _write(folder / f"{times}", times * options.films, options.size)
            for times in (1, 2, 8)
        }
        found: dict[str, Any] = {
            "peak_mib": {
                f"{times}N": _peak_mib(path, options.films) for times, path in paths.items()
            }
        }
        found["images_per_cpu_s"] = _speeds(paths[1], folder, options.rounds)
    found["reading_cpu_s"] = {str(path): _reading_s(path) for path in options.arrays}
    peaks, speeds = found["peak_mib"], found["images_per_cpu_s"]
    bars[f"peak memory of 8N films at most {_GROWTH:g} times that of N: {peaks} MiB"] = (
        peaks["8N"] <= _GROWTH * peaks["1N"]
    )
    bars[f"cache at least as fast as a DataLoader: {speeds} images per CPU second"] = (
        speeds["cache"] >= speeds["loader"]
    )
    for path, seconds in found["reading_cpu_s"].items():
        bars[f"{path} in memory in less than {_READING_S:g} CPU s: {seconds:.2f}"] = (
            seconds < _READING_S
        )
    for bar, reached in bars.items():
        print("reached" if reached else "MISSED ", bar)
    print(json.dumps({"films": options.films, **found, "missed": list(bars.values()).count(False)}))


def _write(folder: Path, films: int, side: int) -> Path:
    """A table of drawn films; from the hundredth on they are repeated under new patients."""
    drawn = [sample.read() for sample in Phantom(patients=_DRAWN, size=side, max_films=1)]
    rng = np.random.default_rng(0)
    rows = [
        Row(
            data=drawn[number % _DRAWN],
            mask_png=None,
            label=int(rng.random() < 0.3),
            patient=f"P{number}",
            site="drawn",
            split="train",
            width=side,
            height=side,
            sha256=files.sha256(str(number).encode()),
        )
        for number in range(films)
    ]
    return table.write(folder / table.NAME, rows, classes=("NO", "YES"), name="phantom").path


def _renderer() -> Renderer:
    return Renderer(Preprocess(size=224), Augmentation(), 0)


def _order(feed: Feed, window: int, epoch: int = 0) -> list[np.ndarray]:
    order = EpochOrder(
        feed.split,
        batch_size=32,
        sampling="stratified",
        window=window,
        seed_number=0,
        epoch=epoch,
    )
    return order.batches()


def _stream_once(path: Path, films: int) -> None:
    with cluster.connected():
        feed = Streamed(Table.open(path), "train", _renderer(), cpus=1)
        # Half of the smallest table: all three stream through windows of one size.
        seen = sum(len(batch.places) for batch in feed.batches(_order(feed, films // 2)))
    print(seen)


def _peak_mib(path: Path, films: int) -> int:
    command = [sys.executable, __file__, "--streamed", str(path), "--films", str(films)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        peak = 0
        ended = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not ended.wait(0.25):
                peak = max(peak, sum(_pss(number) for number in _tree(run.pid)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        out, _ = run.communicate()
        ended.set()
        watcher.join()
    if run.returncode or not out.strip():
        raise SystemExit(f"streaming {path} ended with status {run.returncode}")
    print(f"{out.strip()} films streamed, peak {peak / 1024:.0f} MiB", flush=True)
    return round(peak / 1024)


class _Films(Dataset[tuple[torch.Tensor, int]]):
    """What a torch DataLoader would be given: encoded films in memory, decoded when asked for."""

    def __init__(self, source: Table, renderer: Renderer) -> None:
        rows = source.rows("train")
        self._encoded = source.images(rows)
        self._labels = source.columns["label"][rows].tolist()
        self._renderer = renderer

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        working = self._renderer.preprocess.working(self._encoded[place], checked=True)
        out = np.empty(self._renderer.shape, dtype=np.float32)
        self._renderer(working, 0, place, out)
        return torch.from_numpy(out), self._labels[place]


def _speeds(path: Path, folder: Path, rounds: int) -> dict[str, float]:
    """Images per second of CPU time, medians of rounds in turns."""
    source = Table.open(path)
    seconds: dict[str, list[float]] = {"cache": [], "loader": [], "stream": []}
    with cluster.connected():
        cached = Cached(source, "train", _renderer(), folder=folder / "cache", threads=1)
        streamed = Streamed(source, "train", _renderer(), cpus=1)
        batches = _order(cached, 16384)
        loader: DataLoader[Any] = DataLoader(
            _Films(source, _renderer()), batch_sampler=[batch.tolist() for batch in batches]
        )
        feeds: dict[str, Any] = {
            "cache": lambda: cached.batches(batches),
            "loader": lambda: iter(loader),
            "stream": lambda: streamed.batches(batches),
        }
        for number in range(rounds + 1):
            for name, feed in feeds.items():
                spent = _cpu_s(feed(), whole_tree=name == "stream")
                if number:  # the first round warms workers and page cache
                    seconds[name].append(spent)
    films = sum(len(batch) for batch in batches)
    return {name: round(films / statistics.median(spent)) for name, spent in seconds.items()}


def _cpu_s(feed: Iterator[Any], *, whole_tree: bool) -> float:
    began = _tree_cpu_s() if whole_tree else time.process_time()
    for _ in feed:
        pass
    return (_tree_cpu_s() if whole_tree else time.process_time()) - began


def _reading_s(path: Path) -> float:
    source = Table.open(path)
    gray = "mnist" in source.name
    began = time.process_time()
    whole = source.load(color="L" if gray else "RGB")
    spent = time.process_time() - began
    print(f"{path}: {whole.shape} {whole.dtype} in {spent:.2f} CPU s")
    return spent


def _tree(root: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for number in _processes():
        fields = _read(f"/proc/{number}/stat").rpartition(")")[2].split()
        if fields:
            children.setdefault(int(fields[1]), []).append(number)
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _tree_cpu_s() -> float:
    """CPU time of this process and of all below it, those that ended among them."""
    total = 0
    for number in _tree(os.getpid()):
        fields = _read(f"/proc/{number}/stat").rpartition(")")[2].split()
        total += sum(map(int, fields[11:15])) if fields else 0
    return total / _TICKS


def _pss(number: int) -> int:
    """Proportional set size in KiB: memory shared by n processes counts for 1/n in each."""
    lines = _read(f"/proc/{number}/smaps_rollup").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _read(path: str) -> str:
    """A process that has ended in between has nothing to say."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
