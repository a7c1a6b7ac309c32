"""Shared by all tests: a small table, a small bundle, one Ray for the whole run."""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lucency import cluster, images
from lucency.bundle import artifact, export
from lucency.bundle.artifact import Artifact, Golden, ModelCard, Use
from lucency.bundle.predictor import Predictor
from lucency.config.train import Recipe
from lucency.datasets import prepare
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Table
from lucency.drift import reference as drift
from lucency.evaluation.conformal import Conformal
from lucency.evaluation.rule import ClinicalRule
from lucency.models.base import PooledClassifier, architectures

ROOT = Path(__file__).parent.parent
# Tests bring their own cluster; one that happens to run on this machine is not theirs.
os.environ.pop("RAY_ADDRESS", None)
# Decoded films of tests are nobody's to keep.
_CACHE = tempfile.TemporaryDirectory(prefix="lucency-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name

# For helpers outside of fixtures.
SMALL = {
    "preprocess": {"size": 32, "color": "L", "mean": [0.5], "std": [0.25]},
    "model": {"name": "small", "width": 8, "blocks": 2},
    "loss": "bce",
    "optimizer": "adamw",
    "phases": [{"epochs": 2, "learning_rate": 0.003}],
    "batch_size": 16,
    "rule": {"sensitivity_floor": 0.5, "specificity_floor": 0.5},
}


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """A recipe that trains in seconds."""
    return Recipe.from_mapping(SMALL, "tests")


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A prepared table of 60 drawn patients, 64 px."""
    folder = tmp_path_factory.mktemp("table")
    return prepare.prepare(Phantom(patients=60, size=64), SplitPlan(), folder, name="phantom").table


@pytest.fixture(scope="session")
def network(recipe: Recipe) -> PooledClassifier:
    """An untrained network of the recipe."""
    torch.manual_seed(0)
    network = architectures.build(
        recipe.model, in_channels=1, outputs=1, side=recipe.preprocess.size
    )
    assert isinstance(network, PooledClassifier)
    return network.eval()


@pytest.fixture(scope="session")
def bundle(
    tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, network: PooledClassifier
) -> Artifact:
    """A sealed bundle of the untrained network, without evidence."""
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    return make_bundle(folder, recipe, network)


@pytest.fixture
def film() -> bytes:
    """One drawn film, JPEG."""
    return next(iter(Phantom(patients=1, size=96, max_films=1, seed=3))).read()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local Ray for all tests that need one."""
    with cluster.connected():
        yield


def make_bundle(folder: Path, recipe: Recipe, network: PooledClassifier) -> Artifact:
    """Write a bundle as the exporter does, without films to calibrate on."""
    card = ModelCard(
        labels=("NORMAL", "PNEUMONIA"),
        preprocess=recipe.preprocess,
        temperature=1.5,
        threshold=0.5,
        threshold_held=True,
        conformal=Conformal(coverage=0.95, least=(0.5, 0.5)),
        rule=ClinicalRule(),
        validation={"calibration": {"before": {}, "after": {}}},
    )
    generator = np.random.default_rng(0)
    reference = drift.fit({name: generator.normal(size=200) for name in drift.FEATURES})
    pixels = generator.integers(0, 255, (40, 40, 1)).astype(np.uint8)
    contents = {
        artifact.GRAPH: export.to_onnx(network, recipe),
        artifact.MODEL: card.model_dump_json().encode(),
        artifact.DRIFT: reference.model_dump_json().encode(),
        artifact.GOLDEN: b"[]",
        artifact.USE: Use().model_dump_json().encode(),
        "golden/0.png": images.encode_png(pixels),
    }
    origin = {
        "name": "test",
        "versions": {},
        "data_digest": "0" * 64,
        "config_digest": "0" * 64,
        "run": "test",
    }
    draft = artifact.write(folder, contents, **origin)
    logits = Predictor(draft.path).predict_bytes(contents["golden/0.png"]).logits
    golden = Golden(file="golden/0.png", logits=logits, tolerance=1e-3)
    contents[artifact.GOLDEN] = json.dumps([golden.model_dump()]).encode()
    return artifact.write(folder, contents, **origin)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where every test must run (LUCENCY_NO_SKIP=1), a skip is a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if (
        report.skipped
        and os.environ.get("LUCENCY_NO_SKIP") == "1"
        and not hasattr(report, "wasxfail")
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped where no skip is allowed: {report.longrepr}"
