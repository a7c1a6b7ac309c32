"""What training takes of a GPU's memory and of the disk, estimated before anything starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from lucency.anatomy import layers
from lucency.config.train import Recipe
from lucency.errors import TrainingError

_FLOAT = 4
# The most that one of our optimisers keeps: Adam's two averages.
_STATES = 2
# CUDA's context, cuDNN's and cuBLAS's workspaces, and what the allocator can't use.
_BASE_BYTES = 2**30
_GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """
    Bytes of one worker.

    Attributes:
        fixed: Whatever the batch: weights, gradients, the optimiser's numbers, libraries.
        per_film: What a film's way through the network leaves behind for the way back.
        films: That a worker takes at once.
    """

    fixed: int
    per_film: int
    films: int

    @property
    def total(self) -> int:
        """All together."""
        return self.fixed + self.films * self.per_film


def checkpoint_bytes(recipe: Recipe, network: nn.Module) -> int:
    """Size of one checkpoint at most: weights, their average, the optimiser's numbers."""
    copies = 1 + (recipe.ema_decay is not None)
    return copies * _state_bytes(network) + _STATES * _FLOAT * _trained(recipe, network)


def estimate(recipe: Recipe, network: nn.Module) -> Estimate:
    """
    What a GPU is asked for at most.

    Activations are every layer's output, and twice the largest one for the gradients that the
    way back holds at a time; 16 bits halve them.
    """
    preprocess, scaling = recipe.preprocess, recipe.scaling
    anatomy = layers.analyse(network, (preprocess.channels, preprocess.size, preprocess.size))
    largest = max((layer.activation_bytes for layer in anatomy.layers), default=0)
    width = 1 if recipe.precision == "fp32" else 0.5
    input_bytes = _FLOAT * preprocess.channels * preprocess.size**2
    trained = _FLOAT * _trained(recipe, network)
    # Gradients, and where there are several workers the buckets that they are sent in.
    gradients = trained * (1 if scaling.most == 1 else 2)
    sixteen_bit = 0 if recipe.precision == "fp32" else _state_bytes(network) // 2
    copies = 1 + (recipe.ema_decay is not None)
    share = -(-recipe.batch_size // scaling.fewest)
    return Estimate(
        fixed=_BASE_BYTES
        + copies * _state_bytes(network)
        + gradients
        + _STATES * trained
        + sixteen_bit,
        per_film=input_bytes + int(width * (anatomy.activation_bytes + 2 * largest)),
        films=min(share, scaling.micro_batch or share),
    )


def require(asked: Estimate, nodes: Sequence[dict[str, Any]]) -> None:
    """
    Refuse what the smallest GPU can't hold.

    Raises:
        TrainingError: says how many films at once would fit.
    """
    gpus = [gpu for node in nodes for gpu in node["gpus"]]
    if not gpus:
        return
    smallest = min(gpus, key=lambda gpu: int(gpu["memory_mib"]))
    there = int(smallest["memory_mib"]) * 2**20
    if asked.total <= there:
        return
    fitting = (there - asked.fixed) // asked.per_film
    advice = (
        f"set scaling.micro_batch={fitting} or less, whose gradients add up to the same batch"
        if fitting >= 1
        else "take a smaller network or smaller films"
    )
    raise TrainingError(
        f"{asked.films} films at once take about {asked.total / _GIB:.1f} GiB of a GPU "
        f"({asked.fixed / _GIB:.1f} GiB, and {asked.per_film / 2**20:.1f} MiB a film), "
        f"{smallest['name']} has {there / _GIB:.1f} GiB: {advice}"
    )


def _state_bytes(network: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())


def _trained(recipe: Recipe, network: nn.Module) -> int:
    """Numbers that the phase with the most of them learns."""
    parts = [network]
    if all(phase.train == "head" for phase in recipe.phases):
        parts = [part for name, part in network.named_children() if name != "features"]
    return sum(parameter.numel() for part in parts for parameter in part.parameters())
