"""The moving average of weights, beside torch's own."""

import copy

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lucency.models.base import Classifier, PooledClassifier
from lucency.training.average import Average


def step(model: Classifier, number: int) -> None:
    """Change every weight, statistic and counter a little."""
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.randn(value.shape, generator=generator), alpha=0.1)
            else:
                value.add_(1)


def test_average_is_torchs_own(network: PooledClassifier) -> None:
    """Once the decay is the recipe's, weights and statistics are those of ``AveragedModel``."""
    model = copy.deepcopy(network).train()
    ours = Average(model, decay=0.5)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    theirs.n_averaged += 1  # else its first update only copies

    for number in range(8, 18):  # a decay of 0.5 is reached at 8 steps
        step(model, number)
        ours.update(number)
        theirs.update_parameters(model)

    expected = theirs.module.state_dict()
    for key, value in ours.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=0)
        else:
            assert value == model.state_dict()[key]


def test_first_steps_count_for_more(network: PooledClassifier) -> None:
    """After one step nine tenths are the weights of then, not those of the beginning."""
    model = copy.deepcopy(network).train()
    average = Average(model, decay=0.999)
    before = copy.deepcopy(model.head.linear.weight)
    step(model, 0)

    average.update(0)

    moved = average.model.head.linear.weight - before  # type: ignore[union-attr, operator]
    torch.testing.assert_close(moved, 0.9 * (model.head.linear.weight - before))


def test_average_neither_learns_nor_drops(network: PooledClassifier) -> None:
    """It has no gradients, and it is in evaluation mode while the network trains."""
    average = Average(copy.deepcopy(network).train(), decay=0.9)

    assert not any(each.requires_grad for each in average.model.parameters())
    assert not any(module.training for module in average.model.modules())
