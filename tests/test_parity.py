"""One film, one answer: training code, bundle, batch path and HTTP."""

import json
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from ray import serve

from lucency import batch
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.pipeline import Deployment
from lucency.datasets.table import Table
from lucency.models.base import PooledClassifier
from lucency.pipeline.serve import serving
from lucency.store.store import Store
from tests.processes import free_port

PARITY = 1e-4


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_one_film_has_one_probability(
    bundle: Artifact, network: PooledClassifier, table: Table, tmp_path: Path
) -> None:
    """Training code, bundle, batch path and HTTP give the same probability within 1e-4."""
    rows = table.rows("test")[:6]
    films = table.images(rows)
    inputs_nchw = np.stack([bundle.model.preprocess(film) for film in films])
    with torch.inference_mode():
        logits_n = network(torch.from_numpy(inputs_nchw))[:, 0]
    trained = torch.sigmoid(logits_n / bundle.model.temperature).numpy()

    predictor = Predictor(bundle.path)
    bundled = [predictor.predict_bytes(film).probability for film in films]
    batched = batch.predict_split(bundle.path, table, "test").probabilities[:6, 1]
    store = tmp_path / "store"
    Store(store).promote(bundle, "a test of parity")
    with serving(Deployment(port=free_port()), store) as url:
        served = [_ask(url, film) for film in films]
    serve.shutdown()  # the next test in this cluster takes another port

    np.testing.assert_allclose(bundled, trained, atol=PARITY)
    np.testing.assert_allclose(batched, trained, atol=PARITY)
    np.testing.assert_allclose(served, trained, atol=PARITY)


def _ask(url: str, film: bytes) -> float:
    with urllib.request.urlopen(f"{url}/v1/predict", film, timeout=30) as response:
        return float(json.load(response)["probability"])
