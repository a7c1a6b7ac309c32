"""Losses: what weighting and focusing change, and what they leave."""

import math

import pytest
import torch
import torch.nn.functional as F

from lucency.learning.losses import binary_cross_entropy, focal, losses

LABELS = torch.tensor([1.0, 0.0, 0.0, 0.0])


def test_focal_without_focus_is_cross_entropy() -> None:
    """At gamma 0 no film counts for less."""
    logits_n = torch.tensor([-3.0, 0.2, 1.7, 40.0])

    loss = focal(logits_n, LABELS, 0.25, gamma=0.0)

    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits_n, LABELS))


def test_focal_is_the_formula_of_the_paper() -> None:
    """Each film's nats are multiplied by (1 - p)**gamma, p being the share given to its label."""
    logits_n = torch.tensor([-1.0, 0.5, 2.0, -2.0])
    given = torch.where(LABELS == 1, torch.sigmoid(logits_n), torch.sigmoid(-logits_n))

    loss = focal(logits_n, LABELS, 0.25, gamma=1.5)

    torch.testing.assert_close(loss, (-((1 - given) ** 1.5) * given.log()).mean())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_certain_films_keep_the_gradient_finite(gamma: float) -> None:
    """A film that is right or wrong beyond float's resolution does not end the run."""
    logits_n = torch.tensor([200.0, -200.0, -40.0, 200.0], requires_grad=True)

    focal(logits_n, LABELS, 0.25, gamma=gamma).backward()

    assert logits_n.grad is not None
    assert torch.isfinite(logits_n.grad).all()


def test_balance_gives_both_classes_the_same_total() -> None:
    """One positive among four films pulls as hard as the three negatives together."""
    logits_n = torch.zeros(4, requires_grad=True)

    loss = binary_cross_entropy(logits_n, LABELS, 0.25)
    loss.backward()

    assert logits_n.grad is not None
    assert float(logits_n.grad.sum()) == pytest.approx(0.0, abs=1e-6)
    assert loss.item() == pytest.approx(math.log(2))


def test_without_balance_every_film_counts_the_same() -> None:
    """Switched off, the loss is the plain mean and the share of positives plays no part."""
    logits_n = torch.tensor([-1.0, 0.5, 2.0, -2.0])

    loss = binary_cross_entropy(logits_n, LABELS, 0.25, balance=False)

    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits_n, LABELS))


@pytest.mark.parametrize("name", losses.names())
def test_every_loss_falls_towards_the_labels(name: str) -> None:
    """A loss by its name is one number a batch, and smaller for logits that are right."""
    options = losses.options(name)(name=name)
    right = torch.where(LABELS == 1, 2.0, -2.0)

    good = losses.build(options, right, LABELS, 0.25)
    bad = losses.build(options, -right, LABELS, 0.25)

    assert good.shape == ()
    assert good < bad
