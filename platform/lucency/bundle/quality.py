"""
Warnings about a film that a model answers all the same; none of them changes the answer.

Measured on the network's own input and against what travels in the bundle of validation films:
histograms and thumbnails. Films of no one kind, as photographs, are held against the histograms
alone. A lateral film can't be told this way; that takes a model. Text in the
pixels is believed of the header alone: to look for it (``lucency.dicom.burned_in``) costs thirty
times a film's decoding, and at the size that a network sees no letter is left.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from lucency.bundle.artifact import Artifact
from lucency.bundle.films import Film
from lucency.drift.reference import CELLS, DriftReference
from lucency.images import quality
from lucency.images.quality import Kind

Warned = Literal["blank", "too_small", "inverted", "unlike_validation", "burned_in_text"]
WARNINGS: dict[Warned, str] = {
    "blank": "all pixels have nearly the same value",
    "too_small": "a side has fewer pixels than the network's input",
    "inverted": "a negative of the films that the model was proven on: bones black",
    "unlike_validation": (
        "brightness, contrast, sharpness or layout are far from those of validation films: "
        "perhaps no film of this kind at all"
    ),
    "burned_in_text": "the DICOM header says that there is text in the pixels",
}
assert set(WARNINGS) == set(get_args(Warned))

# Outside of the validation films' middle four fifths by as much as these are wide: for a normal
# distribution 3.8 deviations from its mean, 1 film in 8,000.
_FENCE = 1.0
_LOOKS = ("brightness", "contrast", "sharpness")
# As far again under the least alike of the validation films as half the way from the median to it.
_BELOW = 0.5


class Quality:
    """What a bundle's validation films looked like; a bundle that does not know warns of less."""

    def __init__(self, artifact: Artifact) -> None:
        self._size = artifact.model.preprocess.size
        self._ranges = dict(_ranges(artifact.drift))
        known = artifact.drift.thumbnails
        films_nd = np.array(known.films if known else [], np.float32)
        self._kind = Kind.of(films_nd)
        self._least = 0.0 if self._kind is None else _least(self._kind, films_nd)

    def warnings(
        self, film: Film, resized: np.ndarray, features: Mapping[str, float]
    ) -> tuple[Warned, ...]:
        """
        What is odd about a film.

        Args:
            film: As decoded.
            resized: As large as the network's input.
            features: What drift is measured on.
        """
        found: list[Warned] = ["burned_in_text"] if film.burned_in else []
        if quality.is_blank(resized):
            return (*found, "blank")  # all else would be said of nothing
        if min(film.pixels_hwc.shape[:2]) < self._size:
            found.append("too_small")
        agreement = self._agreement(features)
        if agreement < min(quality.NEGATIVE, self._least):
            found.append("inverted")
        elif agreement < self._least or self._outside(features):
            found.append("unlike_validation")
        return tuple(found)

    def _agreement(self, features: Mapping[str, float]) -> float:
        if self._kind is None:
            return 1.0
        return self._kind.agreement(np.array([features[cell] for cell in CELLS]))

    def _outside(self, features: Mapping[str, float]) -> bool:
        return any(not low <= features[name] <= high for name, (low, high) in self._ranges.items())


def _ranges(reference: DriftReference) -> list[tuple[str, tuple[float, float]]]:
    """From where to where each feature of a film's looks may lie."""
    found = []
    for name in _LOOKS:
        if name not in reference.features:
            continue
        edges = reference.features[name].edges
        if len(edges) < 2:  # films that are all alike have no range
            continue
        low, high = edges[0], edges[-1]
        room = _FENCE * (high - low)
        found.append((name, (low - room, high + room)))
    return found


def _least(kind: Kind, films_nd: np.ndarray) -> float:
    """How much a film must agree with the kind not to be unlike those it is made of."""
    least = min(kind.agreement(film) for film in films_nd)
    return least - _BELOW * (kind.median - least)
