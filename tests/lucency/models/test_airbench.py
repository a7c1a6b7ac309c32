"""The chain of convolutions for few epochs: its first layer, its starts, its two rates."""

from typing import Any

import pytest
import torch
from torch import nn

from lucency.models.airbench import ShiftedNorm
from lucency.models.base import PooledClassifier, architectures, parameters


def build(channels: int = 3, **options: Any) -> PooledClassifier:
    """A network by what YAML would say of it, ten classes of 32 px."""
    torch.manual_seed(0)
    model = architectures.options("airbench")(name="airbench", **options)
    network = architectures.build(model, in_channels=channels, outputs=10, side=32)
    assert isinstance(network, PooledClassifier)
    return network


def kernels(network: PooledClassifier) -> torch.Tensor:
    """Of the first layer, one a row."""
    first = next(each for each in network.features.modules() if isinstance(each, nn.Conv2d))
    return first.weight.detach().flatten(1)


def test_parameters_are_the_published_ones() -> None:
    """Jordan's 1,967,904 weights in convolutions and 1,152 shifts; the ends differ from his."""
    ends = 2 * 24 + 256 * 10 + 10

    with torch.device("meta"):
        assert parameters(build()) == 1_967_904 + 1_152 + ends


@pytest.mark.parametrize("channels", [1, 3])
def test_first_layer_is_an_orthonormal_transform_twice(channels: int) -> None:
    """No two of the patch's sums and differences overlap; the second half has the other sign."""
    rows = kernels(build(channels))

    half = 4 * channels
    torch.testing.assert_close(rows[:half] @ rows[:half].T, torch.eye(half))
    assert torch.equal(rows[half:], -rows[:half])


def test_first_layer_parts_brightness_from_edges_and_colour() -> None:
    """On an even gray image only the sum over patch and channels answers."""
    answers = kernels(build()) @ torch.ones(12)

    assert int((answers.abs() > 1e-5).sum()) == 2
    torch.testing.assert_close(answers[0], torch.tensor(12.0).sqrt())


def test_convolutions_hand_their_input_on_at_first() -> None:
    """As many channels as both sides have are copied, the others start at random."""
    layers = [m for m in build().features.modules() if isinstance(m, nn.Conv2d)][1:]

    for layer in layers:
        kept = layer.in_channels
        images_nchw = torch.randn(1, kept, 5, 5)
        torch.testing.assert_close(layer(images_nchw)[:, :kept], images_nchw)
    assert [layer.in_channels for layer in layers] == [24, 64, 64, 256, 256, 256]


def test_shift_learns_sixty_four_times_as_fast() -> None:
    """A step down the gradient moves what is added 64 times as far as the gradient is long."""
    norm = ShiftedNorm(3).train()
    images_nchw = torch.randn(8, 3, 4, 4)
    before = norm(images_nchw)

    (before[:, 0].sum() / 128).backward()
    assert norm.bias.grad is not None
    norm.bias.data -= norm.bias.grad

    torch.testing.assert_close(
        norm(images_nchw), before - torch.tensor([64.0, 0, 0])[:, None, None]
    )


def test_norm_measures_as_it_was_taught() -> None:
    """In evaluation running statistics stand in for the batch's, and scale is always one."""
    norm = ShiftedNorm(2)
    for _ in range(40):
        norm(5 + 3 * torch.randn(400, 2, 1, 1))

    normal = norm.eval()(5 + 3 * torch.randn(4000, 2, 1, 1))

    assert norm.weight is None
    torch.testing.assert_close(normal.std(), torch.tensor(1.0), atol=0.05, rtol=0)
    torch.testing.assert_close(normal.mean(), torch.tensor(0.0), atol=0.05, rtol=0)
