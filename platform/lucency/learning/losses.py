"""Losses for one logit a film; each takes the class weights that the platform counted."""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from lucency.registry import Family

losses: Family[Tensor] = Family("loss", "lucency.learning.losses")


@losses.register("bce")
def binary_cross_entropy(
    logits_n: Tensor, labels_n: Tensor, positive_share: float, *, balance: bool = True
) -> Tensor:
    """
    Binary cross-entropy.

    Args:
        positive_share: Share of positives among the training films.
        balance: Weight both classes to the same total; the mean weight stays 1.

    Returns:
        Mean loss over the batch in nats, a scalar.
    """
    each = F.binary_cross_entropy_with_logits(logits_n, labels_n, reduction="none")
    if not balance:
        return each.mean()
    weights = torch.where(labels_n == 1, 0.5 / positive_share, 0.5 / (1 - positive_share))
    return (each * weights).mean()


@losses.register("focal")
def focal(
    logits_n: Tensor,
    labels_n: Tensor,
    positive_share: float,
    *,
    gamma: Annotated[float, Field(ge=0, le=10)] = 2.0,
) -> Tensor:
    """
    Cross-entropy in which films already classified well count for less.

    Lin et al., 2017, https://arxiv.org/abs/1708.02002, eq. 4; gamma = 0 is cross-entropy. It
    takes no class weights: focusing answers the same imbalance, and both would stack.

    Returns:
        Mean loss over the batch in nats, a scalar.
    """
    each = F.binary_cross_entropy_with_logits(logits_n, labels_n, reduction="none")
    # (1 - p) ** gamma by its logarithm: the power's own gradient is infinite at p = 1.
    signed_n = torch.where(labels_n == 1, logits_n, -logits_n)
    return (torch.exp(gamma * F.logsigmoid(-signed_n)) * each).mean()
