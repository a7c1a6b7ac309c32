"""What a table holds, what was set aside, and what could give a class away: plain values."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lucency.datasets.clean import Film, Inspection
from lucency.datasets.splits import SPLITS

# A quantity that alone tells the classes apart this well is named. A network that squeezes films
# to a square and averages pixels still sees most of them.
SHORTCUT_AUROC = 0.7
# With fewer films of a class an AUROC of 0.7 is chance more than once in a hundred sets.
_FEWEST = 30
_BINS = 32
_LISTED = 12  # sizes by count; the rest is one line

QUANTITIES: dict[str, Callable[[Film], float]] = {
    "pixels": lambda film: film.width * film.height,
    "aspect ratio": lambda film: film.width / film.height,
    "file size": lambda film: film.file_bytes,
    "mean brightness": lambda film: film.brightness,
}


def build(
    inspection: Inspection, splits: Sequence[str], classes: tuple[str, ...]
) -> dict[str, Any]:
    """Counts, sizes, forms, differences between classes, and lists by reason, for JSON and HTML."""
    films = inspection.films
    found = differences(films, classes)
    flagged = [{"name": film.sample.name, "reason": flag} for film in films for flag in film.flags]
    set_aside = [asdict(refused) for refused in inspection.set_aside]
    return {
        "films": len(films),
        "patients": len({film.sample.patient for film in films}),
        "classes": _by(classes[film.sample.label] for film in films),
        **{
            f"{what}s": _by(getattr(film.sample, what) or "not given" for film in films)
            for what in ("site", "scanner", "view", "age_band")
        },
        "splits": {
            split: _part(
                [film for film, own in zip(films, splits, strict=True) if own == split], classes
            )
            for split in SPLITS
        },
        "sizes": _sizes(films),
        "modes": _by(film.mode for film in films),
        "formats": _by(film.file_format for film in films),
        "width_px": _quartiles(np.array([film.width for film in films])),
        "height_px": _quartiles(np.array([film.height for film in films])),
        "differences": found,
        "shortcut_auroc": SHORTCUT_AUROC,
        "shortcuts": [name for name, each in found.items() if each["shortcut"]],
        "set_aside": set_aside,
        "set_aside_by_reason": _by(entry["reason"] for entry in set_aside),
        "flagged": flagged,
        "flagged_by_reason": _by(entry["reason"] for entry in flagged),
    }


def differences(films: Sequence[Film], classes: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """
    How well each quantity alone tells the class.

    ``auroc`` is at least 0.5, whichever class has the larger values; of more than two classes it
    is that of the class that stands out most from all others, which ``stands_out`` names.
    """
    labels = np.array([film.sample.label for film in films])
    return {
        name: _difference(np.array([measure(film) for film in films]), labels, classes)
        for name, measure in QUANTITIES.items()
    }


def auroc(values: np.ndarray, positive: np.ndarray) -> float:
    """
    Chance that a value of a positive is above that of another, ties counting half.

    Args:
        positive: True for the films of the class; there are some of both.
    """
    _, ranks, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    inside = int(positive.sum())
    above = float(middle[ranks][positive].sum()) - inside * (inside + 1) / 2
    return above / (inside * (len(values) - inside))


def _difference(values: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    present = [label for label in range(len(classes)) if (labels == label).any()]
    # Of two classes both stand out alike; the last is the positive one.
    tried = present[1:] if len(present) == 2 else present if len(present) > 2 else []
    scores = {label: auroc(values, labels == label) for label in tried}
    worst = max(scores, key=lambda label: abs(scores[label] - 0.5), default=None)
    told = 0.5 if worst is None else max(scores[worst], 1 - scores[worst])
    enough = worst is not None and min(sum(labels == worst), sum(labels != worst)) >= _FEWEST
    low, high = float(values.min()), float(values.max())
    edges = np.histogram_bin_edges(values, _BINS, (low, high) if low < high else (low, low + 1))
    return {
        "auroc": round(told, 4),
        "stands_out": None if worst is None else classes[worst],
        "shortcut": bool(enough and told >= SHORTCUT_AUROC),
        "by_class": {
            name: _quartiles(values[labels == label]) for label, name in enumerate(classes)
        },
        "histogram": {
            "from": round(low, 4),
            "to": round(high, 4),
            "films": {
                name: np.histogram(values[labels == label], edges)[0].tolist()
                for label, name in enumerate(classes)
            },
        },
    }


def _part(films: Sequence[Film], classes: Sequence[str]) -> dict[str, Any]:
    return {
        "films": len(films),
        "patients": len({film.sample.patient for film in films}),
        "classes": _by(classes[film.sample.label] for film in films),
    }


def _sizes(films: Sequence[Film]) -> dict[str, int]:
    counted = Counter(f"{film.width} x {film.height}" for film in films)
    shown = dict(sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))[:_LISTED])
    if len(counted) > _LISTED:
        shown[f"{len(counted) - _LISTED:,} others"] = len(films) - sum(shown.values())
    return shown


def grouped(entries: Iterable[Mapping[str, str]]) -> dict[str, list[Mapping[str, str]]]:
    """Entries by their reason, the most frequent reason first."""
    groups: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for entry in entries:
        groups[entry["reason"]].append(entry)
    return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))


def _by(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _quartiles(values: np.ndarray) -> dict[str, float]:
    if not values.size:
        return {}
    points = np.percentile(values, [0, 25, 50, 75, 100])
    names = ("least", "quarter", "median", "three_quarters", "most")
    return {name: round(float(point), 4) for name, point in zip(names, points, strict=True)}
