"""Three classes from folder to answer: no stage takes the number of classes for two."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from safetensors.torch import save_file

from lucency import batch, images
from lucency.bundle import export as exporter
from lucency.bundle.predictor import Predictor
from lucency.config.evaluate import EvaluateConfig
from lucency.config.export import ExportConfig
from lucency.config.prepare import PrepareConfig
from lucency.config.promote import PromoteConfig
from lucency.config.train import Recipe, TrainConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.models.base import architectures
from lucency.pipeline.evaluate import evaluate
from lucency.pipeline.export import export
from lucency.pipeline.prepare import prepare
from lucency.pipeline.promote import promote
from lucency.pipeline.train import train
from lucency.store.store import Store
from serve import ingress
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.telemetry import Telemetry

pytestmark = [pytest.mark.ray, pytest.mark.slow]

CLASSES = ("bars", "crôix", "ring")  # a letter that no HTTP header can hold
RECIPE = {
    "preprocess": {"size": 32, "color": "L", "mean": [0.5], "std": [0.25]},
    "augmentation": None,
    "model": {"name": "small", "width": 8, "blocks": 3, "dropout": 0.0},
    "loss": "cross_entropy",
    "optimizer": "adamw",
    "phases": [{"epochs": 4, "learning_rate": 0.01}],
    "batch_size": 16,
    "rule": {"sensitivity_floor": 0.3, "specificity_floor": 0.5},
}


@dataclass(frozen=True)
class Life:
    """What each stage answered."""

    folder: Path
    table: Table
    trained: dict[str, Any]
    exported: dict[str, Any]
    evaluated: dict[str, Any]
    promoted: dict[str, Any]


def picture(name: str, number: int) -> bytes:
    """A bright figure of one class on noise, 40 px, PNG; the number moves it."""
    generator = np.random.default_rng([CLASSES.index(name), number])
    canvas = np.zeros((40, 40), np.uint8)
    x, y = (int(place) for place in generator.integers(15, 25, 2))
    if name == "ring":
        cv2.circle(canvas, (x, y), 10, 160, 3)
    elif name == "bars":
        for offset in (-8, 0, 8):
            cv2.line(canvas, (x - 12, y + offset), (x + 12, y + offset), 160, 3)
    else:
        cv2.line(canvas, (x - 10, y), (x + 10, y), 160, 3)
        cv2.line(canvas, (x, y - 10), (x, y + 10), 160, 3)
    noise = generator.integers(0, 60, canvas.shape).astype(np.uint8)
    return images.encode_png((canvas + noise)[:, :, None])


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Life:
    """A folder of 240 pictures, and all stages up to the store."""
    folder = tmp_path_factory.mktemp("many")
    for name in CLASSES:
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(80):
            (folder / "pictures" / name / f"{number}.png").write_bytes(picture(name, number))
    dataset = {"name": "folder", "root": str(folder / "pictures")}
    prepared = prepare(
        PrepareConfig.from_mapping({"dataset": dataset, "output": str(folder / "data")}, "test")
    )
    table = Path(prepared["table"])
    recipe = Recipe.from_mapping(RECIPE, "test")
    trained = train(TrainConfig(table=table, runs=folder / "runs", recipe=recipe))
    bundle = folder / "bundle"
    # Twelve validation patients a class can promise no more.
    exported = export(
        ExportConfig(run=Path(trained["folder"]), output=bundle, name="figures", coverage=0.9)
    )
    report = folder / "report.html"
    evaluated = evaluate(EvaluateConfig(bundle=bundle, table=table, report=report))
    promoted = promote(PromoteConfig(store=folder / "store", bundle=bundle, rule=recipe.rule))
    return Life(folder, Table.open(table), trained, exported, evaluated, promoted)


def client(path: Path) -> TestClient:
    """HTTP to the application over a bundle."""
    predictor = Predictor(path)
    telemetry = Telemetry(PlainBackend(CollectorRegistry()), predictor.artifact.version)
    classifier = Classifier(predictor, telemetry, threads=1, drift_window=100)
    return TestClient(ingress.create(classifier, max_body_bytes=200_000))


def test_every_stage_counts_three_classes(life: Life) -> None:
    """The run is ranked by accuracy, the card has no threshold, the evidence three classes."""
    assert life.trained["classes"] == list(CLASSES)
    assert life.trained["best"]["accuracy"] > 0.8
    assert life.exported["threshold"] is None
    assert np.array(life.evaluated["confusion"]).shape == (3, 3)
    assert life.evaluated["metrics"]["accuracy"]["value"] > 0.8


def test_curve_for_three_classes_is_refused(life: Life) -> None:
    """Before a film is predicted, and with what to give instead."""
    asked = ExportConfig(
        run=Path(life.trained["folder"]), output=life.folder / "curved", calibration="isotonic"
    )

    with pytest.raises(DataError, match="is for two classes, here are 3: give calibration=temp"):
        export(asked)

    assert not asked.output.exists()


def test_batch_path_gives_the_predictors_answers(life: Life) -> None:
    """Logits and probabilities of all classes are those of one film at a time, in table order."""
    found = batch.predict_split(life.folder / "bundle", life.table, "test")

    predictor = Predictor(life.folder / "bundle")
    alone = [predictor.predict_bytes(data) for data in life.table.images(found.rows)]
    np.testing.assert_allclose(found.logits, [one.logits for one in alone], atol=1e-5)
    np.testing.assert_allclose(found.probabilities, [one.probabilities for one in alone], atol=1e-5)
    assert found.features["probability"] == pytest.approx(found.probabilities.max(axis=1))


def test_gate_judged_the_worst_class(life: Life) -> None:
    """The store's champion was promoted for the figures of the worst class."""
    (entry,) = Store(life.folder / "store").history()

    sensitivity = life.evaluated["metrics"]["sensitivity"]
    assert life.promoted["champion"] == entry["aliases"]["champion"]
    assert f"lower 95% bound by patient {sensitivity['lower']:.4f}" in entry["reason"]


