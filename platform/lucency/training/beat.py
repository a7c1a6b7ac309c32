"""
Every few steps the ranks agree, in one small message: on losses, on saving, on statistics.

Between two beats nothing leaves the device, so a GPU is never waited for.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lucency.training.ranks import Ranks

STEPS = 16


class Agreement(NamedTuple):
    """
    What all ranks know after a beat.

    Attributes:
        losses: Of the batch of each step since the last beat.
        save: Whether rank 0 wishes to save here.
    """

    losses: list[float]
    save: bool


class Beat:
    """
    Brings ranks together. Running statistics become their mean over ranks.

    Each rank's batch norm sees its own films alone. Only together do all films count, and only
    then may rank 0's checkpoint stand for every rank; so it is done where a save may follow.

    Args:
        networks: With the same layers, the first in training mode: of its parts that are, the
            running statistics move. The network and its moving average.
    """

    def __init__(self, ranks: Ranks, networks: list[nn.Module], device: torch.device) -> None:
        self._ranks = ranks
        self._device = device
        names = list(_moving(networks[0]))
        self._statistics = [network.get_buffer(name) for network in networks for name in names]

    @torch.no_grad()
    def __call__(self, losses: list[Tensor], save: bool) -> Agreement:
        """
        Args:
            losses: This rank's part of each step's loss, still on the device.
            save: What this rank wishes; rank 0 decides.
        """
        if self._ranks.world == 1:
            return Agreement(torch.stack(losses).tolist(), save)
        wish = torch.tensor([float(save and self._ranks.first)], device=self._device)
        parts = [torch.stack(losses).float(), wish, *(s.flatten() for s in self._statistics)]
        sums = self._ranks.summed(torch.cat(parts)).split([part.numel() for part in parts])
        for statistic, total in zip(self._statistics, sums[2:], strict=True):
            statistic.copy_(total.reshape(statistic.shape) / self._ranks.world)
        *agreed, wished = torch.cat(sums[:2]).tolist()
        return Agreement(agreed, bool(wished))


def _moving(network: nn.Module) -> list[str]:
    """Names of the running statistics of layers in training mode; counters are alike anyway."""
    return [
        f"{name}.{key}" if name else key
        for name, module in network.named_modules()
        if module.training
        for key, buffer in module.named_buffers(recurse=False)
        if buffer.is_floating_point()
    ]
