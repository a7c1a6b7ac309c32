"""Random variation of films, in training only; nothing on the serving path imports this."""

from lucency.augment.augmenter import Augmenter
from lucency.augment.limits import Augmentation

__all__ = ["Augmentation", "Augmenter"]
