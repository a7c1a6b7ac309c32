"""From weights to a graph: what is exported answers as what was trained."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from lucency.bundle import artifact, export
from lucency.bundle.artifact import Artifact
from lucency.config.train import Recipe
from lucency.datasets.phantom import Phantom
from lucency.errors import ArtifactError
from lucency.models.base import PooledClassifier, architectures
from lucency.registry import Options


@pytest.fixture(scope="module")
def graph(bundle: Artifact) -> bytes:
    """The exported network of the shared bundle."""
    return (bundle.path / artifact.GRAPH).read_bytes()


@pytest.fixture(scope="module")
def films() -> list[bytes]:
    """Drawn films, JPEG."""
    return [sample.read() for sample in Phantom(patients=4, size=64, max_films=1)]


def another(recipe: Recipe) -> PooledClassifier:
    """A network of the same recipe whose head has other weights."""
    network = architectures.build(recipe.model, in_channels=1, outputs=1, side=32).eval()
    assert isinstance(network, PooledClassifier)
    torch.nn.init.constant_(network.head.linear.bias, 2.0)
    return network


@pytest.mark.parametrize("n", [1, 2, 5])
def test_graph_takes_any_number_of_films(
    graph: bytes, network: PooledClassifier, recipe: Recipe, n: int
) -> None:
    """A batch of any size gives the logits and maps of the training code."""
    size = recipe.preprocess.size
    images_nchw = np.random.default_rng(n).normal(size=(n, 1, size, size)).astype(np.float32)
    with torch.no_grad():
        expected = network.explain(torch.from_numpy(images_nchw))

    session = onnxruntime.InferenceSession(graph)
    logits_nk, maps_nkhw = session.run(["logits", "maps"], {"images": images_nchw})

    np.testing.assert_allclose(logits_nk, expected[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(maps_nkhw, expected[1].numpy(), atol=1e-4)


def test_graph_is_whole_and_named(graph: bytes) -> None:
    """Weights are inside of the one file, and input and outputs have the names of the reader."""
    model = onnx.load_from_string(graph)

    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["logits", "maps"]
    assert not any(tensor.external_data for tensor in model.graph.initializer)


def test_parity_of_the_same_network_passes(
    graph: bytes, network: PooledClassifier, recipe: Recipe, films: list[bytes]
) -> None:
    """Graph and training code agree on films, through the recipe's preprocessing."""
    export.check_parity(network, graph, recipe, films)


def test_parity_of_other_weights_is_refused(
    graph: bytes, recipe: Recipe, films: list[bytes]
) -> None:
    """A graph that is not this network's never gets into a bundle."""
    with pytest.raises(ArtifactError, match=r"differ by up to .* at most 0\.0001"):
        export.check_parity(another(recipe), graph, recipe, films)


def test_parity_of_broken_weights_is_refused(
    graph: bytes, recipe: Recipe, films: list[bytes]
) -> None:
    """A network that gives NaN differs from everything, though NaN is not over any limit."""
    network = another(recipe)
    torch.nn.init.constant_(network.head.linear.bias, float("nan"))

    with pytest.raises(ArtifactError, match="differ by up to nan"):
        export.check_parity(network, graph, recipe, films)


def test_stored_weights_give_the_network_back(
    tmp_path: Path, network: PooledClassifier, recipe: Recipe
) -> None:
    """The rebuilt network answers as the trained one, with dropout switched off."""
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    images_nchw = torch.rand(3, 1, 32, 32)

    rebuilt = export.rebuild(recipe, tmp_path / "model.safetensors", 2)

    assert not rebuilt.training
    assert torch.equal(rebuilt(images_nchw), network(images_nchw))


def test_rebuilding_needs_no_pretrained_file(tmp_path: Path, recipe: Recipe) -> None:
    """A run that began from a file which is gone since can still be exported."""
    options: Options = architectures.options("backbone")(timm="mobilenetv3_small_050")  # type: ignore[call-arg]
    trained = architectures.build(options, in_channels=1, outputs=1, side=32)
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    gone = recipe.model_copy(
        update={"model": options.model_copy(update={"weights": "gone/imagenet.pth"})}
    )

    rebuilt = export.rebuild(gone, tmp_path / "model.safetensors", 2)

    theirs = trained.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in rebuilt.state_dict().items())


@pytest.mark.parametrize(
    ("model", "outputs"), [("small", 3), ("mnist_torch_cnn", 3), ("mnist_torch_cnn", 1)]
)
def test_parity_holds_for_all_classes(
    recipe: Recipe, films: list[bytes], model: str, outputs: int
) -> None:
    """Three logits or one, maps or none: graph and training code agree, other weights do not."""
    options = architectures.options(model)(name=model)
    ours, theirs = (
        architectures.build(options, in_channels=1, outputs=outputs, side=32).eval()
        for _ in range(2)
    )

    graph = export.to_onnx(ours, recipe)

    export.check_parity(ours, graph, recipe, films)
    with pytest.raises(ArtifactError, match="differ by up to"):
        export.check_parity(theirs, graph, recipe, films)


def test_flat_head_has_no_output_for_maps(recipe: Recipe) -> None:
    """A graph without maps names its one output, and takes any number of films."""
    options = architectures.options("mnist_torch_cnn")(name="mnist_torch_cnn")
    network = architectures.build(options, in_channels=1, outputs=3, side=32).eval()

    session = onnxruntime.InferenceSession(export.to_onnx(network, recipe))

    assert [output.name for output in session.get_outputs()] == ["logits"]
    batch_nchw = np.zeros((5, 1, 32, 32), np.float32)
    assert session.run(None, {"images": batch_nchw})[0].shape == (5, 3)
