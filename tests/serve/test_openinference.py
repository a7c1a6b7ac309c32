"""The Open Inference Protocol: requests byte for byte as tritonclient and KServe's client send."""

import base64
import json
import struct
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.datasets.phantom import Phantom

URL = "/v2/models/test/infer"


def films(count: int) -> list[bytes]:
    """Drawn films, JPEG."""
    return [each.read() for each in Phantom(patients=count, size=64, max_films=1)]


def elements(values: list[bytes]) -> bytes:
    """A BYTES tensor as the binary extension has it."""
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def binary(
    client: TestClient, tensor: dict[str, Any], content: bytes, **more: Any
) -> httpx2.Response:
    """
    A request as tritonclient makes it: JSON, the tensor's bytes behind it, the JSON's length.

    Without a list of outputs it asks for all of them as bytes.
    """
    asked = {"binary_data_output": True} if "outputs" not in more else {}
    sized = {**tensor, "parameters": {"binary_data_size": len(content)}}
    head = json.dumps({"inputs": [sized], "parameters": asked, **more}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return client.post(URL, content=head + content, headers=headers)


def opened(response: httpx2.Response) -> dict[str, Any]:
    """The outputs of a binary answer as tritonclient's as_numpy gives them."""
    assert response.status_code == 200, response.text
    end = int(response.headers["inference-header-content-length"])
    found: dict[str, Any] = {}
    place = end
    for output in json.loads(response.content[:end])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        content, place = response.content[place : place + size], place + size
        if output["datatype"] == "FP32":
            found[output["name"]] = np.frombuffer(content, "<f4").reshape(output["shape"])
            continue
        texts = []
        while content:
            (length,) = struct.unpack_from("<I", content)
            texts.append(content[4 : 4 + length].decode())
            content = content[4 + length :]
        found[output["name"]] = texts
    assert place == len(response.content)
    return found


@pytest.mark.parametrize("shape", [[3], [3, 1], [1, 3]])
def test_films_in_binary_are_answered(
    client: TestClient, predictor: Predictor, shape: list[int]
) -> None:
    """Encoded films get the answers of the one inference path, in their order."""
    sent = films(3)
    expected = [predictor.predict_bytes(film) for film in sent]
    tensor = {"name": "image", "datatype": "BYTES", "shape": shape}

    found = opened(binary(client, tensor, elements(sent)))

    assert found["probability"] == pytest.approx([each.probability for each in expected], abs=1e-6)
    assert found["logits"].ravel() == pytest.approx([e.logits[0] for e in expected], abs=1e-5)
    assert found["probabilities"].shape == (3, 2)
    assert found["decision"] == [each.decision for each in expected]
    assert found["warnings"] == [",".join(each.warnings) for each in expected]
    assert len(set(found["id"])) == 3


def test_films_in_json_are_base64(client: TestClient, predictor: Predictor, film: bytes) -> None:
    """Without the binary extension a film is base64, and the answer is JSON alone."""
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
    data = [base64.b64encode(film).decode()]

    response = client.post(URL, json={"id": "7", "inputs": [{**tensor, "data": data}]})

    found = response.json()
    assert found["id"] == "7"
    outputs = {output["name"]: output["data"] for output in found["outputs"]}
    assert outputs["probability"] == [
        pytest.approx(predictor.predict_bytes(film).probability, abs=1e-6)
    ]
    assert "inference-header-content-length" not in response.headers


@pytest.mark.parametrize("as_bytes", [True, False])
def test_prepared_input_skips_decoding(
    client: TestClient, predictor: Predictor, as_bytes: bool
) -> None:
    """The network's own input, in either form, has the logits of the film it was made of."""
    inputs = np.stack([predictor.decode(film).array_chw for film in films(2)])
    tensor = {"name": "input", "datatype": "FP32", "shape": list(inputs.shape)}
    expected = [predictor.predict_bytes(film).logits[0] for film in films(2)]

    if as_bytes:
        found = opened(binary(client, tensor, inputs.tobytes()))["logits"].ravel()
    else:
        body = {"inputs": [{**tensor, "data": inputs.tolist()}], "outputs": [{"name": "logits"}]}
        (output,) = client.post(URL, json=body).json()["outputs"]
        found = np.array(output["data"])

    assert found == pytest.approx(expected, abs=1e-5)


def test_outputs_are_those_asked_for(client: TestClient, film: bytes) -> None:
    """Each output comes alone, as bytes or as JSON, as its own parameter says."""
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
    wanted = [
        {"name": "decision", "parameters": {"binary_data": False}},
        {"name": "probability", "parameters": {"binary_data": True}},
    ]

    response = binary(client, tensor, elements([film]), outputs=wanted)

    head = json.loads(response.content[: int(response.headers["inference-header-content-length"])])
    first, second = head["outputs"]
    assert (first["name"], len(first["data"])) == ("decision", 1)
    assert second["parameters"] == {"binary_data_size": 4}


def test_metadata_describes_what_is_taken(client: TestClient, bundle: Artifact) -> None:
    """A client learns names, types and shapes, under the model's name with and without version."""
    plain = client.get("/v2/models/test").json()

    assert client.get(f"/v2/models/test/versions/{bundle.version}").json() == plain
    assert plain["versions"] == [bundle.version]
    assert plain["inputs"] == [
        {"name": "image", "datatype": "BYTES", "shape": [-1]},
        {"name": "input", "datatype": "FP32", "shape": [-1, 1, 32, 32]},
    ]
    assert {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]} in plain["outputs"]
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/models/test/ready"])
def test_health_is_a_status(client: TestClient, path: str) -> None:
    """Server and model say by 200 that they are there."""
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/test/versions/0"])
@pytest.mark.parametrize("tail", ["", "/ready", "/infer"])
def test_other_models_are_not_here(client: TestClient, path: str, tail: str) -> None:
    """Another name or version is 404, with the error in the member that clients read."""
    response = client.request("POST" if tail == "/infer" else "GET", path + tail)

    assert response.status_code == 404
    assert response.json()["error"] == response.json()["detail"]
    assert "'test'" in response.json()["error"]


