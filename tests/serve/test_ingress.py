"""The HTTP surface: every route, every way to send a film, what OpenAPI says of it."""

import asyncio
import io
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from fastapi.openapi.models import OpenAPI
from fastapi.testclient import TestClient
from PIL import Image
from prometheus_client import CollectorRegistry
from starlette.types import Message

from lucency import images
from lucency.bundle import artifact, export
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Input, Prediction, Predictor
from lucency.config.train import Recipe
from lucency.evaluation.conformal import Conformal
from lucency.models.base import architectures
from serve import ingress
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.schemas import Answer, Results
from serve.telemetry import Telemetry
from tests import hostile_dicom

VERSIONS = ("", "/versions/{version}")
TAILS = ("", "/ready", "/infer")
CLASSES = ("bee", "кот", "猫\nor not")


def requests(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """Number of requests counted, by route and status."""
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "lucency_request_seconds_count"
    }


@pytest.mark.parametrize("way", ["raw", "typed", "chunked", "form", "shouted form"])
def test_answer_is_the_predictors(
    client: TestClient, predictor: Predictor, film: bytes, way: str
) -> None:
    """However a film is sent, its probability and decision are those of the one inference path."""
    expected = predictor.predict_bytes(film)
    sent: dict[str, dict[str, Any]] = {
        "raw": {"content": film},
        "typed": {"content": film, "headers": {"content-type": "image/jpeg"}},
        "chunked": {"content": [film[:100], film[100:]]},
        "form": {"files": {"image": ("film.jpeg", film, "image/jpeg")}},
        "shouted form": {
            "content": b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
            + film
            + b"\r\n--x--\r\n",
            "headers": {"content-type": "Multipart/Form-Data; boundary=x"},
        },
    }

    response = client.post("/v1/predict", **sent[way])

    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["probability"] == expected.probability
    assert (answer["label"], answer["decision"]) == (expected.label, expected.decision)
    assert (answer["reason"], answer["labels"]) == (expected.reason, list(expected.labels))


def test_answer_says_which_model_and_how_long(
    client: TestClient, bundle: Artifact, film: bytes
) -> None:
    """Version, threshold and timings come with every probability, and an id of its own."""
    first, second = (client.post("/v1/predict", content=film).json() for _ in range(2))

    assert first["model"] == {"name": "test", "version": bundle.version}
    assert first["threshold"] == bundle.model.threshold
    assert first["probabilities"] == {
        "NORMAL": pytest.approx(1 - first["probability"]),
        "PNEUMONIA": first["probability"],
    }
    assert first["timings_ms"]["total"] >= first["timings_ms"]["infer"] > 0
    assert first["id"] != second["id"]


def test_explanation_is_the_predictors_picture(
    client: TestClient, predictor: Predictor, film: bytes
) -> None:
    """A PNG of the film's size comes back, with the answer in its headers."""
    found = predictor.predict_bytes(film)

    response = client.post("/v1/explain", content=film)

    assert response.headers["content-type"] == "image/png"
    assert response.content == predictor.overlay(film, found)
    with Image.open(io.BytesIO(response.content)) as opened:
        assert opened.size == (96, 96)
    assert response.headers["lucency-decision"] == found.decision
    assert response.headers["lucency-probability"] == f"{found.probability:.6f}"


def test_model_without_evidence_is_described(client: TestClient, bundle: Artifact) -> None:
    """What is in force can be read, and that nothing was proven of it."""
    described = client.get("/v1/model").json()

    assert described["model"]["version"] == bundle.version
    assert described["labels"] == ["NORMAL", "PNEUMONIA"]
    assert described["input_size"] == 32
    assert described["explains"] is True
    assert (described["drawn_films"], described["metrics"]) == (None, None)


def test_evidence_of_drawn_films_is_said(bundle: Artifact, tmp_path: Path) -> None:
    """Figures of phantom films are never shown without the word that they are drawn."""
    shutil.copytree(bundle.path, tmp_path / "bundle")
    evidence = {"data": {"drawn": True}, "metrics": {"ppv": {"value": 0.9, "lower": None}}}
    added = {artifact.EVIDENCE: json.dumps(evidence).encode()}
    proven = artifact.with_files(Artifact.load(tmp_path / "bundle"), added)
    telemetry = Telemetry(PlainBackend(CollectorRegistry()), proven.version)
    classifier = Classifier(Predictor(proven.path), telemetry, threads=1, drift_window=100)

    with TestClient(ingress.create(classifier, max_body_bytes=1024)) as client:
        described = client.get("/v1/model").json()

    assert described["drawn_films"] is True
    assert described["metrics"] == evidence["metrics"]


