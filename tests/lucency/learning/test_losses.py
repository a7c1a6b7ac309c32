"""Losses: what weighting, focusing and smoothing change, and what they leave."""

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from lucency.errors import ConfigError
from lucency.learning.losses import binary_cross_entropy, cross_entropy, focal, losses
from lucency.registry import Options

LABELS = torch.tensor([1, 0, 0, 0])
SHARES = torch.tensor([0.75, 0.25])
LABELS_OF_THREE = torch.tensor([2, 0, 1, 1])
SHARES_OF_THREE = torch.tensor([0.25, 0.5, 0.25])
LOGITS_OF_THREE = torch.tensor(
    [[0.1, 2.0, 0.3], [1.0, 0.0, -1.0], [0.0, 0.0, 3.0], [0.0, 4.0, 0.0]]
)

# bce is for two classes.
PAIRS = pytest.mark.parametrize(
    ("name", "classes"),
    [(name, k) for name in losses.names() for k in (2, 3) if (name, k) != ("bce", 3)],
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


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("balance", [False, True])
@PAIRS
def test_whole_shares_are_labels(name: str, classes: int, balance: bool, smoothing: float) -> None:
    """A target that gives all to one class is that label, in the loss and in its gradient."""
    logits_nk, labels_n, shares_k = _task(classes)
    options = _options(name, balance=balance, label_smoothing=smoothing)
    hard_nk, soft_nk = (logits_nk.clone().requires_grad_() for _ in range(2))

    hard = losses.build(options, hard_nk, labels_n, shares_k)
    soft = losses.build(options, soft_nk, F.one_hot(labels_n, classes).float(), shares_k)
    (hard + soft).backward()

    torch.testing.assert_close(soft, hard)
    torch.testing.assert_close(soft_nk.grad, hard_nk.grad)


@PAIRS
def test_blended_films_have_the_mean_of_both_losses(name: str, classes: int) -> None:
    """Shares of 0.3 and 0.7 are 0.3 and 0.7 of the losses of either label (mixup's own rule)."""
    logits_nk, labels_n, shares_k = _task(classes)
    one_hot_nc = F.one_hot(labels_n, classes).float()
    options = _options(name, balance=True, label_smoothing=0.1)

    blended = losses.build(
        options, logits_nk, 0.3 * one_hot_nc + 0.7 * one_hot_nc.flip(0), shares_k
    )

    first = losses.build(options, logits_nk, labels_n, shares_k)
    second = losses.build(options, logits_nk, labels_n.flip(0), shares_k)
    torch.testing.assert_close(blended, 0.3 * first + 0.7 * second)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_shares_equal_the_reference(smoothing: float) -> None:
    """PyTorch's own loss takes shares of classes too, and finds the same."""
    targets_nc = torch.tensor([[0.3, 0.7, 0.0], [1.0, 0.0, 0.0], [0.2, 0.2, 0.6], [0.5, 0.0, 0.5]])

    loss = cross_entropy(LOGITS_OF_THREE, targets_nc, SHARES_OF_THREE, label_smoothing=smoothing)

    expected = F.cross_entropy(LOGITS_OF_THREE, targets_nc, label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected)


def test_weighted_shares_equal_the_reference() -> None:
    """Each class weighs by its own weight in a blended film, as in PyTorch's own loss."""
    targets_nc = torch.tensor([[0.3, 0.7, 0.0], [1.0, 0.0, 0.0], [0.2, 0.2, 0.6], [0.5, 0.0, 0.5]])

    loss = cross_entropy(LOGITS_OF_THREE, targets_nc, SHARES_OF_THREE, balance=True)

    weights = 1 / (3 * SHARES_OF_THREE)
    torch.testing.assert_close(loss, F.cross_entropy(LOGITS_OF_THREE, targets_nc, weight=weights))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_shares_equal_the_reference(smoothing: float) -> None:
    """A share of the second class is PyTorch's binary target; smoothing pulls it to one half."""
    logits_n, share_n = torch.tensor([-1.0, 0.5, 2.0]), torch.tensor([0.0, 0.3, 1.0])

    loss = binary_cross_entropy(
        logits_n[:, None],
        torch.stack([1 - share_n, share_n], dim=1),
        SHARES,
        balance=False,
        label_smoothing=smoothing,
    )

    smoothed_n = (1 - smoothing) * share_n + smoothing / 2
    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits_n, smoothed_n))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_equals_the_reference(gamma: float) -> None:
    """For two classes it is torchvision's loss without its class weight."""
    logits_n = torch.tensor([-1.0, 0.5, 2.0, -2.0])

    loss = focal(logits_n[:, None], LABELS, SHARES, gamma=gamma)

    expected = sigmoid_focal_loss(logits_n, LABELS.float(), alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(loss, expected)


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


def _task(classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, labels and class shares; two classes have one logit."""
    if classes == 2:
        return torch.tensor([[-1.0], [0.5], [2.0], [-2.0]]), LABELS, SHARES
    return LOGITS_OF_THREE, LABELS_OF_THREE, SHARES_OF_THREE


def _options(name: str, **wanted: float) -> Options:
    """A loss's options, as far as it has them."""
    kind = losses.options(name)
    return kind(name=name, **{key: wanted[key] for key in kind.model_fields if key in wanted})
