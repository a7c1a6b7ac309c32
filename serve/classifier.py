"""A predictor behind asyncio: decoding and inference in threads, drift and timings on the way."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lucency.bundle.predictor import Input, Prediction, Predictor
from lucency.drift.reference import Window
from lucency.errors import ImageError

from .telemetry import Telemetry

# Films between two looks at the drift window: an index over hundreds moves slowly.
_DRIFT_EVERY = 10

Infer = Callable[[Input], Awaitable[Prediction]]


@dataclass(frozen=True)
class Timed:
    """A prediction and where its time went, seconds; ``infer`` contains waiting for a batch."""

    prediction: Prediction
    decode_s: float
    infer_s: float


class Classifier:
    """
    Answers films with one bundle.

    Args:
        threads: Of inference; decoding has as many of its own, so that a large film does not
            hold up a batch that is ready.
    """

    def __init__(
        self, predictor: Predictor, telemetry: Telemetry, *, threads: int, drift_window: int
    ) -> None:
        self.predictor = predictor
        self.telemetry = telemetry
        self.infer: Infer = self._alone
        self._decoding = ThreadPoolExecutor(threads, "decode")
        self._inferring = ThreadPoolExecutor(1, "infer")
        self._window = Window(predictor.artifact.drift, drift_window)
        self._answered = 0

    async def classify(self, data: bytes) -> Timed:
        """
        One film from its bytes.

        Raises:
            ImageError: the bytes are not a usable film.
        """
        loop = asyncio.get_running_loop()
        try:
            film = await loop.run_in_executor(self._decoding, self.predictor.decode, data)
        except ImageError as cause:
            self.telemetry.refusal(cause.reason)
            raise
        began = time.perf_counter()
        prediction = await self.infer(film)
        infer_s = time.perf_counter() - began
        self.telemetry.stage("decode", film.decode_s)
        self.telemetry.stage("infer", infer_s)
        self.telemetry.prediction(prediction.decision)
        self._watch(prediction)
        return Timed(prediction, film.decode_s, infer_s)

    async def run(self, inputs: list[Input]) -> list[Prediction]:
        """A batch through the graph, off the event loop."""
        self.telemetry.batch(len(inputs))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._inferring, self.predictor.predict, inputs)

    async def overlay(self, data: bytes, prediction: Prediction) -> bytes:
        """The heat map over the film, PNG."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._decoding, self.predictor.overlay, data, prediction)

    async def check(self, timeout_s: float) -> None:
        """
        Run the golden films; a replica that hangs must not pass for healthy.

        Raises:
            ArtifactError: other logits than promised.
            TimeoutError: no answer in time.
        """
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._inferring, self.predictor.check_golden)
        await asyncio.wait_for(done, timeout_s)

    async def _alone(self, film: Input) -> Prediction:
        return (await self.run([film]))[0]

    def _watch(self, prediction: Prediction) -> None:
        self._window.add(prediction.features)
        self._answered += 1  # not the window's films: their number stands still once it is full
        if self._answered % _DRIFT_EVERY == 0:
            self.telemetry.drift(self._window.indices(), self._window.films)
