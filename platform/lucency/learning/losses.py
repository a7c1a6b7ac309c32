"""
Losses over the logits of a batch; each takes the class shares that the platform counted.

A task of two classes has one logit a film, of the second class; a task of k > 2 classes has k.
Targets are labels, int64 n, or the share of every class c in each film, float n x c, where films
were blended: the loss is then the mean of the losses of the labels that took part.
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
    logits_nk: Tensor,
    targets: Tensor,
    shares_k: Tensor,
    *,
    balance: bool = True,
    label_smoothing: Smoothing = 0.0,
) -> Tensor:
    """
    Binary cross-entropy.

    Args:
        shares_k: Share of each class among the training films.
        balance: Weight both classes to the same total; the mean weight stays 1.
        label_smoothing: As for ``cross_entropy``.

    Returns:
        Mean loss over the batch in nats, a scalar.

    Raises:
        ConfigError: the task has more than two classes.
    """
    if logits_nk.shape[1] != 1:
        raise ConfigError(
            f"loss bce is for two classes, the data have {len(shares_k)}: use cross_entropy"
        )
    return cross_entropy(
        logits_nk, targets, shares_k, balance=balance, label_smoothing=label_smoothing
    )


@losses.register("cross_entropy")
def cross_entropy(
    logits_nk: Tensor,
    targets: Tensor,
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
    given_nc = _log_probabilities(logits_nk)
    even_n1 = given_nc.mean(dim=1, keepdim=True)
    each_nc = -(1 - label_smoothing) * given_nc - label_smoothing * even_n1
    if balance:
        each_nc = each_nc * (1 / (len(shares_k) * shares_k))
    return _of_targets(each_nc, targets).mean()


@losses.register("focal")
def focal(
    logits_nk: Tensor,
    targets: Tensor,
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
    given_nc = _log_probabilities(logits_nk)
    # (1 - p) ** gamma by its logarithm: the power's own gradient is infinite at p = 1.
    each_nc = torch.exp(gamma * _log_of_the_others(given_nc)) * -given_nc
    return _of_targets(each_nc, targets).mean()


def _log_probabilities(logits_nk: Tensor) -> Tensor:
    """Log probabilities of all classes, n x c; the one logit of two classes gives both."""
    if logits_nk.shape[1] == 1:
        return torch.cat([F.logsigmoid(-logits_nk), F.logsigmoid(logits_nk)], dim=1)
    return F.log_softmax(logits_nk, dim=1)


def _log_of_the_others(given_nc: Tensor) -> Tensor:
    """
    Logarithm of what all other classes are given together, for each class.

    As a sum of the others: 1 - p would be 0 for every p that float32 rounds to 1.
    """
    if given_nc.shape[1] == 2:
        return given_nc.flip(1)
    none_n1 = given_nc.new_full((len(given_nc), 1), -torch.inf)
    before_nc = torch.cat([none_n1, given_nc.logcumsumexp(1)[:, :-1]], dim=1)
    after_nc = torch.cat([none_n1, given_nc.flip(1).logcumsumexp(1)[:, :-1]], dim=1).flip(1)
    return torch.logaddexp(before_nc, after_nc)


def _of_targets(each_nc: Tensor, targets: Tensor) -> Tensor:
    """Loss of each film, n, from what it would be for every label, n x c."""
    if targets.is_floating_point():
        return (targets * each_nc).sum(dim=1)
    return each_nc.gather(1, targets[:, None])[:, 0]
