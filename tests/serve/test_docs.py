"""The document and the page: examples that fit, schemes, and nothing from elsewhere."""

import base64
import hashlib
import re

import pytest
from fastapi.testclient import TestClient

from lucency.bundle.artifact import Artifact
from lucency.config.serve import Access
from serve import docs, ingress
from serve.access import Guard
from serve.classifier import Classifier
from serve.schemas import Answer, Problem, Results


def test_examples_are_what_is_sent(client: TestClient) -> None:
    """Each example can be read as the body that it is an example of."""
    paths = client.get("/openapi.json").json()["paths"]

    one = paths["/v1/predict"]["post"]["responses"]
    many = paths["/v1/predict:batch"]["post"]["responses"]
    Answer.model_validate(one["200"]["content"]["application/json"]["example"])
    Results.model_validate(many["200"]["content"]["application/json"]["example"])
    for status in ("400", "413", "415", "429"):
        problem = one[status]["content"]["application/problem+json"]["example"]
        assert Problem.model_validate(problem).status == int(status)


def test_example_is_of_this_model(bundle: Artifact) -> None:
    """Two labels have a threshold and a positive decision, more have the label's name."""
    three = bundle.model.model_copy(update={"labels": ("a", "b", "c"), "threshold": None})
    other = Artifact(**{**vars(bundle), "model": three})

    assert docs.example(bundle)["decision"] == "positive"
    assert docs.example(other)["decision"] == "c"
    assert sum(docs.example(other)["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize("guarded", [True, False])
def test_schemes_are_said_where_keys_are_asked_for(classifier: Classifier, guarded: bool) -> None:
    """A guarded service names its two schemes on every path but the probes."""
    guard = Guard(Access(open=True)) if guarded else None
    app = ingress.create(classifier, max_body_bytes=1024, guard=guard)

    document = app.openapi()

    assert ("securitySchemes" in document["components"]) is guarded
    if guarded:
        assert document["paths"]["/v1/predict"]["post"]["security"] == [{"key": []}, {"bearer": []}]
        assert document["paths"]["/healthz"]["get"]["security"] == []


def test_every_error_is_told_as_a_problem(client: TestClient) -> None:
    """What FastAPI adds by itself, errors of its own form, is not what is sent."""
    document = client.get("/openapi.json").json()

    found = {
        kind
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if status[0] in "45"
        for kind in answer["content"]
    }
    assert found == {"application/problem+json"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_limits_of_requests_are_told(classifier: Classifier) -> None:
    """A key has a character, a batch has a film and no more than the service takes."""
    app = ingress.create(classifier, max_body_bytes=1024, max_batch_films=3)

    batch = app.openapi()["paths"]["/v1/predict:batch"]["post"]
    form = batch["requestBody"]["content"]["multipart/form-data"]["schema"]
    key = next(each for each in batch["parameters"] if each["name"] == "Idempotency-Key")
    assert (key["schema"]["minLength"], key["schema"]["maxLength"]) == (1, 255)
    assert (form["properties"]["image"]["minItems"], form["properties"]["image"]["maxItems"]) == (
        1,
        3,
    )


def test_page_loads_nothing(client: TestClient) -> None:
    """No script, no picture, no style from elsewhere; its own style is the one its policy names."""
    page = client.get("/docs")

    (style,) = re.findall("<style>(.*?)</style>", page.text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert docs.POLICY in page.headers.get_list("content-security-policy")
    assert f"style-src 'sha256-{digest}'" in docs.POLICY
    assert docs.POLICY.startswith("default-src 'none'")
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", page.text)


def test_page_shows_every_route(client: TestClient) -> None:
    """Method, path and a command stand for each route of the document."""
    text = client.get("/docs").text

    for path in client.get("/openapi.json").json()["paths"]:
        assert f"</b> {path}</h2>" in text
        assert f"curl $URL{path}" in text


def test_page_escapes_what_it_is_told(bundle: Artifact, classifier: Classifier) -> None:
    """A label is a stranger's text."""
    hostile = bundle.model.model_copy(update={"labels": ("<b>", "<script>x</script>")})
    classifier.predictor.artifact = Artifact(**{**vars(bundle), "model": hostile})

    with TestClient(ingress.create(classifier, max_body_bytes=1024)) as client:
        assert "<script>" not in client.get("/docs").text