def _tensor(**changed: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["AAAA"], **changed}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"inputs": []}', "inputs"),
        ({"inputs": [_tensor(), _tensor()]}, "inputs"),
        ({"inputs": [_tensor(shape=[0])]}, "0 films"),
        ({"inputs": [_tensor(shape=[-1, -1])]}, "0 films"),
        ({"inputs": [_tensor(shape=[10**18, 10**18])]}, "expected 1 to 16"),
        ({"inputs": [_tensor(shape=[2])]}, "promises 2 films, found 1"),
        ({"inputs": [_tensor(data=["Doe^Jane"])]}, "base64"),
        ({"inputs": [_tensor(data=[1])]}, "base64"),
        ({"inputs": [_tensor(name="picture")]}, "`image`"),
        ({"inputs": [_tensor(datatype="FP32")]}, "`image`"),
        ({"inputs": [_tensor(parameters={"binary_data_size": 9})]}, "0 bytes follow"),
        ({"inputs": [_tensor(name="input", datatype="FP32")]}, "expected ['n', 1, 32, 32]"),
        (
            {"inputs": [_tensor(name="input", datatype="FP32", shape=[1, 1, 32, 32])]},
            "no number",
        ),
        (
            {"inputs": [_tensor(name="input", datatype="FP32", shape=[1, 1, 32, 32], data=[1])]},
            "does not fit 1 values",
        ),
    ],
)
def test_wrong_requests_are_told_why(client: TestClient, body: Any, said: str) -> None:
    """What can't be understood is 400 with a reason, which repeats nothing of the film."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    response = client.post(URL, content=content)

    assert response.status_code == 400
    assert said in response.json()["error"]
    assert "Doe" not in response.text


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 3.0])
def test_input_holds_what_a_film_can_give(
    client: TestClient, predictor: Predictor, film: bytes, value: float
) -> None:
    """A network is not asked about numbers that no preprocessing gives."""
    array = predictor.decode(film).array_chw[None].copy()
    array[0, 0, 5, 5] = value
    tensor = {"name": "input", "datatype": "FP32", "shape": list(array.shape)}

    response = binary(client, tensor, array.tobytes())

    assert response.status_code == 400
    assert "finite numbers from -2 to 2" in response.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "10000000", "\xb2"])
def test_length_of_the_json_is_checked(client: TestClient, length: str) -> None:
    """A length that is none, or longer than the body, is 400."""
    headers = {b"Inference-Header-Content-Length": length.encode()}

    assert client.post(URL, content=b"{}", headers=headers).status_code == 400


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\x05\0\0\0", b"\x05"])
def test_element_longer_than_its_tensor_is_refused(client: TestClient, size: bytes) -> None:
    """Lengths inside of the tensor are not believed."""
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}

    assert binary(client, tensor, size + b"abc").status_code == 400


def test_unusable_film_is_its_problem(client: TestClient) -> None:
    """A film that can't be decoded fails the request with its own status."""
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}

    response = binary(client, tensor, elements([b"no film"]))

    assert response.status_code == 415
    assert response.json()["type"] == "urn:lucency:unsupported_type"
