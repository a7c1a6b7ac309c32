"""
The only inference path: encoded film -> logit, probability, decision, map. No torch.

Evaluation, batch jobs and HTTP all answer with this class, so they answer the same.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import onnxruntime

from lucency import images
from lucency.bundle.artifact import GRAPH, Artifact, ModelCard
from lucency.drift import reference as drift
from lucency.errors import ArtifactError

Decision = Literal["positive", "negative"]
# Gray levels of the overlay that the strongest heat replaces.
_HEAT_WEIGHT = 0.45


@dataclass(frozen=True)
class Input:
    """
    A film ready for the network.

    Attributes:
        array_chw: float32.
        features: What drift is measured on, without the probability.
        decode_s: Seconds from bytes to here.
    """

    array_chw: np.ndarray
    features: dict[str, float]
    decode_s: float


@dataclass(frozen=True)
class Prediction:
    """
    What the model says of one film.

    Attributes:
        map_hw: Class-activation map, logits by place; its mean is the logit.
        features: What drift is measured on.
    """

    logit: float
    probability: float
    label: str
    decision: Decision
    map_hw: np.ndarray
    features: dict[str, float]


class Predictor:
    """
    A checked bundle, ready to answer; safe to call from several threads.

    Args:
        threads: Intra-op threads of ONNX Runtime. One a worker: more of them spin.

    Raises:
        ArtifactError: the bundle is damaged, or its golden films give other logits here.
    """

    def __init__(
        self, path: Path, *, threads: int = 1, max_pixels: int = images.MAX_PIXELS
    ) -> None:
        self.artifact = Artifact.load(path)
        self.max_pixels = max_pixels
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(path / GRAPH), options, providers=["CPUExecutionProvider"]
        )
        self.check_golden()

    @property
    def card(self) -> ModelCard:
        """Labels, preprocessing, temperature, threshold."""
        return self.artifact.model

    def decode(self, data: bytes) -> Input:
        """
        Encoded bytes to the network's input.

        Raises:
            ImageError: the bytes are not a usable film.
        """
        began = time.perf_counter()
        array_chw = self.card.preprocess(data, max_pixels=self.max_pixels)
        return Input(array_chw, drift.describe(array_chw), time.perf_counter() - began)

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """Run the graph on a batch of one or more films."""
        batch_nchw = np.stack([film.array_chw for film in inputs])
        logits_nk, maps_nkhw = self._session.run(None, {"images": batch_nchw})
        return [
            self._decide(float(logit), map_hw, film.features)
            for logit, map_hw, film in zip(logits_nk[:, 0], maps_nkhw[:, 0], inputs, strict=True)
        ]

    def predict_bytes(self, data: bytes) -> Prediction:
        """
        One film from its bytes.

        Raises:
            ImageError: the bytes are not a usable film.
        """
        return self.predict([self.decode(data)])[0]

    def overlay(self, data: bytes, prediction: Prediction) -> bytes:
        """The film in its own aspect with the heat over it, PNG; at most 1024 px a side."""
        film = images.decode(data, color="RGB", max_pixels=self.max_pixels)
        return overlay(film, prediction.map_hw)

    def check_golden(self) -> None:
        """
        Run the films that travel in the bundle and compare their logits.

        Raises:
            ArtifactError: this machine's libraries give another answer than the exporter's.
        """
        for golden in self.artifact.golden:
            found = self.predict_bytes((self.artifact.path / golden.file).read_bytes()).logit
            if not abs(found - golden.logit) <= golden.tolerance:
                raise ArtifactError(
                    f"golden film {golden.file!r} of {str(self.artifact.path)!r} gives logit "
                    f"{found:.6f} here, the bundle promises {golden.logit:.6f} within "
                    f"{golden.tolerance}: decoder or runtime differ from the exporter's, whose "
                    f"versions are {self.artifact.manifest.versions}"
                )

    def _decide(self, logit: float, map_hw: np.ndarray, features: dict[str, float]) -> Prediction:
        probability = _sigmoid(logit / self.card.temperature)
        positive = probability >= self.card.threshold
        return Prediction(
            logit=logit,
            probability=probability,
            label=self.card.labels[int(positive)],
            decision="positive" if positive else "negative",
            map_hw=map_hw,
            features={**features, "probability": probability},
        )


def overlay(film_hwc: np.ndarray, map_hw: np.ndarray, most: int = 1024) -> bytes:
    """
    A film with its class-activation map over it, PNG.

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
    heat = np.clip(cv2.resize(heat, side, interpolation=cv2.INTER_CUBIC), 0, 1)
    colors = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    weight = (_HEAT_WEIGHT * heat**0.5)[:, :, None]
    mixed = film.astype(np.float32) * (1 - weight) + colors.astype(np.float32) * weight
    return images.encode_png(np.rint(mixed).astype(np.uint8))


def _sigmoid(value: float) -> float:
    if value >= 0:
        return float(1 / (1 + np.exp(-value)))
    odds = float(np.exp(value))
    return odds / (1 + odds)
