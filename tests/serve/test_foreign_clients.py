"""Clients of others, unchanged, over HTTP: Triton's, and what KServe's sends."""

import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from prometheus_client import CollectorRegistry
from tritonclient.utils import InferenceServerException

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.serve import Access
from lucency.datasets.phantom import Phantom
from serve import ingress, keys
from serve.access import Guard
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.telemetry import Telemetry
from tests.serve.listening import listening

TEXTS = ("label", "decision", "reason", "warnings", "id")


class Server:
    """Where the service listens, its key, and a client of Triton's."""

    def __init__(self, address: str, key: str) -> None:
        self.address = address
        self.key = key
        self.client = triton.InferenceServerClient(self.address)

    @property
    def headers(self) -> dict[str, str]:
        """A dict of its own for each call: the client writes into it."""
        return {"X-API-Key": self.key}


@pytest.fixture(scope="module")
def server(bundle: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The application behind uvicorn, closed to all but one key."""
    file = tmp_path_factory.mktemp("foreign") / "keys.jsonl"
    key = keys.new(file, "ward-3", ["predict"])
    telemetry = Telemetry(PlainBackend(CollectorRegistry()), bundle.version)
    classifier = Classifier(Predictor(bundle.path), telemetry, threads=1, drift_window=100)
    guard = Guard(Access(keys=file), {})
    app = ingress.create(classifier, max_body_bytes=200_000, guard=guard)
    with listening(app) as address:
        server = Server(address, key)
        try:
            yield server
        finally:
            server.client.close()


@pytest.fixture(scope="module")
def films() -> list[bytes]:
    """Three drawn films, JPEG."""
    return [each.read() for each in Phantom(patients=3, size=64, max_films=1)]


def image(films: list[bytes], shape: list[int]) -> triton.InferInput:
    """Films as a user of the client gives them: nothing said of how they travel."""
    tensor = triton.InferInput("image", shape, "BYTES")
    tensor.set_data_from_numpy(np.array(films, np.object_).reshape(shape))
    return tensor


def prepared(films: list[bytes], predictor: Predictor, *, binary: bool) -> triton.InferInput:
    """The network's own input."""
    array = np.stack([predictor.decode(film).array_chw for film in films])
    tensor = triton.InferInput("input", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_triton_finds_server_and_model(server: Server, bundle: Artifact) -> None:
    """Both are there by the calls that a client begins with; another name or version is not."""
    client, version = server.client, bundle.version

    assert client.is_server_live(headers=server.headers)
    assert client.is_server_ready(headers=server.headers)
    assert client.is_model_ready("test", headers=server.headers)
    assert client.is_model_ready("test", version, headers=server.headers)
    assert not client.is_model_ready("other", headers=server.headers)
    assert not client.is_model_ready("test", "0", headers=server.headers)


def test_triton_learns_what_to_send(server: Server, bundle: Artifact) -> None:
    """The metadata are enough to build a request, and the extension that it relies on is named."""
    described = server.client.get_model_metadata("test", headers=server.headers)

    extensions = server.client.get_server_metadata(headers=server.headers)["extensions"]
    assert extensions == ["binary_tensor_data"]
    assert described["versions"] == [bundle.version]
    assert [each["datatype"] for each in described["inputs"]] == ["BYTES", "FP32"]
    assert {"name": "probability", "datatype": "FP32", "shape": [-1]} in described["outputs"]


@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_triton_sends_films_as_it_is(
    server: Server, films: list[bytes], predictor: Predictor, shape: list[int]
) -> None:
    """Films go out as the client packs them by itself, and every output comes back as an array."""
    expected = [predictor.predict_bytes(film) for film in films]

    found = server.client.infer("test", [image(films, shape)], headers=server.headers)

    assert found.as_numpy("probability") == pytest.approx(
        [each.probability for each in expected], abs=1e-6
    )
    assert found.as_numpy("probabilities").shape == (3, 2)
    assert found.as_numpy("logits").shape == (3, 1)
    assert found.as_numpy("decision").tolist() == [each.decision.encode() for each in expected]
    assert all(found.as_numpy(name).shape == (3,) for name in TEXTS)


@pytest.mark.parametrize("back", [True, False])
@pytest.mark.parametrize("there", [True, False])
def test_triton_sends_numbers_in_either_form(
    server: Server, films: list[bytes], predictor: Predictor, there: bool, back: bool
) -> None:
    """Binary or JSON, there and back, the logits are those of the film."""
    expected = [predictor.predict_bytes(film).logits[0] for film in films]
    wanted = [
        triton.InferRequestedOutput("logits", binary_data=back),
        triton.InferRequestedOutput("decision", binary_data=not back),
    ]

    found = server.client.infer(
        "test",
        [prepared(films, predictor, binary=there)],
        outputs=wanted,
        request_id="7",
        headers=server.headers,
    )

    assert found.get_response()["id"] == "7"
    assert found.as_numpy("logits").ravel() == pytest.approx(expected, abs=1e-5)
    assert len(found.as_numpy("decision")) == 3


def test_triton_asks_without_waiting(server: Server, films: list[bytes]) -> None:
    """Several requests under way at once are each answered with their own film."""
    alone = [
        server.client.infer("test", [image([film], [1])], headers=server.headers) for film in films
    ]

    under_way = [
        server.client.async_infer("test", [image([film], [1])], headers=server.headers)
        for film in films
    ]

    for one, other in zip(alone, (each.get_result() for each in under_way), strict=True):
        assert one.as_numpy("probability") == pytest.approx(other.as_numpy("probability"), abs=1e-6)


def test_triton_may_ask_for_compressed_answers(server: Server, films: list[bytes]) -> None:
    """Who would take a compressed answer reads one that is not."""
    found = server.client.infer(
        "test",
        [image(films, [3])],
        response_compression_algorithm="gzip",
        headers=server.headers,
    )

    assert found.as_numpy("probability").shape == (3,)


@pytest.mark.parametrize(
    ("model", "options", "status", "said"),
    [
        ("other", {}, "404", "the model here is 'test'"),
        ("test", {"model_version": "9"}, "404", "the model here is 'test'"),
        ("test", {"outputs": [triton.InferRequestedOutput("x")]}, "400", "no such output"),
        ("test", {"request_compression_algorithm": "gzip"}, "415", "without compression"),
        ("test", {"headers": {}}, "401", "found 0 credentials"),
    ],
)
def test_triton_tells_its_user_why(
    server: Server,
    films: list[bytes],
    model: str,
    options: dict[str, object],
    status: str,
    said: str,
) -> None:
    """A mistake arrives as the client's own exception, with our status and reason."""
    told = {"headers": server.headers, **options}

    with pytest.raises(InferenceServerException) as caught:
        server.client.infer(model, [image(films, [3])], **told)

    assert caught.value.status() == status
    assert said in caught.value.message()


def test_triton_tells_of_an_unusable_film(server: Server) -> None:
    """So does a film that can't be decoded."""
    with pytest.raises(InferenceServerException, match="neither JPEG nor PNG") as caught:
        server.client.infer("test", [image([b"no film"], [1])], headers=server.headers)

    assert caught.value.status() == "415"


def test_kserve_reads_health_from_the_body(server: Server) -> None:
    """KServe's InferenceRESTClient takes ``live`` and ``ready``, not the status, for the answer."""
    with httpx.Client(base_url=f"http://{server.address}", trust_env=False) as client:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        model = client.get("/v2/models/test/ready", headers=server.headers).json()

    assert model == {"name": "test", "ready": True}


def test_kserve_form_is_answered(server: Server, films: list[bytes], predictor: Predictor) -> None:
    """
    As kserve 0.21 sends films: the model's name in the JSON, application/octet-stream, the JSON's
    length in a header; it asks for nothing, so the outputs come back as JSON.
    """
    content = b"".join(len(film).to_bytes(4, "little") + film for film in films)
    tensor = {
        "name": "image",
        "shape": [3],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(content)},
    }
    head = json.dumps({"id": "a", "model_name": "test", "inputs": [tensor]}).encode()
    headers = {
        **server.headers,
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }

    with httpx.Client(base_url=f"http://{server.address}", trust_env=False) as client:
        answer = client.post("/v2/models/test/infer", content=head + content, headers=headers)

    assert answer.headers["content-type"] == "application/json"
    (found,) = [each for each in answer.json()["outputs"] if each["name"] == "probability"]
    assert found["data"] == pytest.approx(
        [predictor.predict_bytes(film).probability for film in films], abs=1e-6
    )
