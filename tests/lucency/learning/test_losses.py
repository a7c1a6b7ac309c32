"""Losses: what weighting, focusing and smoothing change, and what they leave."""

import math

import pytest
import torch
import torch.nn.functional as F

from lucency.errors import ConfigError
from lucency.learning.losses import binary_cross_entropy, cross_entropy, focal, losses

LABELS = torch.tensor([1, 0, 0, 0])
SHARES = torch.tensor([0.75, 0.25])
LABELS_OF_THREE = torch.tensor([2, 0, 1, 1])
SHARES_OF_THREE = torch.tensor([0.25, 0.5, 0.25])
LOGITS_OF_THREE = torch.tensor(
    [[0.1, 2.0, 0.3], [1.0, 0.0, -1.0], [0.0, 0.0, 3.0], [0.0, 4.0, 0.0]]
)


def test_focal_without_focus_is_cross_entropy() -> None:
    """At gamma 0 no film counts for less, whatever the number of classes."""
    logits_n = torch.tensor([-3.0, 0.2, 1.7, 40.0])

    loss = focal(logits_n[:, None], LABELS, SHARES, gamma=0.0)
    loss_of_three = focal(LOGITS_OF_THREE, LABELS_OF_THREE, SHARES_OF_THREE, gamma=0.0)

    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits_n, LABELS.float()))
    torch.testing.assert_close(loss_of_three, F.cross_entropy(LOGITS_OF_THREE, LABELS_OF_THREE))


def test_focal_is_the_formula_of_the_paper() -> None:
    """Each film's nats are multiplied by (1 - p)**gamma, p being the share given to its label."""
    logits_n = torch.tensor([-1.0, 0.5, 2.0, -2.0])
    given = torch.where(LABELS == 1, torch.sigmoid(logits_n), torch.sigmoid(-logits_n))
    given_of_three = LOGITS_OF_THREE.softmax(dim=1)[torch.arange(4), LABELS_OF_THREE]

    loss = focal(logits_n[:, None], LABELS, SHARES, gamma=1.5)
    loss_of_three = focal(LOGITS_OF_THREE, LABELS_OF_THREE, SHARES_OF_THREE, gamma=1.5)

    torch.testing.assert_close(loss, (-((1 - given) ** 1.5) * given.log()).mean())
    torch.testing.assert_close(
        loss_of_three, (-((1 - given_of_three) ** 1.5) * given_of_three.log()).mean()
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_certain_films_keep_the_gradient_finite(gamma: float, classes: int) -> None:
    """A film that is right or wrong beyond float's resolution does not end the run."""
    extreme = torch.tensor([[200.0], [-200.0], [-40.0], [200.0]])
    logits_nk = extreme if classes == 2 else torch.cat([extreme, -extreme, 0 * extreme], dim=1)
    logits_nk.requires_grad_()

    focal(logits_nk, LABELS, torch.full((classes,), 1 / classes), gamma=gamma).backward()

    assert logits_nk.grad is not None
    assert torch.isfinite(logits_nk.grad).all()


def test_balance_gives_both_classes_the_same_total() -> None:
    """One positive among four films pulls as hard as the three negatives together."""
    logits_nk = torch.zeros(4, 1, requires_grad=True)

    loss = binary_cross_entropy(logits_nk, LABELS, SHARES)
    loss.backward()

    assert logits_nk.grad is not None
    assert float(logits_nk.grad.sum()) == pytest.approx(0.0, abs=1e-6)
    assert loss.item() == pytest.approx(math.log(2))


def test_balance_of_three_classes() -> None:
    """Two films of one class weigh as much as one of each other; the mean weight stays 1."""
    loss = cross_entropy(LOGITS_OF_THREE, LABELS_OF_THREE, SHARES_OF_THREE, balance=True)

    each = F.cross_entropy(LOGITS_OF_THREE, LABELS_OF_THREE, reduction="none")
    weights = torch.tensor([4 / 3, 4 / 3, 2 / 3, 2 / 3])
    torch.testing.assert_close(loss, (each * weights).mean())


def test_without_balance_every_film_counts_the_same() -> None:
    """Switched off, the loss is the plain mean and the share of positives plays no part."""
    logits_n = torch.tensor([-1.0, 0.5, 2.0, -2.0])

    loss = binary_cross_entropy(logits_n[:, None], LABELS, SHARES, balance=False)

    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits_n, LABELS.float()))


def test_smoothing_equals_the_reference() -> None:
    """A share of the label goes to all classes alike, as in PyTorch's own loss."""
    loss = cross_entropy(LOGITS_OF_THREE, LABELS_OF_THREE, SHARES_OF_THREE, label_smoothing=0.2)

    expected = F.cross_entropy(LOGITS_OF_THREE, LABELS_OF_THREE, label_smoothing=0.2)
    torch.testing.assert_close(loss, expected)


def test_one_logit_is_two_classes() -> None:
    """One logit x and the two logits (0, x) are the same task to the cross-entropy."""
    logits_n1 = torch.tensor([[-1.0], [0.5], [2.0], [-2.0]])
    both = torch.cat([torch.zeros_like(logits_n1), logits_n1], dim=1)

    one = cross_entropy(logits_n1, LABELS, SHARES, label_smoothing=0.1, balance=True)
    two = cross_entropy(both, LABELS, SHARES, label_smoothing=0.1, balance=True)

    torch.testing.assert_close(one, two)


def test_binary_loss_refuses_three_classes() -> None:
    """The message names the loss to use instead."""
    with pytest.raises(ConfigError, match="use cross_entropy"):
        binary_cross_entropy(LOGITS_OF_THREE, LABELS_OF_THREE, SHARES_OF_THREE)


@pytest.mark.parametrize("name", losses.names())
def test_every_loss_falls_towards_the_labels(name: str) -> None:
    """A loss by its name is one number a batch, and smaller for logits that are right."""
    options = losses.options(name)(name=name)
    right = torch.where(LABELS == 1, 2.0, -2.0)[:, None]

    good = losses.build(options, right, LABELS, SHARES)
    bad = losses.build(options, -right, LABELS, SHARES)

    assert good.shape == ()
    assert good < bad
