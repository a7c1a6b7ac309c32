"""Reading a network's graph: which tracer reads it, and what it gives when run again."""

import pytest
import torch
from torch import nn

from lucency.anatomy.graph import activations, trace
from lucency.errors import ConfigError
from tests.lucency.anatomy import networks


@pytest.mark.slow
def test_export_reads_what_fx_can_not() -> None:
    """Control flow on a shape goes through torch.export, and the reason is kept."""
    graph = trace(networks.ByValue(), (2, 16, 16))

    assert graph.tracer == "torch.export"
    assert "control flow" in graph.why
    assert [step.op for step in graph.steps][:4] == ["conv2d", "relu_", "max_pool2d", "mean"]
    assert sum(step.parameters for step in graph.steps) == 4 * 18 + 4 + 4 * 3 + 3


@pytest.mark.slow
def test_network_that_no_tracer_reads_is_one_line() -> None:
    """Control flow on pixels is refused in one line that has both reasons."""
    with pytest.raises(ConfigError, match="can't be read as a graph") as caught:
        trace(networks.Unreadable(), (2, 16, 16))

    assert "\n" not in str(caught.value)
    assert "torch.fx:" in str(caught.value)
    assert "torch.export:" in str(caught.value)


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 16, 16)])
def test_input_that_does_not_fit_is_one_line(shape: tuple[int, int, int]) -> None:
    """Too small an input, or the wrong channels, is refused with its shape."""
    with pytest.raises(ConfigError, match="does not take an input of") as caught:
        trace(nn.Conv2d(2, 4, 5), shape)

    assert "\n" not in str(caught.value)


def test_activations_are_copied_before_they_are_changed() -> None:
    """A convolution's output is kept as it was, though the next layer works in place on it."""
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True))
    graph = trace(network, (2, 8, 8))
    images = torch.randn(1, 2, 8, 8)

    kept = activations(graph, images, {graph.steps[0].node})

    torch.testing.assert_close(kept[graph.steps[0].node], network[0](images))
