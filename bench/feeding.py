"""
How films reach the training step: memory of streaming, images per CPU second, reading of tables.

    python bench/feeding.py [--films 3000] [--arrays work/mnist/data work/cifar10/data]

Memory: tables of N, 2N and 8N drawn films are streamed, each in a fresh process, and the
proportional set size of all processes of the run is added up four times a second, Ray's own among
them. N is large enough to fill what is bounded: the object store's pages, the worker processes.
Speed: cache, torch DataLoader and stream, each in a process of its own, feed epochs in turns; CPU
time of the stream is that of all processes below its own. ``--arrays`` decodes the training and
validation films of prepared tables whole. Every bar is printed as reached or missed.
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
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
from lucency.images import Color
from lucency.preprocess import Preprocess
from lucency.training.cache import Cached
from lucency.training.feed import Renderer, split_of
from lucency.training.order import EpochOrder, Split
from lucency.training.stream import Streamed

_DRAWN = 100
_TICKS = os.sysconf("SC_CLK_TCK")
_CONTESTANTS = ("cache", "loader", "stream")
# What 2N and 8N films may take at most, as a multiple of N's.
_GROWTH = {"2N": 1.05, "8N": 1.10}
_READING_S = 3.0
_HALF = "half"


def main() -> None:
    """Measure, print each bar for people and one JSON line for programs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--films", type=int, default=3000, help="N")
    parser.add_argument("--size", type=int, default=256, help="side of the drawn films, px")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["memory", "speed", "arrays"], nargs="*")
    parser.add_argument("--arrays", type=Path, nargs="*", default=[], help="prepared tables")
    parser.add_argument("--streamed", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--contestant", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.streamed:
        _stream_once(options.streamed, options.films)
        return
    if options.contestant:
        _contest(options.contestant[0], Path(options.contestant[1]))
        return
    wanted = options.only or ["memory", "speed", "arrays"]
    found: dict[str, Any] = {"films": options.films}
    bars: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if "memory" in wanted:
            found["memory_mib"] = _memory(folder, options.films, options.size)
            bars |= _memory_bars(found["memory_mib"])
        if "speed" in wanted:
            path = _write(folder / "speed", 1000, options.size)
            found |= _speeds(path, options.rounds)
            bars["cache costs no more CPU than a DataLoader, median of ratios"] = (
                found["cache_to_loader"] >= 1
            )
    if options.arrays and "arrays" in wanted:
        found["reading_cpu_s"] = {str(path): _reading_s(path) for path in options.arrays}
        whole = sum(found["reading_cpu_s"].values())
        bars[f"tables in memory in less than {_READING_S:g} CPU s: {whole:.2f}"] = (
            whole < _READING_S
        )
    for bar, reached in bars.items():
        print("reached" if reached else "MISSED ", bar)
    print(json.dumps(found | {"missed": list(bars.values()).count(False)}))


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


def _order(split: Split, window: int) -> list[np.ndarray]:
    order = EpochOrder(
        split,
        batch_size=32,
        sampling="stratified",
        window=window,
        seed_number=0,
        epoch=0,
    )
    return order.batches()


# Memory.


def _memory(folder: Path, films: int, side: int) -> dict[str, dict[str, int]]:
    return {
        f"{times}N": _memory_of(_write(folder / f"{times}", times * films, side), films)
        for times in (1, 2, 8)
    }


def _memory_bars(found: dict[str, dict[str, int]]) -> dict[str, bool]:
    bars = {}
    for name, growth in _GROWTH.items():
        for kind in ("peak", "steady"):
            ratio = found[name][kind] / found["1N"][kind]
            bars[f"{kind} memory of {name} is {ratio:.3f} of N's, at most {growth:g}"] = (
                ratio <= growth
            )
    return bars


def _stream_once(path: Path, films: int) -> None:
    with cluster.connected():
        feed = Streamed(Table.open(path), "train", _renderer(), cpus=1)
        # A quarter of the smallest table: all three stream through windows of one size.
        planned = _order(feed.split, films // 4)
        seen = 0
        for step, batch in enumerate(feed.batches(planned)):
            seen += len(batch.places)
            if step == len(planned) // 2:
                print(_HALF, flush=True)
        print(seen, flush=True)


def _memory_of(path: Path, films: int) -> dict[str, int]:
    """The highest sum of all processes, and the median over the second half of the films."""
    command = [sys.executable, __file__, "--streamed", str(path), "--films", str(films)]
    samples: list[int] = []
    ended = threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None

        def watch() -> None:
            while not ended.wait(0.25):
                samples.append(sum(_pss(number) for number in _tree(run.pid)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        mark, half = run.stdout.readline().strip(), len(samples)
        seen, last = run.stdout.readline().strip(), len(samples)
        run.communicate()
        ended.set()
        watcher.join()
    if run.returncode or mark != _HALF:
        raise SystemExit(f"streaming {path} ended with status {run.returncode}")
    steady = statistics.median(samples[half : last + 1])
    found = {"peak": max(samples) // 1024, "steady": round(steady) // 1024}
    print(f"{seen} films streamed, MiB: {found}", flush=True)
    return found


# Speed.


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


def _contest(name: str, path: Path) -> None:
    """Feed an epoch for every line that comes in, and answer with films and CPU seconds."""
    # Threads of torch that wait for one another spin, and that would count as work.
    torch.set_num_threads(1)
    source, renderer = Table.open(path), _renderer()
    planned = _order(split_of(source, "train")[1], 16384)
    with ExitStack() as stack:
        feed: Callable[[], Iterator[Any]]
        if name == "cache":
            cached = Cached(source, "train", renderer, folder=path.parent / "cache", threads=1)
            feed = lambda: cached.batches(planned)  # noqa: E731
        elif name == "loader":
            batches = [places.tolist() for places in planned]
            loader: DataLoader[Any] = DataLoader(_Films(source, renderer), batch_sampler=batches)
            feed = lambda: iter(loader)  # noqa: E731
        else:
            stack.enter_context(cluster.connected())
            streamed = Streamed(source, "train", renderer, cpus=1)
            feed = lambda: streamed.batches(planned)  # noqa: E731
        films = sum(map(len, planned))
        for _ in sys.stdin:
            began = _cpu_s()
            for _ in feed():
                pass
            print(json.dumps([films, _cpu_s() - began]), flush=True)


def _speeds(path: Path, rounds: int) -> dict[str, Any]:
    """Images per CPU second in each round, the contestants in turns; the first round is warm-up."""
    found: dict[str, list[float]] = {name: [] for name in _CONTESTANTS}
    with ExitStack() as stack:
        contestants = {name: stack.enter_context(_contestant(name, path)) for name in _CONTESTANTS}
        for number in range(rounds + 1):
            for name, epoch in contestants.items():
                speed = epoch()
                if number:
                    found[name].append(speed)
    ratios = {
        f"{name}_to_loader": round(
            statistics.median(np.array(found[name]) / np.array(found["loader"])), 2
        )
        for name in ("cache", "stream")
    }
    speeds = {name: round(statistics.median(values)) for name, values in found.items()}
    return {"images_per_cpu_s": speeds, **ratios}


@contextmanager
def _contestant(name: str, path: Path) -> Iterator[Callable[[], float]]:
    """A process that feeds an epoch at each call; gives its images per CPU second."""
    command = [sys.executable, __file__, "--contestant", name, str(path)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        stdin, stdout = run.stdin, run.stdout

        def epoch() -> float:
            stdin.write("\n")
            stdin.flush()
            films, seconds = json.loads(stdout.readline())
            return float(films / seconds)

        yield epoch
        stdin.close()


# Tables.


def _reading_s(path: Path) -> float:
    """The least of three rounds: beside other work CPU time only ever grows."""
    seconds = []
    for _ in range(3):
        source = Table.open(path)
        began = time.process_time()
        color: Color = "L" if source.name == "mnist" else "RGB"
        whole = [source.load(split, color=color) for split in ("train", "validation")]
        seconds.append(time.process_time() - began)
    print(f"{path}: {sum(map(len, whole))} films, CPU s: {[round(s, 2) for s in seconds]}")
    return round(min(seconds), 3)


# Processes.


def _tree(root: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        fields = _stat(int(path.name)) if path.name.isdigit() else []
        if fields:
            children.setdefault(int(fields[1]), []).append(int(path.name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def _cpu_s() -> float:
    """CPU time of this process and of all below it, those that ended among them."""
    below = [_stat(number) for number in _tree(os.getpid())[1:]]
    ticks = sum(sum(map(int, fields[11:15])) for fields in below if fields)
    return time.process_time() + ticks / _TICKS


def _pss(number: int) -> int:
    """Proportional set size in KiB: memory shared by n processes counts for 1/n in each."""
    lines = _read(f"/proc/{number}/smaps_rollup").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _stat(number: int) -> list[str]:
    """Of /proc/N/stat what follows the name: state, parent, ..."""
    return _read(f"/proc/{number}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    """A process that has ended in between has nothing to say."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
