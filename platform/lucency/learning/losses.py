"""
Losses over the logits of a batch; each takes the class shares that the platform counted.

A task of two classes has one logit a film, of the second class; a task of k > 2 classes has k.
"""

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from lucency.errors import ConfigError
from lucency.registry import Family

losses: Family[Tensor] = Family("loss", "lucency.learning.losses")

Smoothing = Annotated[float, Field(ge=0, lt=1)]


@losses.register("bce")
def binary_cross_entropy(
    logits_nk: Tensor, labels_n: Tensor, shares_k: Tensor, *, balance: bool = True
) -> Tensor:
    """
    Binary cross-entropy.

    Args:
        shares_k: Share of each class among the training films.
        balance: Weight both classes to the same total; the mean weight stays 1.

    Returns:
        Mean loss over the batch in nats, a scalar.

    Raises:
        ConfigError: the task has more than two classes.
    """
    if logits_nk.shape[1] != 1:
        raise ConfigError(
            f"loss bce is for two classes, the data have {len(shares_k)}: use cross_entropy"
        )
    return cross_entropy(logits_nk, labels_n, shares_k, balance=balance)


@losses.register("cross_entropy")
def cross_entropy(
    logits_nk: Tensor,
    labels_n: Tensor,
    shares_k: Tensor,
    *,
    balance: bool = False,
    label_smoothing: Smoothing = 0.0,
) -> Tensor:
    """
    Cross-entropy of any number of classes.

    Args:
        shares_k: Share of each class among the training films.
        balance: Weight all classes to the same total; the mean weight stays 1.
        label_smoothing: Share of each label that is spread evenly over all classes (Szegedy et
            al., 2016, https://arxiv.org/abs/1512.00567, section 7).

    Returns:
        Mean loss over the batch in nats, a scalar.
    """
    given_nk = _log_probabilities(logits_nk)
    right_n = given_nk.gather(1, labels_n[:, None])[:, 0]
    each_n = -(1 - label_smoothing) * right_n - label_smoothing * given_nk.mean(dim=1)
    if not balance:
        return each_n.mean()
    return (each_n * (1 / (len(shares_k) * shares_k))[labels_n]).mean()


@losses.register("focal")
def focal(
    logits_nk: Tensor,
    labels_n: Tensor,
    shares_k: Tensor,
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
    if logits_nk.shape[1] == 1:
        signed_n = torch.where(labels_n == 1, logits_nk[:, 0], -logits_nk[:, 0])
        right_n, wrong_n = F.logsigmoid(signed_n), F.logsigmoid(-signed_n)
    else:
        given_nk = _log_probabilities(logits_nk)
        right_n = given_nk.gather(1, labels_n[:, None])[:, 0]
        others_nk = given_nk.scatter(1, labels_n[:, None], -torch.inf)
        wrong_n = torch.logsumexp(others_nk, dim=1)
    # (1 - p) ** gamma by its logarithm: the power's own gradient is infinite at p = 1.
    return (torch.exp(gamma * wrong_n) * -right_n).mean()


def _log_probabilities(logits_nk: Tensor) -> Tensor:
    """Log probabilities of all classes, n x k; the one logit of two classes gives both."""
    if logits_nk.shape[1] == 1:
        return torch.cat([F.logsigmoid(-logits_nk), F.logsigmoid(logits_nk)], dim=1)
    return F.log_softmax(logits_nk, dim=1)