def of_three(bundle: Artifact, recipe: Recipe, folder: Path, model: str) -> TestClient:
    """HTTP to an untrained network of three classes, whose names no header can hold as they are."""
    options = architectures.options(model)(name=model)
    network = architectures.build(options, in_channels=1, outputs=3, side=32).eval()
    sets = Conformal(coverage=0.95, least=(0.2,) * 3)
    card = bundle.model.model_copy(update={"labels": CLASSES, "threshold": None, "conformal": sets})
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    added = {
        artifact.GRAPH: export.to_onnx(network, recipe),
        artifact.MODEL: card.model_dump_json().encode(),
        artifact.GOLDEN: b"[]",
    }
    origin = bundle.manifest.model_dump(exclude={"format", "created", "files"})
    written = artifact.write(folder / "bundle", {**contents, **added}, **origin)
    telemetry = Telemetry(PlainBackend(CollectorRegistry()), written.version)
    classifier = Classifier(Predictor(written.path), telemetry, threads=1, drift_window=100)
    return TestClient(ingress.create(classifier, max_body_bytes=200_000))


def test_three_classes_are_answered(
    bundle: Artifact, recipe: Recipe, tmp_path: Path, film: bytes
) -> None:
    """Every label has its probability; the threshold is null; headers hold any class name."""
    with of_three(bundle, recipe, tmp_path, "small") as client:
        answer = client.post("/v1/predict", content=film).json()
        explained = client.post("/v1/explain", content=film)
        described = client.get("/v1/model").json()

    assert answer["probabilities"].keys() == set(CLASSES)
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answer["probability"] == answer["probabilities"][answer["label"]]
    assert (answer["threshold"], described["threshold"]) == (None, None)
    assert described["labels"] == list(CLASSES)
    assert explained.status_code == 200, explained.text
    assert unquote(explained.headers["lucency-decision"]) == answer["decision"]


def test_bundle_without_maps_has_nothing_to_explain(
    bundle: Artifact, recipe: Recipe, tmp_path: Path, film: bytes
) -> None:
    """Its films are answered; asked for a map it says 404 and why, and the model tells before."""
    with of_three(bundle, recipe, tmp_path, "mnist_torch_cnn") as client:
        answered = client.post("/v1/predict", content=film)
        refused = client.post("/v1/explain", content=film)
        described = client.get("/v1/model").json()

    assert answered.status_code == 200
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "model 'test' has no class-activation map: its head is not a pooled one",
    }
    assert described["explains"] is False


def test_map_comes_with_the_answer(client: TestClient, film: bytes) -> None:
    """With explain=true the answer holds the picture of /v1/explain, else none."""
    plain = Answer.model_validate_json(client.post("/v1/predict", content=film).content)
    mapped = Answer.model_validate_json(
        client.post("/v1/predict", params={"explain": "true"}, content=film).content
    )

    assert plain.picture is None
    assert mapped.picture == client.post("/v1/explain", content=film).content
    assert mapped.probability == plain.probability


def test_dicom_is_answered_and_explained(client: TestClient, predictor: Predictor) -> None:
    """A DICOM film goes every way that a JPEG goes; its picture has the film's own size."""
    data = hostile_dicom.encode(hostile_dicom.film())

    answered = client.post("/v1/predict", content=data).json()
    explained = client.post("/v1/explain", content=data)

    assert answered["probability"] == predictor.predict_bytes(data).probability
    assert "too_small" not in answered["warnings"]
    with Image.open(io.BytesIO(explained.content)) as opened:
        assert opened.size == (hostile_dicom.WIDTH, hostile_dicom.HEIGHT)


def test_warnings_come_with_the_answer(client: TestClient) -> None:
    """A film that shows nothing is answered, and said to be blank."""
    blank = images.encode_png(np.full((40, 40), 90, np.uint8))

    response = client.post("/v1/predict", content=blank)

    assert (response.status_code, response.json()["warnings"]) == (200, ["blank"])


