"""Sites and views: what a request may say of a film's origin, and what becomes of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.serve import Logs
from serve import ingress
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.origin import NOWHERE, Origin
from serve.problems import BadRequest
from serve.recorder import Recorder
from serve.telemetry import Telemetry
from tests import hostile_dicom

Send = Callable[..., int]


@pytest.fixture(scope="module")
def predictor(bundle: Artifact) -> Predictor:
    """Loaded once."""
    return Predictor(bundle.path)


@pytest.fixture
def send(
    predictor: Predictor, registry: CollectorRegistry, film: bytes, tmp_path: Path
) -> Iterator[Send]:
    """Sends the film to a service that knows two sites and one view; gives the status."""
    telemetry = Telemetry(
        PlainBackend(registry), "v1", sites=("north", "south"), views=("PA", "AP")
    )
    classifier = Classifier(predictor, telemetry, threads=1, drift_window=100)
    recorder = Recorder(classifier, Logs(folder=tmp_path))
    app = ingress.create(classifier, max_body_bytes=200_000, recorder=recorder)
    with TestClient(app) as client:

        def sent(site: str = "", view: str = "", times: int = 1, content: bytes = film) -> int:
            told = {"Lucency-Site": site, "Lucency-View": view}
            headers = {name: value for name, value in told.items() if value}
            for _ in range(times):
                answer = client.post("/v1/predict", content=content, headers=headers)
            assert site == "" or site not in answer.text
            return answer.status_code

        yield sent
    recorder.close()


def windows(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """Films in each drift window as Prometheus sees it."""
    return {
        (sample.labels["site"], sample.labels["view"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "lucency_drift_window_films"
    }


def logged(folder: Path) -> list[tuple[str, str, str]]:
    """Kind, site and view of the lines of the audit log."""
    lines = [
        json.loads(line)
        for path in (folder / "audit").glob("*/*.jsonl")
        for line in path.read_text().splitlines()
    ]
    return [(x["kind"], x["site"], x["view"]) for x in lines if x["kind"] != "begin"]


def test_each_site_and_view_has_a_window_of_its_own(
    send: Send, registry: CollectorRegistry
) -> None:
    """Films count where they come from; a view's letters may be small."""
    send("north", "PA", times=10)
    send("north", "pa", times=10)
    send("south", "AP", times=30)
    send("south", times=10)

    assert windows(registry) == {
        ("north", "PA"): 20,
        ("south", "AP"): 30,
        ("south", "other"): 10,
    }


def test_dicom_names_its_view(send: Send, registry: CollectorRegistry, tmp_path: Path) -> None:
    """Where the request does not; any other word of the header stays there."""
    pixels = np.add.outer(np.arange(90) * 20, np.arange(70) * 13).astype(np.uint16)
    for word in ("AP", "MUSTERMANN"):
        film = hostile_dicom.encode(hostile_dicom.film(pixels, ViewPosition=word))
        send("north", times=10, content=film)
        send("north", "PA", times=10, content=film)

    found = windows(registry)
    assert found == {("north", "AP"): 10, ("north", "PA"): 20, ("north", "other"): 10}
    assert {view for _, _, view in logged(tmp_path)} == {"AP", "PA", ""}


def test_unknown_names_count_as_other(
    send: Send, registry: CollectorRegistry, tmp_path: Path
) -> None:
    """However many names there are, there is one window for them, and no name in the log."""
    found = [send(f"site {number}", f"V{number}") for number in range(40)]

    assert set(found) == {200}
    assert windows(registry) == {("other", "other"): 40}
    assert logged(tmp_path)[7] == ("prediction", "other", "other")


def test_refused_film_has_its_origin_in_the_log(send: Send, tmp_path: Path) -> None:
    """Who sends films that can't be used is a thing to know."""
    assert send("north", "lateral", content=b"no film") == 415

    assert logged(tmp_path) == [("refusal", "north", "other")]


@pytest.mark.parametrize(
    ("site", "view"),
    [("../ward", ""), (" x", ""), ("a" * 65, ""), ("Jörg", ""), ("", "P/A"), ("", "A" * 17)],
)
def test_what_is_no_name_is_refused(
    send: Send, registry: CollectorRegistry, tmp_path: Path, site: str, view: str
) -> None:
    """400 with what is expected; nothing is answered, counted or logged."""
    headers = {"Lucency-Site": site, "Lucency-View": view}
    pairs = [(name.lower().encode(), text.encode("latin-1")) for name, text in headers.items()]

    with pytest.raises(BadRequest, match="expected one that matches") as caught:
        Origin.of({"headers": pairs})

    assert site == "" or site not in str(caught.value)
    if site.strip() == site and site.isascii():
        assert send(site, view) == 400
    assert windows(registry) == {}
    assert not (tmp_path / "audit").exists() or logged(tmp_path) == []


def test_request_that_says_nothing_has_no_origin() -> None:
    """Nor does one whose headers are empty."""
    assert Origin.of({"headers": [(b"host", b"x")]}) == NOWHERE
    assert Origin.of({"headers": [(b"lucency-site", b"")]}) == NOWHERE


@pytest.mark.parametrize("path", ["/v1/predict:batch", "/v2/models/{name}/infer"])
def test_every_way_in_takes_an_origin(
    classifier: Classifier, registry: CollectorRegistry, film: bytes, path: str
) -> None:
    """A form of films and a tensor have headers too, and both are told of in OpenAPI."""
    telemetry = Telemetry(PlainBackend(CollectorRegistry()), "v1", sites=["north"])
    classifier.telemetry = telemetry
    client = TestClient(ingress.create(classifier, max_body_bytes=200_000))
    values = classifier.predictor.decode(film).array_chw
    tensor = {"name": "input", "datatype": "FP32", "shape": [1, *values.shape]}
    body = (
        {"files": [("image", ("0", film))]}
        if "batch" in path
        else {"json": {"inputs": [{**tensor, "data": values.ravel().tolist()}]}}
    )
    route = path.format(name=classifier.predictor.artifact.manifest.name)

    answer = client.post(route, headers={"Lucency-Site": "north"}, **body)
    refused = client.post(route, headers={"Lucency-Site": "?"}, **body)

    assert answer.status_code == 200
    assert refused.status_code == 400
    assert classifier._windows.keys() == {("north", "other")}
    told = client.get("/openapi.json").json()["paths"][path]["post"]["parameters"]
    assert {"Lucency-Site", "Lucency-View"} <= {each["name"] for each in told}
