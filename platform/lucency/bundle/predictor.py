"""
The only inference path: encoded film -> logits, probabilities, decision, map. No torch.

Evaluation, batch jobs and HTTP all answer with this class, so they answer the same.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import cv2
import numpy as np

from lucency import images
from lucency.bundle import engine, films, offered
from lucency.bundle.artifact import GRAPH, Artifact, Golden, ModelCard
from lucency.bundle.engine import Engine
from lucency.bundle.offered import AUTO, REFERENCE, Variant
from lucency.bundle.quality import Quality, Warned
from lucency.drift import reference as drift
from lucency.errors import ArtifactError
from lucency.evaluation.conformal import Reason

UNCERTAIN = "uncertain"

_LOG = logging.getLogger(__name__)

# Gray levels of the overlay that the strongest heat replaces.
_HEAT_WEIGHT = 0.45
# Of an overlay, pixels a side: a map has ten cells a side at most, and a PNG costs by its pixels.
_MOST = 512
# Both sides longer than this are fine enough: half a film costs much less than two thirds of it.
_FINE = 384
_COARSER = 8


@dataclass(frozen=True)
class Input:
    """
    A film ready for the network.

    Attributes:
        array_chw: float32.
        features: What drift is measured on, without the probability.
        decode_s: Seconds from bytes to here.
        warnings: What is odd about the film; see ``lucency.bundle.quality.WARNINGS``.
        view: As a DICOM header names it, or empty.
    """

    array_chw: np.ndarray
    features: dict[str, float]
    decode_s: float
    warnings: tuple[Warned, ...] = ()
    view: str = ""


@dataclass(frozen=True)
class Prediction:
    """
    What the model says of one film.

    Attributes:
        logits: One for two classes (the second one's), else one a class.
        probability: Of the positive class where there are two, else of the class called.
        probabilities: Of every class, in the order of the card's labels.
        label: What is called, by the threshold or as the most probable.
        decision: ``positive`` or ``negative`` where there are two classes, else the label;
            ``uncertain`` where the film is better left to a reader.
        reason: Why so; see ``lucency.evaluation.conformal.REASONS``.
        labels: The prediction set: those that can't be ruled out.
        map_hw: Class-activation map, logits by place: of the positive class where there are two,
            else of the class called; its mean is the logit. None where the network has none.
        features: What drift is measured on.
        warnings: What is odd about the film; they decide nothing.
    """

    logits: tuple[float, ...]
    probability: float
    probabilities: tuple[float, ...]
    label: str
    decision: str
    reason: Reason
    labels: tuple[str, ...]
    map_hw: np.ndarray | None
    features: dict[str, float]
    warnings: tuple[Warned, ...] = ()


class Predictor:
    """
    A checked bundle, ready to answer; safe to call from several threads.

    Args:
        threads: Inference threads. One a worker: more of them spin.
        variant: Which arithmetic answers: ``fp32`` is the graph itself, ``auto`` the fastest
            variant that has passed on the bundle's test films and runs here.
        proven: Whether a variant that is named must have passed on test films; off where its
            evidence is being taken.

    Attributes:
        variant: The name of the one in force.

    Raises:
        ArtifactError: the bundle is damaged, its golden films give other logits here, or the
            variant named is not there, has not passed or can't run on this machine.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        max_pixels: int = images.MAX_PIXELS,
        variant: str = REFERENCE,
        proven: bool = True,
    ) -> None:
        self.artifact = Artifact.load(path)
        self.max_pixels = max_pixels
        self._quality = Quality(self.artifact)
        if variant == AUTO:
            self._use_fastest(threads)
        elif variant == REFERENCE:
            self._use(None, threads)
        else:
            self._use_named(variant, threads, proven)

    @property
    def card(self) -> ModelCard:
        """Labels, preprocessing, calibration, threshold."""
        return self.artifact.model

    def decode(self, data: bytes) -> Input:
        """
        Encoded bytes to the network's input.

        Raises:
            ImageError: the bytes are not a usable film.
        """
        began = time.perf_counter()
        recipe = self.card.preprocess
        film = films.working(data, recipe, max_pixels=self.max_pixels)
        resized = recipe.resize(film.pixels_hwc)
        array_chw = recipe.normalise(resized)
        features = drift.describe(array_chw)
        warnings = self._quality.warnings(film, resized, features)
        return Input(array_chw, features, time.perf_counter() - began, warnings, film.view)

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """Run the graph on a batch of one or more films."""
        batch_nchw = np.stack([film.array_chw for film in inputs])
        logits_nk, maps_nkhw = self._engine.run(batch_nchw)
        given_nk = self.card.probabilities(logits_nk)
        return [
            self._decide(
                logits_nk[n],
                given_nk[n],
                None if maps_nkhw is None else maps_nkhw[n],
                inputs[n],
            )
            for n in range(len(inputs))
        ]

    def predict_bytes(self, data: bytes) -> Prediction:
        """
        One film from its bytes.

        Raises:
            ImageError: the bytes are not a usable film.
        """
        return self.predict([self.decode(data)])[0]

    @property
    def explains(self) -> bool:
        """Whether the graph gives class-activation maps."""
        return self._engine.explains

    def overlay(self, data: bytes, prediction: Prediction) -> bytes:
        """
        The film in its own aspect with the heat over it, PNG; at most 512 px a side.

        Raises:
            ImageError: the bytes are not a usable film.
        """
        assert prediction.map_hw is not None, "ask explains before an overlay"
        return drawn(data, prediction.map_hw, max_pixels=self.max_pixels)

    def check_golden(self) -> None:
        """
        Run the films that travel in the bundle and compare the logits of the variant in force.

        Raises:
            ArtifactError: this machine's libraries give another answer than the exporter's.
        """
        for golden in self._golden:
            found = self.predict_bytes((self.artifact.path / golden.file).read_bytes()).logits
            alike = len(found) == len(golden.logits) and np.allclose(
                found, golden.logits, rtol=0, atol=golden.tolerance
            )
            if not alike:
                raise ArtifactError(
                    f"golden film {golden.file!r} of {str(self.artifact.path)!r} gives logits "
                    f"{_short(found)} here in {self.variant}, the bundle promises "
                    f"{_short(golden.logits)} within {golden.tolerance}: decoder or runtime differ "
                    f"from the exporter's, whose versions are {self.artifact.manifest.versions}"
                )

    def _use(self, variant: Variant | None, threads: int) -> None:
        """Load a variant, or the graph itself, and see that it answers as promised."""
        self.variant: str = variant.name if variant else REFERENCE
        self._golden: tuple[Golden, ...] = variant.golden if variant else self.artifact.golden
        self._engine: Engine = (
            engine.load(
                self.artifact.path / variant.files[0],
                variant.runtime,
                variant.precision,
                threads=threads,
            )
            if variant
            else engine.OnnxEngine(self.artifact.path / GRAPH, threads=threads)
        )
        self.check_golden()

    def _use_named(self, name: str, threads: int, proven: bool) -> None:
        variant = offered.named(self.artifact, name)
        if proven and (why := offered.refusal(self.artifact, variant, self.card.rule)):
            raise ArtifactError(
                f"variant {name!r} of {str(self.artifact.path)!r} must not answer: {why}. Evaluate "
                f"the bundle, or ask for variant={AUTO}"
            )
        self._use(variant, threads)

    def _use_fastest(self, threads: int) -> None:
        for variant, why in offered.servable(self.artifact):
            if not why:
                try:
                    return self._use(variant, threads)
                except ArtifactError as cause:
                    why = str(cause)
            _LOG.warning("variant %r is passed over: %s", variant.name, why)
        self._use(None, threads)

    def _decide(
        self,
        logits_k: np.ndarray,
        given_k: np.ndarray,
        maps_khw: np.ndarray | None,
        film: Input,
    ) -> Prediction:
        threshold = self.card.threshold
        if threshold is None:
            called = shown = int(given_k.argmax())
        else:
            called, shown = int(given_k[1] >= threshold), 0
        inside_k = self.card.conformal.sets(given_k)
        reason = self.card.conformal.reason(inside_k, called)
        label = self.card.labels[called]
        decision = label if threshold is None else ("negative", "positive")[called]
        given = float(given_k[called if threshold is None else 1])
        return Prediction(
            logits=tuple(map(float, logits_k)),
            probability=given,
            probabilities=tuple(map(float, given_k)),
            label=label,
            decision=decision if reason == "clear" else UNCERTAIN,
            reason=reason,
            labels=tuple(compress(self.card.labels, inside_k)),
            map_hw=None if maps_khw is None else maps_khw[shown],
            features={**film.features, "probability": given},
            warnings=film.warnings,
        )