def parts(*films: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    """Films as the parts of a form."""
    return [("image", (f"{number}.jpeg", film)) for number, film in enumerate(films)]


def test_batch_has_an_answer_or_a_problem_for_each(
    client: TestClient, predictor: Predictor, film: bytes
) -> None:
    """One film that can't be used costs the others nothing; the order is that of the parts."""
    other = images.encode_png(np.arange(40 * 40, dtype=np.uint8).reshape(40, 40))

    response = client.post("/v1/predict:batch", files=parts(film, b"text", other))

    first, second, third = Results.model_validate_json(response.content).results
    assert (first.index, second.index, third.index) == (0, 1, 2)
    assert first.answer is not None
    assert third.answer is not None
    assert first.answer.probability == predictor.predict_bytes(film).probability
    assert third.answer.probability == predictor.predict_bytes(other).probability
    assert second.answer is None
    assert second.problem is not None
    assert (second.problem.status, second.problem.type) == (415, "urn:lucency:unsupported_type")


def test_films_of_a_batch_share_runs(classifier: Classifier, film: bytes) -> None:
    """All films of a request wait at once, so that whoever batches can take them together."""
    waiting, most = 0, 0

    async def patient(prepared: Input) -> Prediction:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        while most < 4:
            await asyncio.sleep(0.001)
        waiting -= 1
        return (await classifier.run([prepared]))[0]

    classifier.infer = patient
    with TestClient(ingress.create(classifier, max_body_bytes=200_000)) as client:
        response = client.post("/v1/predict:batch", files=parts(*[film] * 4))

    assert response.status_code == 200
    assert most == 4


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"files": parts(*[b"x"] * 3)}, 400, "Too many files"),
        ({"files": {"other": b"Doe^Jane"}}, 400, "no file in field 'image'"),
        ({"data": {"Doe^Jane": "Doe^Jane"}, "files": {"Doe^Jane": b""}}, 400, "no file"),
        ({"content": b"\xff\xd8\xff"}, 400, "multipart/form-data"),
        ({"files": parts(bytes(6000), bytes(6000))}, 413, "limit is 10000"),
    ],
)
def test_batch_has_limits(
    classifier: Classifier, sent: dict[str, Any], status: int, said: str
) -> None:
    """Films and bytes of one request are bounded, and refusals repeat nothing of a form."""
    app = ingress.create(classifier, max_body_bytes=10_000, max_batch_films=2)

    with TestClient(app) as client:
        response = client.post("/v1/predict:batch", **sent)

    assert response.status_code == status
    assert said in response.json()["detail"]
    assert "Doe" not in response.text


