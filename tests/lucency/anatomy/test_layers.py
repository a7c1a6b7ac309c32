"""The table: sums against PyTorch's own counts, one row against a hand calculation."""

import json

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lucency.anatomy.layers import analyse
from tests.lucency.anatomy import networks

COUNTED = {
    "residual": (networks.Residual, (2, 24, 24)),
    "concatenated": (networks.Concatenated, (2, 24, 24)),
    "gated": (networks.Gated, (2, 24, 24)),
    "channels_last": (networks.ChannelsLast, (2, 24, 24)),
    "shufflenet": (lambda: torchvision.models.shufflenet_v2_x0_5(weights=None), (3, 64, 64)),
    "convnext": (lambda: timm.create_model("convnext_atto"), (3, 64, 64)),
    "same_padding": (lambda: timm.create_model("tf_efficientnet_lite0"), (3, 65, 65)),
    "transformer": (lambda: timm.create_model("vit_tiny_patch16_224", img_size=64), (3, 64, 64)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_sums_are_those_of_pytorch(name: str) -> None:
    """Parameters equal the network's own; multiply-adds are half of what PyTorch counts."""
    build, shape = COUNTED[name]
    network = build().eval()

    anatomy = analyse(network, shape)

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape))
    expected = sum(parameter.numel() for parameter in network.parameters())
    assert anatomy.parameters == expected
    assert anatomy.unused_parameters == 0
    assert 2 * anatomy.multiply_adds == counter.get_total_flops()
    assert anatomy.unknown == ()


def test_convolution_by_hand() -> None:
    """12 outputs of 10 x 10, each the sum of 3 x 3 x 4 products in two groups of channels."""
    anatomy = analyse(nn.Conv2d(8, 12, 3, groups=2), (8, 12, 12))

    (row,) = [layer.record() for layer in anatomy.layers]
    assert row["output"] == [12, 10, 10]
    assert row["multiply_adds"] == 12 * 100 * 9 * 4
    assert row["parameters"] == 12 * 9 * 4 + 12
    assert row["activation_bytes"] == 12 * 100 * 4
    assert (row["kernel"], row["stride"], row["padding"], row["dilation"]) == (3, 1, 0, 1)
    assert (row["receptive_field"], row["jump"], row["start"]) == (3, 1, 1.5)


def test_multi_head_attention_by_hand() -> None:
    """Four projections of every token and two products between all pairs of tokens."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = images.flatten(2).transpose(1, 2)
            mixed: torch.Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
            return mixed

    anatomy = analyse(Attention(), (16, 3, 4))

    assert anatomy.multiply_adds == 4 * 12 * 16 * 16 + 2 * 12 * 12 * 16


def test_sizes_were_compared_with_tensors() -> None:
    """Every convolution and pool of the table had its computed size held against a real one."""
    anatomy = analyse(networks.sequential(), (2, 40, 40))

    assert anatomy.checked == sum(layer.windows is not None for layer in anatomy.layers) == 4


def test_both_axes_are_shown_where_they_differ() -> None:
    """A kernel of 3 x 1 on an oblong input has two of everything."""
    anatomy = analyse(nn.Conv2d(2, 4, (3, 1), stride=(2, 1)), (2, 9, 16))

    row = anatomy.record()["layers"][0]
    assert row["output"] == [4, 4, 16]
    assert row["kernel"] == [3, 1]
    assert row["jump"] == [2, 1]
    assert anatomy.record()["receptive_field"] == [3, 1]


def test_heads_for_training_only_are_told_apart() -> None:
    """GoogLeNet's auxiliary classifiers have parameters that no row has."""
    network = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=True)

    anatomy = analyse(network, (3, 64, 64))

    auxiliary = sum(
        parameter.numel()
        for path, parameter in network.named_parameters()
        if path.startswith("aux")
    )
    assert anatomy.unused_parameters == auxiliary > 0


def test_record_is_plain_json() -> None:
    """The record survives JSON as it is."""
    record = analyse(networks.Gated(), (2, 24, 24)).record()

    assert json.loads(json.dumps(record)) == record
    assert record["graph"] == "torch.fx"
    assert record["depth"] == 3
