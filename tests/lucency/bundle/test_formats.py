"""Torch's own formats: what is loaded back answers as the network does."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lucency.bundle import formats
from lucency.bundle.formats import Format
from lucency.config.train import Recipe
from lucency.errors import ArtifactError
from lucency.models.base import Classifier, PooledClassifier, architectures

PATHS: dict[Format, str] = {
    "torchscript": "formats/model.ts",
    "exported_program": "formats/model.pt2",
}


def films(count: int) -> np.ndarray:
    """Noise of the network's size."""
    return np.random.default_rng(count).normal(size=(count, 1, 32, 32)).astype(np.float32)


def load(name: Format, data: bytes) -> Callable[..., Any]:
    """As a stranger to this platform would."""
    stream = io.BytesIO(data)
    if name == "torchscript":
        return torch.jit.load(stream)  # type: ignore[no-any-return]
    return torch.export.load(stream).module()


@pytest.fixture(scope="module")
def stored(network: PooledClassifier) -> dict[str, bytes]:
    """The shared network in both formats."""
    return formats.files(network, films(3), ("torchscript", "exported_program"))


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_any_batch_is_answered_alike(
    stored: dict[str, bytes], network: PooledClassifier, name: Format, count: int
) -> None:
    """Logits and maps of a file are the network's own, for any number of films."""
    images_nchw = torch.from_numpy(films(count))
    with torch.no_grad():
        expected = network.explain(images_nchw)
        found = load(name, stored[PATHS[name]])(images_nchw)

    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_only_what_is_asked_for_is_made(network: PooledClassifier) -> None:
    """One format, one file; none, none."""
    assert list(formats.files(network, films(1), ("torchscript",))) == ["formats/model.ts"]
    assert formats.files(network, films(1), ()) == {}


@pytest.mark.parametrize("name", PATHS)
def test_network_without_maps_has_logits_alone(recipe: Recipe, name: Format) -> None:
    """A head that flattens is exported too, of three classes."""
    options = architectures.options("mnist_torch_cnn")(name="mnist_torch_cnn")
    flat = architectures.build(options, in_channels=1, outputs=3, side=32).eval()

    assert list(formats.files(flat, films(3), (name,))) == [PATHS[name]]


class _Wandering(Classifier):
    """A network whose answer depends on more than the films: a trace can't hold that."""

    def forward(self, images_nchw: torch.Tensor) -> torch.Tensor:
        """Logits, other ones for each number of films."""
        logits_nk: torch.Tensor = self.head(self.features(images_nchw))
        return logits_nk + float(len(images_nchw) ** 2)


def test_file_that_answers_otherwise_is_refused() -> None:
    """The file is held against the network on real input, and the message says by how much."""
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 1))
    wandering = _Wandering(torch.nn.Identity(), flat).eval()

    with pytest.raises(ArtifactError, match="exported torchscript's probabilities differ by up to"):
        formats.files(wandering, films(1), ("torchscript",))
