"""A network as blocks from its input to its head: what is trained, in what mode, at what rate."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from lucency.errors import ConfigError
from lucency.models import libraries
from lucency.models.base import Classifier

Train = Literal["head", "all"] | int
BatchNorm = Literal["follow", "frozen", "train"]


@dataclass(frozen=True)
class Block:
    """
    A part of the trunk that is trained or left as it is.

    Attributes:
        modules: Every module of the part by itself, those inside of others too.
        parameters: All of the part; each of the trunk's is in exactly one block.
    """

    modules: list[nn.Module]
    parameters: list[nn.Parameter]


@dataclass(frozen=True)
class Group:
    """
    Parameters that learn at one rate.

    Attributes:
        factor: Of the learning rate.
        hidden: Whether their matrices lie between the network's first layer and its last.
    """

    parameters: list[nn.Parameter]
    factor: float = 1.0
    hidden: bool = True


def blocks(classifier: Classifier) -> list[Block]:
    """
    The trunk's blocks from the input to the head.

    A network of timm is cut as timm groups it, coarsely; any other by the children of its
    trunk, a stage or a layer each. Normalisation goes with the layer before it.
    """
    parts = _with_normalisation(_parts(classifier.features))
    place = {parameter: index for index, part in enumerate(parts) for parameter in part}
    found = [Block([], part) for part in parts]
    here = 0
    for module in classifier.features.modules():
        # What has no parameters (dropout, an activation) goes with what came before it.
        first = next(module.parameters(), None)
        here = here if first is None else place[first]
        if found:
            found[here].modules.append(module)
    return found


def free(classifier: Classifier, train: Train) -> None:
    """
    Let the head learn, and of the trunk nothing, so many blocks next to the head, or all.

    Raises:
        ConfigError: the trunk has fewer blocks.
    """
    frozen = _frozen(classifier, train)
    classifier.requires_grad_(True)
    for block in frozen:
        for parameter in block.parameters:
            parameter.requires_grad_(False)


def modes(classifier: Classifier, train: Train, batch_norm: BatchNorm) -> None:
    """
    Put every module in the mode that it has while a phase trains.

    Blocks that are not trained neither drop anything nor move their running statistics.

    Args:
        batch_norm: Whose running statistics move: ``follow``, those of trained blocks and the
            head; ``frozen``, nobody's; ``train``, everybody's.

    Raises:
        ConfigError: the trunk has fewer blocks.
    """
    frozen = _frozen(classifier, train)
    classifier.train()
    # One by one: ``eval()`` would reach into blocks that lie inside of a frozen container.
    for block in frozen:
        for module in block.modules:
            module.training = False
    if batch_norm != "follow":
        for module in classifier.modules():
            if getattr(module, "running_mean", None) is not None:
                module.training = batch_norm == "train"


def groups(classifier: Classifier, layer_decay: float) -> list[Group]:
    """
    What is free to learn, from the input to the head, with each part's share of the rate.

    Args:
        layer_decay: Factor from each block to the one before it; the head has the full rate
            (Clark et al., 2020, https://arxiv.org/abs/2003.10555).
    """
    trunk = [block.parameters for block in blocks(classifier)]
    parts = [*trunk, list(classifier.head.parameters())]
    first = next((each for part in trunk for each in part if each.ndim > 1), None)
    last = next((each for each in reversed(parts[-1]) if each.ndim > 1), None)
    found: list[Group] = []
    for distance, part in zip(reversed(range(len(parts))), parts, strict=True):
        learning = [parameter for parameter in part if parameter.requires_grad]
        outer = [each for each in learning if each is first or each is last]
        hidden = [each for each in learning if each is not first and each is not last]
        factor = layer_decay**distance
        found += [Group(some, factor, hidden=some is hidden) for some in (outer, hidden) if some]
    return found


def _frozen(classifier: Classifier, train: Train) -> list[Block]:
    if train == "all":
        return []
    found = blocks(classifier)
    trained = 0 if train == "head" else train
    if trained > len(found):
        raise ConfigError(
            f"phases: train {trained} frees more blocks than the network's trunk has, "
            f"{len(found)}: name fewer, or train all"
        )
    return found[: len(found) - trained]


def _parts(module: nn.Module, *, outermost: bool = True) -> Iterator[list[nn.Parameter]]:
    """Parameters by blocks, in order; some may be empty."""
    if hasattr(module, "group_matcher"):
        matcher = module.group_matcher(coarse=True)  # type: ignore[operator]
        named = libraries.timm().models.group_parameters(module, matcher, return_values=True)
        yield from (named[number] for number in sorted(named))
        return
    children = [child for child in module.children() if next(child.parameters(), None) is not None]
    stages = isinstance(module, nn.Sequential) and any(
        isinstance(child, nn.Sequential) for child in children
    )
    if not children or not (outermost or stages):
        yield list(module.parameters())
        return
    yield list(module.parameters(recurse=False))
    for child in children:
        # A trunk inside of a wrapper is still the trunk, not its only block.
        yield from _parts(child, outermost=outermost and len(children) == 1)


def _with_normalisation(parts: Iterator[list[nn.Parameter]]) -> list[list[nn.Parameter]]:
    """Every parameter once, and in each part something that multiplies more than a channel."""
    found: list[list[nn.Parameter]] = []
    seen: set[nn.Parameter] = set()
    for part in parts:
        new = [parameter for parameter in part if parameter not in seen]
        seen.update(new)
        if found and not (_has_kernel(new) and _has_kernel(found[-1])):
            found[-1] += new
        elif new:
            found.append(new)
    return found


def _has_kernel(part: list[nn.Parameter]) -> bool:
    return any(parameter.ndim > 1 for parameter in part)
