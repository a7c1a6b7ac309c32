"""What the ranks of a run tell each other; a rank alone tells nobody and waits for nobody."""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """
    One rank among ``world``. All ranks must make the same calls in the same order.

    Attributes:
        rank: From 0; rank 0 speaks for all where one has to.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this rank writes, shows and asks for all of them."""
        return self.rank == 0

    def summed(self, values: Tensor) -> Tensor:
        """The sum over all ranks, in place; on the device that the ranks compute on."""
        if self.world > 1:
            torch.distributed.all_reduce(values)
        return values

    def gathered(self, value: T) -> list[T]:
        """Every rank's value, by rank; for small ones, which are pickled."""
        parts: list[Any] = [value]
        if self.world > 1:
            parts = [None] * self.world
            torch.distributed.all_gather_object(parts, value)
        return parts

    def told(self, value: T) -> T:
        """Rank 0's value, whatever the others gave."""
        parts = [value]
        if self.world > 1:
            torch.distributed.broadcast_object_list(parts, src=0)
        return parts[0]
