"""A predictor behind asyncio: decoding and inference in threads, drift and timings on the way."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lucency.bundle.predictor import Input, Prediction, Predictor
from lucency.drift.window import Window
from lucency.errors import ImageError

from .telemetry import OTHER, Telemetry

# Films between two looks at the drift window: an index over hundreds moves slowly.
_DRIFT_EVERY = 10

Infer = Callable[[Input], Awaitable[Prediction]]


@dataclass(frozen=True)
class Timed:
    """
    A prediction, who gave it, and where its time went, in seconds.

    Attributes:
        infer_s: With waiting for a batch.
        classifier: Whose answer it is; another may be in force by now.
    """

    prediction: Prediction
    decode_s: float
    infer_s: float
    classifier: "Classifier"


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
        self._drift_window = drift_window
        self._windows: dict[tuple[str, str], Window] = {}
        self._answered = 0

    @property
    def drifting(self) -> bool:
        """Whether a drift test of any window is in alarm."""
        return any(window.in_alarm for window in list(self._windows.values()))

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
        return await self.answer(film)

    async def answer(self, film: Input) -> Timed:
        """One film that is decoded already."""
        began = time.perf_counter()
        prediction = await self.infer(film)
        infer_s = time.perf_counter() - began
        self.telemetry.stage("decode", film.decode_s)
        self.telemetry.stage("infer", infer_s)
        self.telemetry.prediction(prediction.decision)
        self._watch(prediction)
        return Timed(prediction, film.decode_s, infer_s, self)

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

    def _watch(self, prediction: Prediction, site: str = OTHER, view: str = OTHER) -> None:
        self.telemetry.score(prediction.probability, prediction.reason)
        for kind in prediction.warnings:
            self.telemetry.warning(kind)
        # A handful at most: names that are not on the lists are one.
        group = self.telemetry.group(site, view)
        if group not in self._windows:
            self._windows[group] = Window(self.predictor.artifact.drift, self._drift_window)
        window = self._windows[group]
        alarms = window.add(prediction.features)
        for feature in alarms:
            self.telemetry.drift_alarm(feature, *group)
        self._answered += 1  # not the window's films: their number stands still once it is full
        if alarms or self._answered % _DRIFT_EVERY == 0:
            self.telemetry.drift(window.state(), *group)