def drawn(data: bytes, map_hw: np.ndarray, *, max_pixels: int) -> bytes:
    """
    ``Predictor.overlay`` for who has the map, and no model.

    Raises:
        ImageError: the bytes are not a usable film.
    """
    film = films.whole(data, color="RGB", max_pixels=max_pixels, at_least=_FINE)
    return overlay(film, map_hw)


def overlay(film_hwc: np.ndarray, map_hw: np.ndarray, most: int = _MOST) -> bytes:
    """
    A film with its class-activation map over it, PNG; both sides at most so long.

    Only evidence for the positive class is coloured: heat is the positive part of the map,
    relative to its own maximum or to a logit of 1, whichever is more, so that a film without
    findings stays gray.
    """
    height, width = film_hwc.shape[:2]
    factor = min(1.0, most / max(height, width))
    side = (max(1, round(width * factor)), max(1, round(height * factor)))
    film = cv2.resize(film_hwc, side, interpolation=cv2.INTER_AREA)
    heat = np.clip(map_hw, 0, None).astype(np.float32)
    heat /= max(1.0, float(heat.max()))
    # At a part of the film's size, where the map is as smooth; then in bytes, a level or two off.
    small = tuple(-(-length // _COARSER) for length in side)
    heat = np.clip(cv2.resize(heat, small, interpolation=cv2.INTER_CUBIC), 0, 1)
    colors = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    weight = (_HEAT_WEIGHT * heat**0.5)[:, :, None]
    added, kept = (
        cv2.resize(np.rint(part).astype(np.uint8), side, interpolation=cv2.INTER_LINEAR)
        for part in (colors * weight, np.repeat(255 * (1 - weight), 3, axis=2))
    )
    return images.encode_png_fast(cv2.add(cv2.multiply(film, kept, scale=1 / 255), added))


def _short(logits: Sequence[float]) -> str:
    return "(" + ", ".join(f"{logit:.6f}" for logit in logits) + ")"
