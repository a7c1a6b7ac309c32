"""A predictor behind asyncio: decoding and inference in threads, drift and timings on the way."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from lucency.bundle import films
from lucency.bundle.predictor import Input, Prediction, Predictor
from lucency.drift.window import Window
from lucency.errors import ImageError

from .origin import NOWHERE, Origin
from .telemetry import Telemetry

# Films between two looks at the drift window: an index over hundreds moves slowly.
_DRIFT_EVERY = 10
# What may take longer to decode than others should wait for is decoded beside inference.
_SMALL_BYTES = 2**20

Infer = Callable[[Input], Awaitable[Prediction]]
Draw = Callable[[bytes, Prediction], Coroutine[Any, Any, bytes]]


@dataclass(frozen=True)
class Timed:
    """
    A prediction, who gave it, and where its time went, in seconds.

    Attributes:
        infer_s: With waiting for a batch.
        classifier: Whose answer it is; another may be in force by now.
        origin: Where the film comes from.
    """

    prediction: Prediction
    decode_s: float
    infer_s: float
    classifier: "Classifier"
    origin: Origin = NOWHERE


class Classifier:
    """
    Answers films with one bundle.

    Args:
        threads: Of inference; large films are decoded by as many of their own, so that they do
            not hold up others.

    Attributes:
        infer: A queue in which films share runs of the graph; None runs it for each by itself.
        draw: Who draws heat maps elsewhere; None draws them here.
    """

    def __init__(
        self, predictor: Predictor, telemetry: Telemetry, *, threads: int, drift_window: int
    ) -> None:
        self.predictor = predictor
        self.telemetry = telemetry
        self.infer: Infer | None = None
        self.draw: Draw | None = None
        self._decoding = ThreadPoolExecutor(threads, "decode")
        self._inferring = ThreadPoolExecutor(1, "infer")
        self._drift_window = drift_window
        self._windows: dict[tuple[str, str], Window] = {}
        self._answered: Counter[tuple[str, str]] = Counter()

    @property
    def drifting(self) -> bool:
        """Whether a drift test of any window is in alarm."""
        return any(window.in_alarm for window in list(self._windows.values()))

    async def classify(self, data: bytes, origin: Origin = NOWHERE) -> Timed:
        """
        One film from its bytes.

        Raises:
            ImageError: the bytes are not a usable film.
        """
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        try:
            if self._at_once(data):
                work = loop.run_in_executor(self._inferring, self._decoded_and_predicted, data)
                film, prediction = await work
                infer_s = time.perf_counter() - began - film.decode_s
                return self._answer(film, prediction, infer_s, origin)
            film = await loop.run_in_executor(self._decoding, self.predictor.decode, data)
        except ImageError as cause:
            self.telemetry.refusal(cause.reason)
            raise
        return await self.answer(film, origin)

    async def answer(self, film: Input, origin: Origin = NOWHERE) -> Timed:
        """One film that is decoded already."""
        began = time.perf_counter()
        prediction = (await self.run([film]))[0] if self.infer is None else await self.infer(film)
        return self._answer(film, prediction, time.perf_counter() - began, origin)

    def _answer(self, film: Input, prediction: Prediction, infer_s: float, origin: Origin) -> Timed:
        if film.view and not origin.view:  # whoever asks knows better than the header
            origin = replace(origin, view=film.view)
        self.telemetry.stage("decode", film.decode_s)
        self.telemetry.stage("infer", infer_s)
        self.telemetry.prediction(prediction.decision)
        self._watch(prediction, origin)
        return Timed(prediction, film.decode_s, infer_s, self, origin)

    async def run(self, inputs: list[Input]) -> list[Prediction]:
        """A batch through the graph, off the event loop."""
        self.telemetry.batch(len(inputs))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._inferring, self.predictor.predict, inputs)

    async def overlay(self, data: bytes, prediction: Prediction) -> bytes:
        """The heat map over the film, PNG."""
        if self.draw is not None:
            return await self.draw(data, prediction)
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

    def _at_once(self, data: bytes) -> bool:
        """
        Whether one thread does all of it: a change of threads costs a twentieth of a millisecond.
        """
        small = len(data) <= _SMALL_BYTES and films.content_type(data) != films.DICOM
        return small and self.infer is None

    def _decoded_and_predicted(self, data: bytes) -> tuple[Input, Prediction]:
        film = self.predictor.decode(data)
        self.telemetry.batch(1)
        return film, self.predictor.predict([film])[0]

    def _watch(self, prediction: Prediction, origin: Origin) -> None:
        self.telemetry.score(prediction.probability, prediction.reason)
        for kind in prediction.warnings:
            self.telemetry.warning(kind)
        # A handful at most: names that are not on the lists are one.
        group = self.telemetry.group(origin.site, origin.view)
        if group not in self._windows:
            self._windows[group] = Window(self.predictor.artifact.drift, self._drift_window)
        window = self._windows[group]
        alarms = window.add(prediction.features)
        for feature in alarms:
            self.telemetry.drift_alarm(feature, *group)
        # Not the window's films: their number stands still once it is full.
        self._answered[group] += 1
        if alarms or self._answered[group] % _DRIFT_EVERY == 0:
            self.telemetry.drift(window.state(), *group)
