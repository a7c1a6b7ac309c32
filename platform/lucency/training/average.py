"""The exponential moving average of a network's weights."""

import copy

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lucency.models.base import Classifier


class Average:
    """
    A second network whose weights and running statistics follow the first one's slowly.

    ``torch.optim.swa_utils.AveragedModel`` with ``use_buffers`` does the same, but copies its
    counter to the GPU at every update and so waits for the GPU at every step; its averaging
    function is what is used here. While few steps are done the decay is lower, as in TensorFlow's
    ``ExponentialMovingAverage``: else a short run would keep what it was initialised with.

    Attributes:
        model: The average, in evaluation mode.
    """

    def __init__(self, model: Classifier, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay
        own = [*self.model.parameters(), *self.model.buffers()]
        theirs = [each.detach() for each in (*model.parameters(), *model.buffers())]
        pairs = list(zip(own, theirs, strict=True))
        self._own = [mine for mine, _ in pairs if mine.is_floating_point()]
        self._theirs = [other for mine, other in pairs if mine.is_floating_point()]
        self._counters = [(mine, other) for mine, other in pairs if not mine.is_floating_point()]

    @torch.no_grad()
    def update(self, done: int) -> None:
        """
        Follow after an optimiser step.

        Args:
            done: Steps of the whole run before it.
        """
        decay = min(self.decay, (1 + done) / (10 + done))
        get_ema_multi_avg_fn(decay)(self._own, self._theirs, done)
        for mine, other in self._counters:
            mine.copy_(other)
