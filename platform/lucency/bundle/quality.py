"""
Warnings about a film that a model answers all the same; none of them changes the answer.

Measured on the network's own input and against what travels in the bundle: the golden films,
and the histograms of validation films. A lateral film can't be told this way; that takes a model.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from lucency.bundle import films
from lucency.bundle.artifact import Artifact
from lucency.drift.reference import DriftReference
from lucency.images import quality
from lucency.images.quality import Kind

Warned = Literal["blank", "too_small", "inverted", "unlike_validation"]
WARNINGS: dict[Warned, str] = {
    "blank": "all pixels have nearly the same value",
    "too_small": "a side has fewer pixels than the network's input",
    "inverted": "a negative of the films that the model was proven on: bones black",
    "unlike_validation": (
        "brightness, contrast, sharpness or layout are far from those of validation films: "
        "perhaps no film of this kind at all"
    ),
}
assert set(WARNINGS) == set(get_args(Warned))

# Outside of the validation films' middle four fifths by as much as these are wide: for a normal
# distribution 3.8 deviations from its mean, 1 film in 8,000.
_FENCE = 1.0
_LOOKS = ("brightness", "contrast", "sharpness")
# Four golden chest films make a mean with which 622 of 624 others agree to more than this, and no
# picture of noise; 620 of the 624 negatives agree to less than its opposite and are told as such.
_UNLIKE = 0.2


class Quality:
    """
    What a bundle's films look like.

    Raises:
        ImageError: a golden film is no film.
    """

    def __init__(self, artifact: Artifact, max_pixels: int) -> None:
        self._preprocess = artifact.model.preprocess
        self._ranges = dict(_ranges(artifact.drift))
        golden = [
            films.working(
                (artifact.path / each.file).read_bytes(), self._preprocess, max_pixels=max_pixels
            )
            for each in artifact.golden
        ]
        self._kind = Kind.of([quality.thumbnail(self._preprocess.resize(film)) for film in golden])

    def warnings(
        self, working: np.ndarray, resized: np.ndarray, features: Mapping[str, float]
    ) -> tuple[Warned, ...]:
        """
        What is odd about a film.

        Args:
            working: As decoded, uint8 h x w x c.
            resized: As large as the network's input.
            features: What drift is measured on.
        """
        if quality.is_blank(resized):
            return ("blank",)  # all else would be said of nothing
        found: list[Warned] = []
        if min(working.shape[:2]) < self._preprocess.size:
            found.append("too_small")
        agreement = self._kind.agreement(quality.thumbnail(resized)) if self._kind else 1.0
        if agreement < quality.NEGATIVE:
            found.append("inverted")
        if quality.NEGATIVE <= agreement < _UNLIKE or self._outside(features):
            found.append("unlike_validation")
        return tuple(found)

    def _outside(self, features: Mapping[str, float]) -> bool:
        return any(not low <= features[name] <= high for name, (low, high) in self._ranges.items())


def _ranges(reference: DriftReference) -> list[tuple[str, tuple[float, float]]]:
    """From where to where each feature of a film's looks may lie."""
    found = []
    for name in _LOOKS:
        edges = reference.features[name].edges
        if len(edges) < 2:  # films that are all alike have no range
            continue
        low, high = edges[0], edges[-1]
        room = _FENCE * (high - low)
        found.append((name, (low - room, high + room)))
    return found
