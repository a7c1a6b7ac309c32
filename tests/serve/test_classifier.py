"""The predictor behind asyncio: same answers, batches, drift, health."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Input, Prediction, Predictor
from lucency.datasets.phantom import Phantom
from lucency.drift.reference import STREAMS
from lucency.errors import ArtifactError, ImageError
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.telemetry import Telemetry


async def classify(classifier: Classifier, film: bytes, times: int) -> None:
    """The same film again and again."""
    for _ in range(times):
        await classifier.classify(film)


def drift(registry: CollectorRegistry, version: str, feature: str) -> float | None:
    """The index of one feature as Prometheus sees it."""
    labels = {"model_version": version, "feature": feature, "stream": STREAMS[feature]}
    labels |= {"site": "other", "view": "other"}
    return registry.get_sample_value("lucency_drift_stability_index", labels)


def golden(bundle: Artifact, folder: Path, entries: list[dict[str, Any]]) -> Classifier:
    """A classifier over a copy of the bundle that has other golden films."""
    shutil.copytree(bundle.path, folder / "bundle")
    added = {artifact.GOLDEN: json.dumps(entries).encode()}
    copied = artifact.with_files(Artifact.load(folder / "bundle"), added)
    telemetry = Telemetry(PlainBackend(CollectorRegistry()), copied.version)
    return Classifier(Predictor(copied.path), telemetry, threads=1, drift_window=100)


def test_answer_is_the_predictors(
    classifier: Classifier, predictor: Predictor, film: bytes
) -> None:
    """Threads and event loop change nothing about an answer, and say where its time went."""
    timed = asyncio.run(classifier.classify(film))

    expected = predictor.predict_bytes(film)
    assert timed.prediction.logits[0] == expected.logits[0]
    assert timed.prediction.features == expected.features
    assert timed.decode_s > 0
    assert timed.infer_s > 0


def test_concurrent_films_are_not_mixed_up(classifier: Classifier, predictor: Predictor) -> None:
    """Films that are asked at once get each their own answer."""
    films = [sample.read() for sample in Phantom(patients=8, size=64, max_films=1)]

    async def together() -> list[float]:
        found = await asyncio.gather(*map(classifier.classify, films))
        return [timed.prediction.logits[0] for timed in found]

    assert asyncio.run(together()) == [predictor.predict_bytes(data).logits[0] for data in films]


def test_unusable_film_is_counted_and_raised(
    classifier: Classifier, registry: CollectorRegistry, bundle: Artifact
) -> None:
    """A refusal has its reason in the metrics and is no prediction."""
    with pytest.raises(ImageError, match="neither JPEG nor PNG"):
        asyncio.run(classifier.classify(b"text"))

    labels = {"model_version": bundle.version, "reason": "unsupported_type"}
    assert registry.get_sample_value("lucency_refusals_total", labels) == 1
    assert registry.get_sample_value("lucency_batch_films_count", labels) is None


def test_inference_may_be_replaced_by_a_batching_one(classifier: Classifier, film: bytes) -> None:
    """Serve puts its batching in front of the graph; the classifier asks that one alone."""
    seen: list[Input] = []

    async def batched(asked: Input) -> Prediction:
        seen.append(asked)
        return (await classifier.run([asked, asked]))[1]

    classifier.infer = batched

    timed = asyncio.run(classifier.classify(film))

    assert len(seen) == 1
    assert timed.prediction.logits[0] == classifier.predictor.predict_bytes(film).logits[0]


def test_runs_of_the_graph_are_counted_by_their_films(
    classifier: Classifier, registry: CollectorRegistry, bundle: Artifact, film: bytes
) -> None:
    """A batch of three is one run of three films."""
    inputs = [classifier.predictor.decode(film)] * 3

    found = asyncio.run(classifier.run(inputs))

    version = {"model_version": bundle.version}
    assert len(found) == 3
    assert registry.get_sample_value("lucency_batch_films_count", version) == 1
    assert registry.get_sample_value("lucency_batch_films_sum", version) == 3


def test_drift_appears_after_a_hundred_films(
    classifier: Classifier, registry: CollectorRegistry, bundle: Artifact, film: bytes
) -> None:
    """The gauges of all features are there from the hundredth film on, and not before."""
    asyncio.run(classify(classifier, film, 99))
    before = [drift(registry, bundle.version, feature) for feature in STREAMS]

    asyncio.run(classify(classifier, film, 1))

    assert before == [None] * len(STREAMS)
    # One film a hundred times is as far from the reference as can be.
    assert all((drift(registry, bundle.version, feature) or 0) > 1 for feature in STREAMS)


def test_drift_is_watched_after_the_window_is_full(
    predictor: Predictor, registry: CollectorRegistry, film: bytes
) -> None:
    """A full window of any size is still looked at: its gauges follow the films."""
    version = predictor.artifact.version
    telemetry = Telemetry(PlainBackend(registry), version)
    classifier = Classifier(predictor, telemetry, threads=1, drift_window=105)
    other = next(iter(Phantom(patients=1, size=64, max_films=1, seed=9))).read()
    asyncio.run(classify(classifier, film, 110))
    before = drift(registry, version, "brightness")

    asyncio.run(classify(classifier, other, 50))

    assert before is not None
    assert drift(registry, version, "brightness") != before


def test_overlay_is_the_predictors(
    classifier: Classifier, predictor: Predictor, film: bytes
) -> None:
    """The picture is drawn off the event loop, and is the same."""
    found = predictor.predict_bytes(film)

    picture = asyncio.run(classifier.overlay(film, found))

    assert picture == predictor.overlay(film, found)


def test_healthy_replica_passes_its_check(classifier: Classifier) -> None:
    """Golden films that give their logits raise nothing."""
    asyncio.run(classifier.check(timeout_s=10.0))


def test_replica_that_answers_otherwise_fails_its_check(bundle: Artifact, tmp_path: Path) -> None:
    """A golden film that gives another logit than at the start is found."""
    exact = bundle.golden[0].model_copy(update={"tolerance": 1e-7})
    classifier = golden(bundle, tmp_path, [exact.model_dump()])
    film = next(iter(Phantom(patients=1, size=64, max_films=1))).read()
    (tmp_path / "bundle" / exact.file).write_bytes(film)

    with pytest.raises(ArtifactError, match="golden film"):
        asyncio.run(classifier.check(timeout_s=10.0))


def test_replica_that_hangs_fails_its_check(bundle: Artifact, tmp_path: Path) -> None:
    """A check that does not end in time raises: a golden list of 500 films takes longer."""
    classifier = golden(bundle, tmp_path, [bundle.golden[0].model_dump()] * 500)

    with pytest.raises(TimeoutError):
        asyncio.run(classifier.check(timeout_s=0.001))
