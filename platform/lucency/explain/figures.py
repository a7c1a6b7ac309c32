"""From a study's films to figures: means by patient with intervals, and what speaks against."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from lucency.evaluation import bootstrap, intervals
from lucency.evaluation.intervals import UNKNOWN, Interval
from lucency.explain import targets
from lucency.explain.randomise import LIMIT
from lucency.explain.study import CHANCE, Films, Study
from lucency.explain.targets import Mask

Record = dict[str, Any]


def record(study: Study, films: Films) -> Record:
    """
    Plain values for JSON: by method, and of chance.

    A value is ``{value, lower, upper}`` with 95 % bounds by patient; null is not to be had.
    """
    return {
        "methods": {name: _method(name, study, films) for name in study.methods},
        "chance": {
            **{name: _areas(name, study, films) for name in CHANCE.values()},
            "pointing": {name: _area_share(name, films) for name in films.targets},
        },
        "backgrounds": {name: round(given, 4) for name, given in study.backgrounds.items()},
        "randomised_steps": list(study.steps),
    }


def mean(values_n: np.ndarray, patients_n: np.ndarray) -> Interval:
    """A mean over films with its interval from drawing patients."""
    if not values_n.size:
        return UNKNOWN
    return bootstrap.interval(
        lambda weights_rn: weights_rn @ values_n / weights_rn.sum(axis=1), patients_n
    )


def doubts(found: Record, chance: Mapping[str, Interval]) -> list[str]:
    """
    What speaks against believing a method's maps, one sentence each; empty if nothing does.

    Args:
        found: The method's figures, as intervals.
        chance: By target, what pointing anywhere would hit.
    """
    said = []
    last = found["randomised"][-1]
    # Unless the whole interval lies below, it is not shown that the map depends on what was learnt.
    if not last.upper < LIMIT:
        said.append(
            f"fails the sanity check: with all weights random its maps are still alike, "
            f"{last.value:.2f} (upper bound {last.upper:.2f}, limit {LIMIT})"
        )
    for name, what in (("deletion", "take the answer away"), ("insertion", "bring it back")):
        gain = found[f"{name}_gain"]
        if not math.isnan(gain.value) and not gain.lower > 0:
            said.append(f"its pixels {what} no sooner than chance does ({name})")
    for name, hit in found["pointing"].items():
        if not hit.lower > chance[name].value:
            said.append(f"it points at the {name} no more often than chance does")
    return said


def _method(name: str, study: Study, films: Films) -> Record:
    maps = study.maps[name]
    chance = CHANCE[study.methods[name].grain]
    patients_n = films.patients_n[study.answered]
    ours, theirs = study.curves[name], study.curves[chance]
    left = study.randomised[name]
    some = films.patients_n[: len(left)]
    found: Record = {
        "pointing": {},
        "heat_inside": {},
        "blank_maps": int((maps.max(axis=(1, 2)) <= 0).sum()),
        "deletion": mean(ours.deletion_n, patients_n),
        "insertion": mean(ours.insertion_n, patients_n),
        "deletion_gain": mean(theirs.deletion_n - ours.deletion_n, patients_n),
        "insertion_gain": mean(ours.insertion_n - theirs.insertion_n, patients_n),
        "randomised": [mean(left[:, step], some) for step in range(left.shape[1])],
        "unrelated": mean(study.unrelated[name], some),
    }
    for target, masks in films.targets.items():
        places, masks_nhw = _stacked(masks)
        patients = films.patients_n[places]
        hits = targets.pointing(maps[places], masks_nhw)
        found["pointing"][target] = intervals.proportion(hits, patients)
        found["heat_inside"][target] = mean(targets.heat_inside(maps[places], masks_nhw), patients)
    against = doubts(
        found, {target: _share(masks, films) for target, masks in films.targets.items()}
    )
    return {
        **_plain(found),
        "compared_with": chance,
        "doubts": against + _full_backgrounds(study),
    }


def _full_backgrounds(study: Study) -> list[str]:
    if not study.backgrounds or min(study.backgrounds.values()) < 0.5:
        return []
    return [
        "deletion and insertion say little: the network finds the class in every background "
        f"(at the least {min(study.backgrounds.values()):.2f})"
    ]


def _areas(name: str, study: Study, films: Films) -> Record:
    patients_n = films.patients_n[study.answered]
    found = study.curves[name]
    areas = {"deletion": found.deletion_n, "insertion": found.insertion_n}
    return {key: _plain(mean(values_n, patients_n)) for key, values_n in areas.items()}


def _area_share(name: str, films: Films) -> Any:
    return _plain(_share(films.targets[name], films))


def _share(masks: Mapping[int, Mask], films: Films) -> Interval:
    """Share of the film that a target covers: what pointing anywhere hits."""
    places, masks_nhw = _stacked(masks)
    return mean(masks_nhw.mean(axis=(1, 2)), films.patients_n[places])


def _stacked(masks: Mapping[int, Mask]) -> tuple[np.ndarray, Mask]:
    return np.array(list(masks)), np.stack(list(masks.values()))


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        if math.isnan(value.value):
            return None
        return {key: round(bound, 4) for key, bound in asdict(value).items()}
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
