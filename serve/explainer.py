"""
Heat maps drawn on replicas of their own, so that they never slow a prediction.

The map is the network's and comes with every prediction; what is dear is to decode the film in its
full size, to colour it and to write a PNG. So these replicas hold no model: they are sent a film
and its map, and no switch of models can part the two.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from lucency import images
from lucency.bundle.predictor import Prediction, drawn
from lucency.errors import ImageError

from .classifier import Draw
from .priority import give_way
from .problems import NotDrawn

_HEALTH_TIMEOUT_S = 10.0
_RETRY_AFTER_S = 2
_log = logging.getLogger(__name__)


class Explainer:
    """A replica that draws."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._drawing = ThreadPoolExecutor(1, "draw", initializer=give_way)
        self._tiny = images.encode_png(np.full((32, 32), 128, np.uint8))

    async def draw(self, data: bytes, map_hw: np.ndarray) -> tuple[bytes, str, str]:
        """
        The film with the heat over it, PNG; of a film that can't be used reason and message.

        Not raised: what Ray makes of an error quotes the arguments of calls.
        """
        loop = asyncio.get_running_loop()
        try:
            picture = await loop.run_in_executor(self._drawing, self._drawn, data, map_hw)
        except ImageError as refusal:
            return b"", refusal.reason, str(refusal)
        return picture, "", ""

    async def check_health(self) -> None:
        """A film is drawn in time; raising three times has the replica replaced."""
        done = self.draw(self._tiny, np.zeros((2, 2), np.float32))
        await asyncio.wait_for(done, _HEALTH_TIMEOUT_S)

    def _drawn(self, data: bytes, map_hw: np.ndarray) -> bytes:
        return drawn(data, map_hw, max_pixels=self._max_pixels)


def drawn_by(handle: Any, patience_s: float) -> Draw:
    """
    Asks the explainers behind a handle of Ray Serve.

    What they can't do in time is not done here instead: that would slow predictions.
    """

    async def draw(data: bytes, prediction: Prediction) -> bytes:
        """
        Raises:
            ImageError: the film can't be decoded in its full size.
            NotDrawn: no replica drew it in time.
        """
        try:
            asked = handle.draw.remote(data, prediction.map_hw)
            picture, reason, message = await asyncio.wait_for(asked, patience_s)
        except (RayError, RayServeException, TimeoutError) as error:
            _log.warning("no heat map: %s", type(error).__name__)
            raise NotDrawn(
                "the heat map can't be drawn at present; the film itself is answered without one",
                {"Retry-After": str(_RETRY_AFTER_S)},
            ) from None
        if reason:
            raise ImageError(reason, message)
        return bytes(picture)

    return draw
