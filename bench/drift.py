"""
What drift detection misses and invents: stable windows, and films until the alarm.

    python bench/drift.py [--bundle BUNDLE] [--windows 50] [--reference 400]

Films are drawn, of new patients, one window after another without an end; with a bundle its
probability is watched too, and its own reference is set aside for one of the films drawn here.
The bars: no alarm in 50 stable windows of 300 films, and an alarm within 300 films of another
scanner, of inverted and of brighter films.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lucency import images
from lucency.bundle.predictor import Predictor
from lucency.datasets.phantom import Phantom
from lucency.drift import reference as drift
from lucency.drift.sequential import FILMS_TO_FALSE_ALARM
from lucency.drift.window import Window
from lucency.preprocess import Preprocess

FILMS = 300
_SIDE = 128

Features = dict[str, float]
Change = Callable[[np.ndarray], np.ndarray]

CHANGES: dict[str, tuple[float, Change]] = {
    "scanner B": (1.0, lambda film: film),
    "inverted": (0.0, lambda film: 255 - film),
    "brighter by 20 gray levels": (0.0, lambda film: np.clip(film + 20.0, 0, 255)),
    "half of the films from scanner B": (0.5, lambda film: film),
    "brighter by 5 gray levels": (0.0, lambda film: np.clip(film + 5.0, 0, 255)),
}
_BARRED = ("scanner B", "inverted", "brighter by 20 gray levels")


def main() -> None:
    """Measure, print for people and one JSON line for programs."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--bundle", type=Path, help="its probability is watched too")
    parser.add_argument("--windows", type=int, default=50)
    parser.add_argument("--reference", type=int, default=400, help="films of the reference")
    options = parser.parse_args()
    describe = describer(options.bundle)
    reference = fitted(describe, options.reference)
    began = time.process_time()
    result: dict[str, Any] = {
        "films_to_false_alarm": FILMS_TO_FALSE_ALARM,
        "reference_bytes": len(reference.model_dump_json(indent=2)),
        "features": list(reference.features),
        "stable": stable(reference, describe, options.windows),
        "in_order_of_patients": stable(reference, describe, options.windows // 5, mixed=False),
        "films_until_alarm": {
            name: [until_alarm(reference, describe, name, seed) for seed in range(5)]
            for name in CHANGES
        },
    }
    met = not result["stable"]["alarms"] and all(
        films is not None for name in _BARRED for films in result["films_until_alarm"][name]
    )
    print(json.dumps(result, indent=2), file=sys.stderr)
    result["cpu_s"] = round(time.process_time() - began)
    print(json.dumps({**result, "bars_reached": met}))


def describer(bundle: Path | None) -> Callable[[bytes], Features]:
    """What is watched of a film's bytes."""
    if bundle is not None:
        predictor = Predictor(bundle)
        return lambda data: predictor.predict_bytes(data).features
    preprocess = Preprocess(size=_SIDE, color="L", mean=(0.5,), std=(0.25,))
    return lambda data: drift.describe(preprocess(data))


def films(number: int, seed: int, *, share_b: float = 0.0, mixed: bool = True) -> Iterator[bytes]:
    """Films of new patients, in a random order or patient by patient."""
    drawn = list(Phantom(patients=number, size=_SIDE, site_b_share=share_b, seed=seed))
    order = np.random.default_rng(seed).permutation(len(drawn)) if mixed else range(len(drawn))
    for place in list(order)[:number]:
        yield drawn[place].read()


def fitted(describe: Callable[[bytes], Features], number: int) -> drift.DriftReference:
    """The reference, of scanner A alone."""
    found = [describe(data) for data in films(number, seed=1_000)]
    return drift.fit({name: np.array([film[name] for film in found]) for name in found[0]})


def stable(
    reference: drift.DriftReference,
    describe: Callable[[bytes], Features],
    windows: int,
    *,
    mixed: bool = True,
) -> dict[str, Any]:
    """One long stream without a change; its distances are looked at after every window."""
    window = Window(reference, FILMS, rng=np.random.default_rng(0))
    alarms, highest, over = 0, 0.0, {"ks": 0, "mmd": 0, "psi_over_0.25": 0}
    for number in range(windows):
        for place, data in enumerate(films(FILMS, seed=2_000 + number, mixed=mixed)):
            alarms += len(window.add(describe(data)))
            if place % 10 == 0:
                highest = max(highest, *window.state().levels.values())
        state = window.state()
        over["ks"] += max(state.ks_distance.values()) > 1
        over["mmd"] += (state.discrepancy or 0) > 1
        over["psi_over_0.25"] += max(state.stability_index.values()) > 0.25
    return {
        "windows": windows,
        "films": windows * FILMS,
        "alarms": alarms,
        "highest_level_of_1": round(highest, 4),
        "windows_over_a_limit": over,
    }


def until_alarm(
    reference: drift.DriftReference, describe: Callable[[bytes], Features], name: str, seed: int
) -> int | None:
    """Films of the change before the first alarm, after 300 unchanged ones; None: not in 300."""
    share_b, change = CHANGES[name]
    window = Window(reference, FILMS, rng=np.random.default_rng(seed))
    for data in films(FILMS, seed=3_000 + seed):
        window.add(describe(data))
    for number, data in enumerate(films(FILMS, seed=4_000 + seed, share_b=share_b), 1):
        film = change(images.decode(data, color="L").astype(float)).astype(np.uint8)
        if window.add(describe(images.encode_png(film))):
            return number
    return None


if __name__ == "__main__":
    main()
