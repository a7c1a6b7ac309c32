"""Predictions over a whole split, on Ray Data, through the one inference path."""

import functools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data
from ray.data.expressions import col

from lucency import cluster
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.datasets.table import Table
from lucency.drift.reference import FEATURES

_BATCH = 16


@dataclass(frozen=True)
class Predictions:
    """
    One entry a film, in the table's order.

    Attributes:
        rows: Row numbers in the table.
        logits: n x k; k is 1 for two classes.
        probabilities: n x classes.
        features: Drift features by name, the probability among them.
    """

    rows: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    sites: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    features: dict[str, np.ndarray]


def predict_split(bundle: Path, table: Table, split: str) -> Predictions:
    """
    Predict every film of a split.

    Raises:
        DataError: the table has no such split.
        ArtifactError: the bundle is damaged.
    """
    rows = table.rows(split)
    digest = Artifact.load(bundle).digest  # a damaged bundle speaks here, not inside a worker
    with cluster.connected():
        found = _run(bundle, digest, table, split)
    # Ray Data keeps no order; a film's digest is unique in a table.
    place = {digest: index for index, digest in enumerate(found["sha256"])}
    order = np.array([place[digest] for digest in table.columns["sha256"][rows]])
    features = {name: found[name][order] for name in FEATURES}
    return Predictions(
        rows=rows,
        labels=table.columns["label"][rows],
        patients=table.columns["patient"][rows],
        sites=table.columns["site"][rows],
        logits=found["logits"][order],
        probabilities=found["probabilities"][order],
        features=features,
    )


def _run(bundle: Path, digest: str, table: Table, split: str) -> dict[str, np.ndarray]:
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    films = ray.data.read_parquet(str(table.path)).select_columns(["image", "sha256", "split"])
    chosen = films.filter(expr=col("split") == split).repartition(cpus * 4)
    predict: Any = _predict  # with an argument more than Ray's types know of
    predicted = chosen.map_batches(
        predict, fn_args=(str(bundle.absolute()), digest), batch_size=_BATCH, num_cpus=1
    )
    frame = predicted.to_pandas()
    vectors = ("logits", "probabilities")
    return {
        name: np.stack(list(frame[name])) if name in vectors else frame[name].to_numpy()
        for name in frame.columns
    }


# Tasks instead of a pool of actors: Ray runs a lost task again, and its processes live on from
# task to task, so each loads a bundle once. The digest tells two bundles at one path apart.
@functools.cache
def _predictor(bundle: str, digest: str) -> Predictor:
    return Predictor(Path(bundle))


def _predict(batch: dict[str, np.ndarray], bundle: str, digest: str) -> dict[str, np.ndarray]:
    predictor = _predictor(bundle, digest)
    found = predictor.predict([predictor.decode(image["bytes"]) for image in batch["image"]])
    return {
        "sha256": batch["sha256"],
        "logits": np.array([prediction.logits for prediction in found]),
        "probabilities": np.array([prediction.probabilities for prediction in found]),
        **{
            name: np.array([prediction.features[name] for prediction in found]) for name in FEATURES
        },
    }
