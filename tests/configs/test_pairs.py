"""Every registered architecture on every data set, by the command that a config's header gives."""

import re
import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import yaml

from lucency.bundle import export
from lucency.config.pipeline import PipelineConfig
from lucency.config.train import Recipe, TrainConfig
from lucency.errors import ConfigError
from lucency.evaluation import selection
from lucency.learning.losses import losses
from lucency.learning.optimizers import optimizers
from lucency.learning.schedules import At, schedules
from lucency.models import blocks
from lucency.models.base import Classifier, PooledClassifier, architectures, describe
from tests.lucency.models.narrow import NARROW, assert_close_probabilities, spread

CONFIGS = Path(__file__).parents[2] / "configs"
# Classes of each set; ``folder`` stands for any number of them.
CLASSES = {
    "chest_xray": 2,
    "cifar10": 10,
    "folder": 3,
    "mnist": 10,
    "phantom": 2,
    "pneumoniamnist": 2,
    "rice": 5,
}
STEPS = 2
# Above this side a batch is two images and networks are narrowed; at 28 and 32 px only dense
# layers of 4096 are.
SMALL = 32
FULL = ("alexnet_small", "resnet9", "small", "vgg_small")
# Small in colour and large in gray: graphs on the other sets differ from these in the lengths of
# layers only, and an export costs more than the two steps of training.
EXPORTED = ("cifar10", "chest_xray")
# The VGGs differ in depth only, and all are exported at 32 px; a dense layer behind a single pool
# has 50 million weights here.
HEAVY = ("vgg13", "vgg16", "vgg19", "mnist_torch_cnn")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Most of these networks are too small to share."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def path(data: str) -> Path:
    """The data set's config."""
    return CONFIGS / "train" / f"{data}.yaml"


@cache
def overrides(data: str) -> list[str]:
    """What the header says to add for another network, NAME."""
    header = re.sub(r"\\\n#", "", path(data).read_text().partition("\ntable:")[0])
    commands = [shlex.split(line[1:]) for line in header.splitlines() if "jobs/train.py" in line]
    spoken = [words[3:] for words in commands if "recipe.model=NAME" in words]
    return spoken[0]


def load(data: str, model: str) -> Recipe:
    """The config with another network in the header's words, as the command line reads them."""
    spoken = [each.replace("=NAME", f"={model}") for each in overrides(data)]
    return TrainConfig.from_file(path(data), spoken).recipe


@cache
def affordable(data: str, name: str) -> Recipe:
    """The same with a width that a test can train."""
    options = NARROW.get(name, {})
    if name in FULL and load(data, name).preprocess.size <= SMALL:
        options = {}
    return load(data, yaml.safe_dump({"name": name, **options}, default_flow_style=True))


def build(data: str, recipe: Recipe) -> Classifier:
    """The network as a worker of the training loop builds it."""
    torch.manual_seed(0)
    return architectures.build(
        recipe.model,
        in_channels=recipe.preprocess.channels,
        outputs=selection.outputs(CLASSES[data]),
        side=recipe.preprocess.size,
    )


def inputs(recipe: Recipe) -> torch.Tensor:
    """Random pixels as the config reads them."""
    shape = (recipe.preprocess.size, recipe.preprocess.size, recipe.preprocess.channels)
    n = 4 if recipe.preprocess.size <= SMALL else 2
    images = np.random.default_rng(1).integers(0, 256, (n, *shape), dtype=np.uint8)
    return torch.from_numpy(np.stack([recipe.preprocess.tensor(image) for image in images]))


def train(data: str, recipe: Recipe, network: Classifier) -> list[float]:
    """Losses of two steps in the recipe's last phase, in the calls of ``training.loop``."""
    phase = recipe.phases[-1]
    network.train().to(memory_format=torch.channels_last)
    groups = blocks.groups(network, phase.layer_decay)
    optimizer = optimizers.build(recipe.optimizer, groups, phase.learning_rate)
    images_nchw = inputs(recipe).to(memory_format=torch.channels_last)
    labels_n = torch.arange(len(images_nchw)) % CLASSES[data]
    shares_k = torch.full((CLASSES[data],), 1 / CLASSES[data])
    found = []
    for step in range(STEPS):
        torch.manual_seed(0)  # the same dropout both times
        for group in optimizer.param_groups:
            factor = schedules.build(phase.schedule, At(step, STEPS))
            group["lr"] = phase.learning_rate * factor * group["factor"]
        with autocast(recipe):
            logits_nk = network(images_nchw)
        loss = losses.build(recipe.loss, logits_nk.float(), labels_n, shares_k)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    assert logits_nk.shape == (len(images_nchw), selection.outputs(CLASSES[data]))
    return found


def autocast(recipe: Recipe) -> Any:
    """The recipe's precision."""
    if recipe.precision == "fp32":
        return nullcontext()
    return torch.autocast("cpu", dtype=torch.bfloat16)


