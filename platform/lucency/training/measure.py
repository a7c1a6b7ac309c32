"""Logits of a whole split, measured by all ranks together, and the figures that follow."""

from typing import Any

import numpy as np
import torch
from torch import nn

from lucency.training import order
from lucency.training.device import Device
from lucency.training.feed import Feed
from lucency.training.ranks import Ranks


def logits(
    model: nn.Module, films: Feed, device: Device, ranks: Ranks, *, batch_size: int, outputs: int
) -> np.ndarray:
    """
    n x k in the order of the split, the same on every rank.

    Each film is measured by exactly one rank. The shares need no padding, because no rank waits
    for another within them; so there are no duplicates to drop, and ``order.merge`` sees to it.

    Args:
        model: With the same weights on every rank, in evaluation mode.
    """
    batches = order.shard(len(films), batch_size, rank=ranks.rank, world=ranks.world)
    mine = _measured(model, films, device, batches, outputs)
    return order.merge(ranks.gathered(mine), len(films))


@torch.inference_mode()
def _measured(
    model: nn.Module, films: Feed, device: Device, batches: list[np.ndarray], outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    places = [np.empty(0, dtype=np.int64)]
    # A rank without films, where there are more ranks than films, still takes part.
    found: list[Any] = [torch.empty(0, outputs, device=device.torch)]
    for batch in films.batches(batches):
        with device.autocast():
            logits_nk = model(device.images(batch.inputs))
        places.append(batch.places)
        found.append(logits_nk.float())
    return np.concatenate(places), torch.cat(found).cpu().numpy()
