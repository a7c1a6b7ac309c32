"""
What preparation costs: check, store, near-duplicate search, report, with all gates on.

    python bench/prepare.py [--films 5856] [--side 224] [--root FOLDER_WITH_TRAIN_AND_TEST]

Without a root it draws as many films of one size as the set of Kermany et al. has, into a temporary
folder. They are textures over one common shadow and no phantoms: drawn chests are so alike that the
search for copies would measure the drawing. The bar is 60 seconds on two cores.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lucency import progress, seed
from lucency.datasets import prepare
from lucency.datasets.chest_xray import ChestXray
from lucency.datasets.gate import LeakGate
from lucency.datasets.splits import SplitPlan

BAR_S = 60.0
_TEST_SHARE = 0.1
_POSITIVE_SHARE = 0.73


def main() -> None:
    """Measure, print the stages for people and one JSON line for programs."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--films", type=int, default=5856)
    parser.add_argument("--side", type=int, default=224, help="of the drawn films, in px")
    parser.add_argument("--root", type=Path, help="a real set in the Kermany layout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-prepare-") as folder:
        root = options.root
        if root is None:
            root = Path(folder) / "films"
            draw(root, options.films, options.side)
        result = measure(root, Path(folder) / "table")
    reached = result["seconds"]["all"] < BAR_S
    for stage, took in result["seconds"].items():
        print(f"{stage:>15} {took:7.2f} s", file=sys.stderr)
    print(
        f"{result['films']} films: bar of {BAR_S:.0f} s {'reached' if reached else 'missed'}",
        file=sys.stderr,
    )
    print(json.dumps({**result, "drawn": options.root is None, "bar_reached": reached}))


def measure(root: Path, output: Path) -> dict[str, Any]:
    """Prepare a set as the configuration of the real one does; seconds by stage."""
    began, cpu = time.monotonic(), time.process_time()
    done = prepare.prepare(
        ChestXray(root=root),
        SplitPlan(keep_official_test=True),
        output,
        name="chest_xray",
        leaks=LeakGate(),
    )
    seconds = {**done.seconds, "all": time.monotonic() - began}
    return {
        "films": done.report["films"],
        "set_aside": len(done.report["set_aside"]),
        "table_bytes": done.table.path.stat().st_size,
        "seconds": {stage: round(took, 2) for stage, took in seconds.items()},
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "cpus": len(os.sched_getaffinity(0)),
    }


def draw(root: Path, films: int, side: int) -> None:
    """Films in the layout of the real set: three quarters ill, a tenth in test, two a patient."""
    for number in progress.track(range(films), "drawn", films, "films"):
        patient = number // 2
        rng = seed.generator(0, "bench", patient)
        split = "test" if rng.random() < _TEST_SHARE else "train"
        ill = rng.random() < _POSITIVE_SHARE
        name = f"person{patient}_virus_{number}" if ill else f"IM-{patient:05}-{number:04}"
        path = root / split / ("PNEUMONIA" if ill else "NORMAL") / f"{name}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        _, encoded = cv2.imencode(".jpg", film(number, side), [cv2.IMWRITE_JPEG_QUALITY, 75])
        path.write_bytes(encoded.tobytes())


def film(number: int, side: int) -> np.ndarray:
    """uint8 side x side: a bright middle that all share, and a texture of its own."""
    rng = seed.generator(0, "bench", "film", number)
    across = np.linspace(-1, 1, side, dtype=np.float32)
    shadow = 150 - 90 * (across[None] ** 2 + across[:, None] ** 2) / 2
    coarse, fine = (
        cv2.resize(rng.normal(0, 1, (cells, cells)).astype(np.float32), (side, side))
        for cells in (6, side // 3)
    )
    return np.asarray(np.clip(shadow + 18 * coarse + 7 * fine, 0, 255), np.uint8)


if __name__ == "__main__":
    main()