def size(data: str) -> int:
    """Side of the set's input."""
    return TrainConfig.from_file(path(data)).recipe.preprocess.size


PAIRS = [(name, data) for data in CLASSES for name in architectures.names()]
TAKEN = [pair for pair in PAIRS if size(pair[1]) >= (describe(pair[0]).smallest_side or 1)]
REFUSED = [pair for pair in PAIRS if pair not in TAKEN]
POOLED = [pair for pair in TAKEN if describe(pair[0]).maps]
GRAPHS = [
    (name, data)
    for name, data in TAKEN
    if data in EXPORTED and (name not in HEAVY or size(data) <= SMALL)
]


def test_every_data_set_has_a_config() -> None:
    """What can be prepared can be trained on; DICOM films are prepared to a folder of films."""
    prepared = {each.stem for each in (CONFIGS / "prepare").glob("*.yaml")}

    assert prepared - {"dicom"} <= set(CLASSES)


@pytest.mark.parametrize(("name", "data"), PAIRS)
def test_name_takes_the_place_of_the_network(name: str, data: str) -> None:
    """``recipe.model=NAME`` replaces the whole mapping: no option of the other network is left."""
    assert load(data, name).model == architectures.options(name)(name=name)


@pytest.mark.parametrize(("name", "data"), TAKEN)
def test_pair_learns(name: str, data: str) -> None:
    """Two steps of the recipe give a finite loss that moves, and reach every parameter."""
    recipe = affordable(data, name)
    network = build(data, recipe)
    before = [parameter.detach().clone() for parameter in network.parameters()]

    first, second = train(data, recipe, network)

    assert np.isfinite([first, second]).all()
    assert first != second
    for old, new in zip(before, network.parameters(), strict=True):
        assert new.grad is not None
        assert new.grad.isfinite().all()
        assert not torch.equal(old, new)


@pytest.mark.parametrize("data", CLASSES)
def test_config_learns_as_it_stands(data: str) -> None:
    """So does the network that the file itself names, at its full width and with its weights."""
    recipe = TrainConfig.from_file(path(data)).recipe
    network = build(data, recipe)

    first, second = train(data, recipe, network)

    assert np.isfinite([first, second]).all()
    assert first != second


@pytest.mark.parametrize(("name", "data"), REFUSED)
def test_too_small_a_side_is_refused(name: str, data: str) -> None:
    """What the pools would reduce to nothing is refused with the smallest side that works."""
    recipe = load(data, name)
    smallest, side = describe(name).smallest_side, recipe.preprocess.size

    with (
        torch.device("meta"),
        pytest.raises(ConfigError, match=rf"{name!r} takes images of {smallest} px.* is {side}:"),
    ):
        build(data, recipe)


@pytest.mark.parametrize(("name", "data"), POOLED)
def test_maps_explain_the_logits(name: str, data: str) -> None:
    """A pooled head gives class-activation maps, one a logit, whose means are the logits."""
    recipe = affordable(data, name)
    network = build(data, recipe).eval()
    assert isinstance(network, PooledClassifier)
    images_nchw = inputs(recipe)

    with torch.no_grad():
        logits_nk, maps_nkhw = network.explain(images_nchw)

        torch.testing.assert_close(logits_nk, network(images_nchw))
    assert maps_nkhw.shape[:2] == (len(images_nchw), selection.outputs(CLASSES[data]))
    torch.testing.assert_close(maps_nkhw.mean(dim=(2, 3)), logits_nk, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "data"), GRAPHS)
def test_exported_graph_answers_as_the_network(name: str, data: str) -> None:
    """ONNX Runtime gives the probabilities within 1e-4, for a batch of another size too."""
    recipe = affordable(data, name)
    network = build(data, recipe).eval()
    images_nchw = inputs(recipe)
    images_nchw = torch.cat([images_nchw, -images_nchw[:1]])
    spread(network, images_nchw)

    session = onnxruntime.InferenceSession(
        export.to_onnx(network, recipe), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {"images": images_nchw.numpy()})

    with torch.no_grad():
        expected_nk = network(images_nchw)
    outputs = ["logits", "maps"] if describe(name).maps else ["logits"]
    assert [value.name for value in session.get_outputs()] == outputs
    assert expected_nk.std() > 0.5
    assert_close_probabilities(torch.from_numpy(found[0]), expected_nk)


def test_chest_films_are_trained_on_as_in_the_pipeline() -> None:
    """The measured pipeline and the config for training alone have one recipe, and one run name."""
    trained = TrainConfig.from_file(path("chest_xray")).recipe
    whole = PipelineConfig.from_file(CONFIGS / "pipeline" / "chest_xray.yaml").recipe

    assert trained == whole
    assert trained.identity("a" * 64) == whole.identity("a" * 64)
