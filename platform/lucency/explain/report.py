"""The page of a study: films with every method's heat, curves, tables. Loads nothing."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lucency import pages
from lucency.explain import pictures
from lucency.explain.randomise import LIMIT
from lucency.explain.study import Films, Study
from lucency.explain.targets import Mask


@dataclass(frozen=True)
class Shown:
    """One row of pictures: the film, then its heat by method."""

    title: str
    pngs: Sequence[bytes]


def html(
    record: Mapping[str, Any],
    study: Study,
    films: Films,
    *,
    grays: np.ndarray,
    classes: Sequence[str],
    shown: int,
    settings: str,
) -> str:
    """
    The page as HTML text.

    Args:
        record: As ``figures.record`` gives it, with what the pipeline knows.
        grays: The films as the network gets them, n x h x w, 0 to 1.
        shown: How many films.
        settings: The resolved configuration, YAML.
    """
    environment = pages.environment("lucency.explain", interval=interval, uri=_uri, words=_words)
    return environment.get_template("report.html.j2").render(
        record=record,
        sources={name: method.source for name, method in study.methods.items()},
        limit=LIMIT,
        rows=[_row(study, films, grays, classes, place) for place in places(study, films, shown)],
        curves=pictures.curves(study.curves),
        randomised=pictures.randomised(study.randomised, study.steps),
        settings=settings,
    )


def places(study: Study, films: Films, count: int) -> list[int]:
    """
    Which films are shown: right and wrong ones of each label in turn, none chosen by its map.
    """
    right_n = (study.probabilities_n >= 0.5) == (films.labels_n == study.classes_n)
    kinds = films.labels_n * 2 + ~right_n
    turn = np.empty(len(kinds), np.int64)
    for kind in np.unique(kinds):
        turn[kinds == kind] = np.arange((kinds == kind).sum())
    # The last label first: it is the positive one of two.
    first = np.lexsort((~right_n, -films.labels_n, turn))[:count]
    return [int(place) for place in first]


def interval(value: Mapping[str, float] | None, *, signed: bool = False) -> str:
    """``0.71 (0.60-0.80)``; a dash where there is none."""
    if value is None:
        return "\u2013"
    form = "{:+.2f} ({:+.2f} to {:+.2f})" if signed else "{:.2f} ({:.2f}\u2013{:.2f})"
    return form.format(value["value"], value["lower"], value["upper"])


def _row(
    study: Study, films: Films, grays: np.ndarray, classes: Sequence[str], place: int
) -> Shown:
    mask = _mask(films, place)
    explained, given = classes[study.classes_n[place]], study.probabilities_n[place]
    heats = [pictures.heat(grays[place], maps[place], mask) for maps in study.maps.values()]
    return Shown(
        f"Labelled {classes[films.labels_n[place]]}; probability of {explained} {given:.2f}",
        [pictures.film(grays[place], mask), *heats],
    )


def _mask(films: Films, place: int) -> Mask | None:
    return films.targets.get("opacity", {}).get(place)


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _words(name: str) -> str:
    return {"cam": "CAM", "grad_cam": "Grad-CAM"}.get(name, name.replace("_", " "))
