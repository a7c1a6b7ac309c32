"""The small network: its shape follows from width and blocks."""

import pytest
import torch
from pydantic import ValidationError

from lucency.models.base import architectures
from lucency.models.small import Small


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_each_block_halves_the_side_and_doubles_the_channels(blocks: int) -> None:
    """A side of 32 px ends as 32 / 2**blocks, and width w as w * 2**(blocks - 1)."""
    network = Small(1, 1, 32, width=4, blocks=blocks).eval()

    features_nchw = network.features(torch.rand(1, 1, 32, 32))

    side = 32 // 2**blocks
    assert features_nchw.shape == (1, 4 * 2 ** (blocks - 1), side, side)


def test_three_channels_are_taken() -> None:
    """A color film goes in as it is."""
    network = Small(3, 2, 32, width=4, blocks=1).eval()

    logits_nk = network(torch.rand(5, 3, 20, 30))

    assert logits_nk.shape == (5, 2)


@pytest.mark.parametrize("options", [{"width": 2}, {"blocks": 7}, {"dropout": 1.0}, {"widht": 8}])
def test_senseless_option_is_refused(options: dict[str, float]) -> None:
    """A value out of range, or a misspelt key, fails before anything is built."""
    model = architectures.options("small")

    with pytest.raises(ValidationError, match=next(iter(options))):
        model(name="small", **options)
