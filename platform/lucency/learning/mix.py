"""Blending films of a batch: mixup and CutMix."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import numpy as np
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor


class Mix(BaseModel):
    """
    How films of a batch are blended in pairs, and their labels with them.

    mixup: Zhang et al., 2018, https://arxiv.org/abs/1710.09412; CutMix: Yun et al., 2019,
    https://arxiv.org/abs/1905.04899.

    Attributes:
        mixup: Alpha of the Beta distribution of a pair's shares; 0 leaves mixup out.
        cutmix: The same for the share of the area that is pasted in; 0 leaves CutMix out.
        probability: How often a batch is blended at all.
        switch: How often CutMix is taken where both are on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mixup: Annotated[float, Field(ge=0)] = 0.2
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    switch: Annotated[float, Field(ge=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _blends(self) -> "Mix":
        if not self.mixup and not self.cutmix:
            raise ValueError(
                "mixup and cutmix are both 0, which blends nothing: give one of them an alpha, "
                "or leave mix out"
            )
        return self


class Mixer:
    """
    Blends the films of a batch in pairs, by timm's ``Mixup``.

    Labels are blended but not smoothed: smoothing is the loss's.
    """

    def __init__(self, mix: Mix, classes: int) -> None:
        self.classes = classes
        # Imported for runs that blend: it costs seconds. By its name, as ``models.libraries``
        # does, which is a sibling: one line shared is not worth a module below both.
        self._mixup = importlib.import_module("timm.data").Mixup(
            mixup_alpha=mix.mixup,
            cutmix_alpha=mix.cutmix,
            prob=mix.probability,
            switch_prob=mix.switch,
            label_smoothing=0.0,
            num_classes=classes,
        )

    def __call__(
        self, images_nchw: Tensor, labels_n: Tensor, seed_number: int
    ) -> tuple[Tensor, Tensor]:
        """
        Blended copies of the images, and the share of each class in them, n x c.

        Film i is blended with film n - 1 - i. The first film of an odd batch stays as it is:
        one film has no partner.

        Args:
            seed_number: All that is drawn comes from it, on every device alike.
        """
        alone = len(images_nchw) % 2
        blended_nchw = images_nchw.clone()
        targets_nc = F.one_hot(labels_n, self.classes).float()
        with _seeded(seed_number):
            blended_nchw[alone:], targets_nc[alone:] = self._mixup(
                blended_nchw[alone:], labels_n[alone:]
            )
        return blended_nchw, targets_nc


@contextmanager
def _seeded(seed_number: int) -> Iterator[None]:
    """timm draws from NumPy's global generator; others find it again as they left it."""
    before = np.random.get_state()
    np.random.seed(seed_number % 2**32)
    try:
        yield
    finally:
        np.random.set_state(before)
