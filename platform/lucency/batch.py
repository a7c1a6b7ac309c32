"""Predictions over a whole split, on Ray Data, through the one inference path."""

import functools
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data
from ray.data.expressions import col

from lucency import cluster, progress
from lucency.bundle.artifact import Artifact
from lucency.bundle.offered import REFERENCE
from lucency.bundle.predictor import Predictor
from lucency.datasets.table import Table
from lucency.drift.reference import FEATURES

_BATCH = 16
# Films of a task that predicts many versions of each: some seconds of work, so that progress
# shows and a lost task costs little.
_VERSIONS_FILMS = 4
_PREDICTED = ("sha256", "logits", "probabilities", *FEATURES)

# What is asked about a film, encoded, from its own bytes and its digest; sent to Ray's workers.
Versions = Callable[[bytes, str], Iterable[bytes]]


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


def predict_split(bundle: Path, table: Table, split: str, variant: str = REFERENCE) -> Predictions:
    """
    Predict every film of a split.

    Args:
        variant: One that the bundle offers, whether it has passed on test films or not.

    Raises:
        DataError: the table has no such split.
        ArtifactError: the bundle is damaged.
    """
    rows = table.rows(split)
    digest = Artifact.load(bundle).digest  # a damaged bundle speaks here, not inside a worker
    with cluster.connected():
        found = _run(bundle, digest, table, split, variant)
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


def predict_versions(
    bundle: Path,
    table: Table,
    rows: np.ndarray,
    versions: Versions,
    done: Callable[[int], object] = lambda films: None,
) -> np.ndarray:
    """
    Predict several versions of each of some films, as many for each.

    Args:
        rows: Row numbers in the table.
        done: Told of every few films that were finished, how many they were.

    Returns:
        Probabilities, n films in the order of ``rows`` x v versions x classes.

    Raises:
        ArtifactError: the bundle is damaged.
    """
    digest = Artifact.load(bundle).digest
    wanted = table.columns["sha256"][rows]
    found: dict[str, np.ndarray] = {}
    predict: Any = _predict_versions
    with cluster.connected():
        films = _films(table).filter(expr=col("sha256").is_in(wanted.tolist()))
        blocks = films.repartition(math.ceil(len(rows) / _VERSIONS_FILMS))
        predicted = blocks.map_batches(
            predict,
            fn_args=(str(bundle.absolute()), digest, versions),
            batch_size=_VERSIONS_FILMS,
            num_cpus=1,
        )
        for batch in predicted.iter_batches(batch_size=None, batch_format="numpy"):
            found |= zip(batch["sha256"], batch["probabilities"], strict=True)
            done(len(batch["sha256"]))
    return np.stack([found[film] for film in wanted])


def quiet() -> None:
    """Ray Data without its own log and bars: a job shows its own."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False


def _films(table: Table) -> ray.data.Dataset:
    quiet()
    films = ray.data.read_parquet(str(table.path))
    return films.select_columns(["image", "sha256", "split"])


def _run(
    bundle: Path, digest: str, table: Table, split: str, variant: str
) -> dict[str, np.ndarray]:
    cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    chosen = _films(table).filter(expr=col("split") == split).repartition(cpus * 4)
    predict: Any = _predict  # with an argument more than Ray's types know of
    predicted = chosen.map_batches(
        predict,
        fn_args=(str(bundle.absolute()), digest, variant),
        batch_size=_BATCH,
        num_cpus=1,
    )
    parts: dict[str, list[np.ndarray]] = {}
    with progress.meter(f"predictions on {split}", len(table.rows(split)), "films") as bar:
        for batch in predicted.iter_batches(batch_size=None, batch_format="numpy"):
            for name in _PREDICTED:
                parts.setdefault(name, []).append(np.asarray(batch[name]))
            bar.update(len(batch["sha256"]))
    return {name: np.concatenate(found) for name, found in parts.items()}


# Tasks instead of a pool of actors: Ray runs a lost task again, and its processes live on from
# task to task, so each loads a bundle once.
@functools.cache
def loaded(bundle: str, digest: str, variant: str = REFERENCE) -> Predictor:
    """A worker's predictor, loaded once; the digest tells two bundles at one path apart."""
    return Predictor(Path(bundle), variant=variant, proven=False)


def _predict(
    batch: dict[str, np.ndarray], bundle: str, digest: str, variant: str
) -> dict[str, np.ndarray]:
    predictor = loaded(bundle, digest, variant)
    found = predictor.predict([predictor.decode(image["bytes"]) for image in batch["image"]])
    return {
        "sha256": batch["sha256"],
        "logits": np.array([prediction.logits for prediction in found]),
        "probabilities": np.array([prediction.probabilities for prediction in found]),
        **{
            name: np.array([prediction.features[name] for prediction in found]) for name in FEATURES
        },
    }


def _predict_versions(
    batch: dict[str, np.ndarray], bundle: str, digest: str, versions: Versions
) -> dict[str, np.ndarray]:
    predictor = loaded(bundle, digest)
    return {
        "sha256": batch["sha256"],
        "probabilities": np.stack(
            [
                np.array(list(_answers(predictor, versions(image["bytes"], film))))
                for image, film in zip(batch["image"], batch["sha256"], strict=True)
            ]
        ),
    }


def _answers(predictor: Predictor, films: Iterable[bytes]) -> Iterator[tuple[float, ...]]:
    left = iter(films)
    # Not all at once: fifty inputs of a large network would fill a worker's memory.
    while inputs := [predictor.decode(data) for data in itertools.islice(left, _BATCH)]:
        for prediction in predictor.predict(inputs):
            yield prediction.probabilities