def test_report_is_that_of_many_classes(life: Life) -> None:
    """The page names the classes and holds the verdict of the evidence."""
    html = (life.folder / "report.html").read_text()

    assert "3 classes" in html
    assert all(html.count(name) > 2 for name in CLASSES)
    assert life.evaluated["verdict"]["reasons"][0].replace("'", "&#39;") in html


@pytest.mark.parametrize("name", CLASSES)
def test_champion_answers_over_http(life: Life, name: str) -> None:
    """A new picture is called by its class, with probabilities of all three and a map."""
    data = picture(name, 1000)

    with client(Store(life.folder / "store").path()) as opened:
        answer = opened.post("/v1/predict", content=data).json()
        explained = opened.post("/v1/explain", content=data)

    assert (answer["label"], answer["decision"], answer["threshold"]) == (name, name, None)
    assert list(answer["probabilities"]) == list(CLASSES)
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answer["probability"] == max(answer["probabilities"].values())
    assert explained.headers["content-type"] == "image/png"


def test_network_without_maps_is_exported_and_answers(life: Life) -> None:
    """A head that flattens has logits alone: no map, no overlay, and /v1/explain says so."""
    recipe = Recipe.from_mapping({**RECIPE, "model": {"name": "mnist_torch_cnn"}}, "test")
    torch.manual_seed(0)
    network = architectures.build(recipe.model, in_channels=1, outputs=3, side=32).eval()
    weights = life.folder / "flat.safetensors"
    save_file(network.state_dict(), weights)

    bundle = exporter.export(
        name="flat",
        run="none",
        recipe=recipe,
        weights=weights,
        history=[],
        table=life.table,
        output=life.folder / "flat",
    )
    report = life.folder / "flat.html"
    evaluate(EvaluateConfig(bundle=bundle.path, table=life.table.path, report=report))
    with client(bundle.path) as opened:
        described = opened.get("/v1/model").json()
        refused = opened.post("/v1/explain", content=picture("ring", 1000))

    data = picture("ring", 1000)
    found = Predictor(bundle.path).predict_bytes(data)
    with torch.inference_mode():
        expected_nk = network(torch.from_numpy(recipe.preprocess(data)[None])).numpy()
    np.testing.assert_allclose(found.logits, expected_nk[0], atol=1e-4)
    assert found.map_hw is None
    assert described["explains"] is False
    assert refused.status_code == 404
    assert json.loads(refused.content)["detail"].startswith("model 'flat' has no class-activation")
    assert "gives no class-activation maps" in report.read_text()
