"""Other windows in the same network, rebuilt and run."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from lucency.anatomy.layers import analyse
from lucency.anatomy.what_if import Change, Comparison, compare, rebuild
from lucency.errors import ConfigError
from tests.lucency.anatomy import networks

SHAPE = (2, 32, 32)


def network() -> nn.Sequential:
    """A convolution, a pool, a convolution."""
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))


def compared(**changes: Change) -> Comparison:
    """The network above with some layers changed; ``_0`` is layer 0."""
    given = {name.removeprefix("_"): change for name, change in changes.items()}
    model = network()
    return compare(model, analyse(model, SHAPE), given)


def totals(comparison: Comparison, key: str) -> tuple[int, int]:
    """A figure of the whole network before and after."""
    record = comparison.record()
    return record["before"][key], record["after"][key]


def test_wider_kernel_costs_parameters() -> None:
    """5x5 in place of 3x3 adds 16 weights a pair of channels and widens the field."""
    found = compared(_0=Change(kernel_size=5))

    before, after = totals(found, "parameters")
    assert after - before == (25 - 9) * 2 * 4
    assert totals(found, "receptive_field") == (8, 10)


def test_stride_costs_no_parameters() -> None:
    """Stride 2 leaves the parameters, halves the map and doubles what follows in the field."""
    found = compared(_0=Change(stride=2))

    before, after = totals(found, "parameters")
    assert before == after
    sizes = {row["name"]: (row["before"]["output"], row["after"]["output"]) for row in
             found.record()["layers"]}  # fmt: skip
    assert sizes["0"] == ([4, 30, 30], [4, 15, 15])
    assert totals(found, "receptive_field") == (8, 13)


def test_padding_keeps_the_border() -> None:
    """Padding makes the map larger, costs nothing and leaves the field."""
    found = compared(_0=Change(padding=1))

    (first, *_) = found.record()["layers"]
    assert (first["before"]["output"], first["after"]["output"]) == ([4, 30, 30], [4, 32, 32])
    assert (first["before"]["start"], first["after"]["start"]) == (1.5, 0.5)
    assert totals(found, "receptive_field") == (8, 8)


def test_pools_change_too() -> None:
    """A pool's window is changed like a convolution's, dilation included."""
    found = compared(_1=Change(kernel_size=3, stride=1, dilation=2))

    assert totals(found, "receptive_field") == (8, 9)


def test_changed_network_is_another_network() -> None:
    """The changed copy runs, keeps weights whose shape stays, and leaves the first as it was."""
    model = network()

    changed = rebuild(model, {"0": Change(stride=2), "2": Change(kernel_size=1)})

    assert changed(torch.zeros(1, *SHAPE)).shape == (1, 4, 7, 7)
    assert model(torch.zeros(1, *SHAPE)).shape == (1, 4, 13, 13)
    torch.testing.assert_close(changed.get_submodule("0").weight, model[0].weight)


@pytest.mark.parametrize(
    ("name", "found"), [("stm", "does not exist"), ("", "is a Residual"), ("on", "does not exist")]
)
def test_layer_that_can_not_be_changed_is_named(name: str, found: str) -> None:
    """A wrong name is answered with what stands there and the nearest names."""
    with pytest.raises(ConfigError, match=rf"{name!r} {found}") as caught:
        rebuild(networks.Residual(), {name: Change(stride=2)})

    assert {"stm": "'stem'", "on": "'one'", "": "'stem'"}[name] in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"one": Change(stride=1)}, "with the change, the network does not take an input"),
        ({"stem": Change(kernel_size=40)}, "with the change, the network does not take"),
    ],
)
def test_change_that_breaks_the_network_is_one_line(
    changes: dict[str, Change], message: str
) -> None:
    """Branches that don't meet any more, or a window that does not fit, are refused."""
    model = networks.Residual()

    with pytest.raises(ConfigError, match=message) as caught:
        compare(model, analyse(model, SHAPE), changes)

    assert "\n" not in str(caught.value)


def test_average_pool_has_no_dilation() -> None:
    """What a layer does not have can't be given to it."""
    with pytest.raises(ConfigError, match="no dilation"):
        rebuild(nn.Sequential(nn.AvgPool2d(2)), {"0": Change(dilation=2)})


@pytest.mark.parametrize("setting", ["kernel_size", "stride", "dilation"])
def test_windows_have_a_size(setting: str) -> None:
    """Zero is a padding, but no kernel, stride or dilation: it is refused before anything runs."""
    assert Change(padding=0).settings() == {"padding": 0}
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Change.model_validate({setting: 0})