def test_form_does_not_touch_a_disk(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film of more than a megabyte, where the library would make a file, stays in memory."""

    def rollover(self: object) -> None:
        raise AssertionError("a film went to a file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    app = ingress.create(classifier, max_body_bytes=4 * 2**20)

    with TestClient(app) as larger:
        response = larger.post("/v1/predict", files={"image": bytes(3 * 2**20)})

    assert response.status_code == 415


def test_models_are_listed(client: TestClient, bundle: Artifact) -> None:
    """The list has the model in force, by name and version."""
    assert client.get("/v1/models").json() == {
        "models": [{"name": "test", "version": bundle.version}]
    }


def test_metrics_are_shown_where_this_process_has_them(
    classifier: Classifier, registry: CollectorRegistry, film: bytes
) -> None:
    """With a registry it is Prometheus' text, without it the words where to look."""
    with TestClient(ingress.create(classifier, max_body_bytes=200_000, registry=registry)) as own:
        own.post("/v1/predict", content=film)
        shown = own.get("/metrics")
    with TestClient(ingress.create(classifier, max_body_bytes=1024)) as inside_ray:
        refused = inside_ray.get("/metrics")

    assert shown.headers["content-type"].startswith("text/plain")
    assert 'lucency_request_seconds_count{model_version="' in shown.text
    assert refused.status_code == 404
    assert "--metrics-export-port" in refused.json()["detail"]


@pytest.mark.parametrize(("path", "status"), [("/healthz", "ok"), ("/readyz", "ready")])
def test_probes_answer(client: TestClient, path: str, status: str) -> None:
    """Liveness and readiness are two routes with a body each."""
    response = client.get(path)

    assert (response.status_code, response.json()) == (200, {"status": status})


def test_openapi_is_valid(client: TestClient) -> None:
    """The document is OpenAPI 3.1 by FastAPI's model of it, and every reference leads somewhere."""
    text = client.get("/openapi.json").text

    document = OpenAPI.model_validate_json(text)

    assert document.openapi.startswith("3.1")
    assert set(document.paths or {}) == {
        "/v1/predict",
        "/v1/predict:batch",
        "/v1/explain",
        "/v1/models",
        "/v1/model",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        *(f"/v2/models/{{name}}{version}{tail}" for version in VERSIONS for tail in TAILS),
    }
    for reference in _references(json.loads(text)):
        here = json.loads(text)
        for part in reference.removeprefix("#/").split("/"):
            here = here[part]


def test_openapi_says_the_media_types_that_are_sent(client: TestClient) -> None:
    """Films go in as JPEG, PNG, DICOM or form; pictures and problems have their own types."""
    paths = client.get("/openapi.json").json()["paths"]

    predict, explain = (paths[path]["post"] for path in ("/v1/predict", "/v1/explain"))

    assert list(predict["requestBody"]["content"]) == [
        "image/jpeg",
        "image/png",
        "application/dicom",
        "multipart/form-data",
    ]
    assert list(explain["responses"]["200"]["content"]) == ["image/png"]
    assert "404" in explain["responses"]
    assert "404" not in predict["responses"]
    for status in ("400", "413", "415", "422"):
        (content,) = predict["responses"][status]["content"].items()
        assert content[0] == "application/problem+json"
        assert set(content[1]["schema"]["properties"]) == {"type", "title", "status", "detail"}


@pytest.mark.parametrize("path", ["/healthz", "/v1/nothing", "/v1/predict"])
def test_every_answer_carries_the_headers(client: TestClient, path: str) -> None:
    """No answer is stored by a proxy or guessed at by a browser, refusals included."""
    answers = [client.get(path), client.post(path, content=bytes(200_001))]

    for response in answers:
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"


def test_requests_are_counted_by_route_and_status(
    client: TestClient, registry: CollectorRegistry, film: bytes
) -> None:
    """Answers, refusals and wrong methods have series of their own."""
    client.post("/v1/predict", content=film)
    client.post("/v1/predict", content=b"text")
    client.get("/v1/predict")
    client.get("/healthz")

    assert requests(registry) == {
        ("/v1/predict", "200"): 1,
        ("/v1/predict", "415"): 1,
        ("/v1/predict", "405"): 1,
        ("/healthz", "200"): 1,
    }


def test_scanner_makes_no_new_series(client: TestClient, registry: CollectorRegistry) -> None:
    """Paths that nobody serves are one route, however many are tried."""
    for number in range(20):
        client.get(f"/wp-admin/{number}.php")

    assert requests(registry) == {("other", "404"): 20}


@pytest.mark.parametrize("declared", [True, False])
def test_oversized_body_is_counted(
    client: TestClient, registry: CollectorRegistry, declared: bool
) -> None:
    """A body over the limit is seen in the metrics, whether its length was declared or found."""
    client.post("/v1/predict", content=bytes(200_001) if declared else [bytes(200_001)])

    assert sum(requests(registry).values()) == 1
    assert {status for _, status in requests(registry)} == {"413"}


def test_reading_stops_at_the_limit(classifier: Classifier) -> None:
    """Of an endless body without a declared length no more than four limits are read."""
    app = ingress.create(classifier, max_body_bytes=10_000)
    read: list[int] = []

    def endless() -> Iterator[Message]:
        while True:
            read.append(1000)
            yield {"type": "http.request", "body": bytes(1000), "more_body": True}

    status = asyncio.run(_ask(app, endless()))

    assert status == 413
    assert sum(read) == 41_000


def test_declared_length_is_judged_before_reading(classifier: Classifier) -> None:
    """A body that says it is much too long is refused without a byte of it."""
    app = ingress.create(classifier, max_body_bytes=10_000)
    nothing: Iterator[Message] = iter([])

    status = asyncio.run(_ask(app, nothing, (b"content-length", b"40001")))

    assert status == 413


@pytest.mark.parametrize("kind", [b"image/jpeg", b"multipart/form-data; boundary=x"])
def test_client_that_hangs_up_is_no_fault_of_ours(
    classifier: Classifier, registry: CollectorRegistry, kind: bytes
) -> None:
    """A connection that ends inside the body does not count as a failure of the service."""
    app = ingress.create(classifier, max_body_bytes=10_000)
    messages: list[Message] = [
        {"type": "http.request", "body": b"--x\r\n", "more_body": True},
        {"type": "http.disconnect"},
    ]

    asyncio.run(_ask(app, iter(messages), (b"content-type", kind)))

    assert requests(registry) == {("/v1/predict", "400"): 1}


async def _ask(app: Any, messages: Iterator[Message], *headers: tuple[bytes, bytes]) -> int:
    """Status of a POST to /v1/predict, sent message by message as a server would."""
    statuses: list[int] = []

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/predict",
        "query_string": b"",
        "headers": list(headers),
    }
    await app(scope, receive, send)
    return statuses[0]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
