"""Maps of networks whose reasons are known."""

import numpy as np
import pytest
import torch

from lucency.explain import methods
from lucency.explain.methods import METHODS
from lucency.explain.network import prepare
from lucency.models.base import PooledClassifier, architectures
from lucency.registry import Options
from tests.lucency.explain.networks import bright, halves, spot

FIRST = torch.tensor([0])
POSITIVE = torch.tensor([1])


@pytest.mark.parametrize("name", METHODS)
def test_heat_is_where_the_reason_is(name: str) -> None:
    """The strongest pixel lies in the only spot that moves the answer; the map has film size."""
    found = methods.maps(bright(), METHODS[name], spot(), POSITIVE)

    row, column = np.unravel_index(found[0].argmax(), found[0].shape)
    assert found.shape == (1, 16, 16)
    assert 4 <= row < 8
    assert 8 <= column < 12


@pytest.mark.parametrize("name", ["grad_cam", "integrated_gradients", "saliency"])
def test_map_is_of_the_class_that_is_asked(name: str) -> None:
    """Of two logits the one asked for is explained: its half is hot, the other cold."""
    film = torch.ones(1, 1, 16, 16)

    left, right = (methods.maps(halves(), METHODS[name], film, c)[0] for c in (FIRST, POSITIVE))

    assert left[:, 2].min() > left[:, 13].max() or name == "grad_cam"
    assert right[:, 13].min() > right[:, 2].max() or name == "grad_cam"
    # Grad-CAM weighs whole channels: with one channel both classes have the same map.
    assert np.allclose(left, right) == (name == "grad_cam")


def test_cam_of_a_class_is_its_own() -> None:
    """With several logits the class-activation map is that of the class asked for."""
    network = bright(outputs=2)
    with torch.no_grad():
        network.model.get_parameter("head.linear.weight")[1] = -1.0

    first, second = (methods.maps(network, METHODS["cam"], spot(), c) for c in (FIRST, POSITIVE))

    assert first.max() > 0
    assert second.max() <= 0


def test_integrated_gradients_add_up(network: PooledClassifier) -> None:
    """A map's sum is what the film adds to a black film's logit (completeness)."""
    ready = prepare(network, (1, 32, 32), torch.tensor([-2.0]))
    torch.manual_seed(1)
    film = torch.rand(1, 1, 32, 32)

    found = methods.maps(ready, METHODS["integrated_gradients"], film, POSITIVE)

    with torch.no_grad():
        change = (ready.model(film) - ready.model(torch.full_like(film, -2.0))).item()
    assert found.sum() == pytest.approx(change, rel=0.1)


@pytest.mark.parametrize(
    ("name", "side"), [("lenet5", 28), ("resnet9", 32), ("small", 32), ("mnist_torch_cnn", 28)]
)
def test_any_architecture_is_explained(name: str, side: int) -> None:
    """Three methods for all, the network's own for pooled heads; maps are finite and not flat."""
    torch.manual_seed(0)
    options: Options = architectures.options(name)(name=name)
    model = architectures.build(options, in_channels=1, outputs=3, side=side)
    ready = prepare(model, (1, side, side), torch.zeros(1))

    found = methods.of(ready)

    assert ("cam" in found) == isinstance(model, PooledClassifier)
    assert set(METHODS) - set(found) <= {"cam"}
    for method in found.values():
        maps = methods.maps(ready, method, torch.rand(2, 1, side, side), torch.tensor([0, 2]))
        assert maps.shape == (2, side, side)
        assert np.isfinite(maps).all()
        assert np.ptp(maps) > 0
