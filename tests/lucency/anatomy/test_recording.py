"""The steps of a network: their names, whose parameters they have, what memory they take."""

import torch
from torch import nn

from lucency.anatomy.graph import trace
from lucency.anatomy.recording import function_name
from tests.lucency.anatomy import networks


def test_steps_have_the_names_of_their_layers() -> None:
    """A layer's row has its path; a function has that of the module around it, and a number."""
    graph = trace(nn.Sequential(networks.Residual(), nn.ReLU()), (2, 16, 16))

    names = [step.name for step in graph.steps]
    assert graph.tracer == "torch.fx"
    assert names == [
        "0.stem", "0.relu", "0.one", "0.two", "0.short", "0.add", "0.relu#2", "1",
    ]  # fmt: skip


def test_shared_weights_are_learned_once() -> None:
    """A layer that is called twice has its parameters in the first row only."""
    layer = nn.Conv2d(2, 2, 3, padding=1)

    graph = trace(nn.Sequential(layer, nn.ReLU(), layer), (2, 8, 8))

    assert [step.parameters for step in graph.steps] == [38, 0, 0]


def test_loose_parameters_count_where_they_are_used() -> None:
    """A scale that is no layer belongs to the step that multiplies with it."""
    graph = trace(networks.ChannelsLast(), (2, 16, 16))

    found = {step.name: step.parameters for step in graph.steps if step.parameters}
    assert found == {"conv": 132, "norm": 8, "mix": 20, "mul": 4}


def test_in_place_and_views_take_no_memory() -> None:
    """An activation in place and a flattening share memory with what they were given."""
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.ReLU())

    graph = trace(network, (2, 8, 8))

    assert [step.new_bytes for step in graph.steps] == [4 * 36 * 4, 0, 0, 4 * 36 * 4]


def test_functions_have_one_name_in_all_spellings() -> None:
    """Functions, methods and aten overloads are told by the same word."""
    assert function_name(torch.nn.functional.max_pool2d) == "max_pool2d"
    assert function_name(torch.ops.aten.max_pool2d.default) == "max_pool2d"
    assert function_name("mean") == "mean"
