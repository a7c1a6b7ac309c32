"""Heat maps drawn by a deployment of its own: the same picture, or word that there is none."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from ray import serve
from ray.serve.exceptions import BackPressureError

from lucency.bundle.predictor import Predictor
from lucency.config.serve import Explanations, ServeConfig
from lucency.errors import ImageError
from serve import ingress
from serve.app import build
from serve.classifier import Classifier
from serve.explainer import Explainer, drawn_by


@pytest.fixture(scope="module")
def handle() -> Any:
    """A handle on a replica in this process, as Ray Serve makes it for tests."""
    application = serve.deployment(name="explainer")(Explainer).bind(40_000_000)
    return serve.run(application, _local_testing_mode=True)


@pytest.fixture
def client(classifier: Classifier, handle: Any) -> Iterator[TestClient]:
    """A service whose maps are drawn behind the handle."""
    classifier.draw = drawn_by(handle, 10)
    with TestClient(ingress.create(classifier, max_body_bytes=200_000)) as opened:
        yield opened


class Unwilling:
    """A handle whose replicas fail, or never answer."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.draw = self

    async def remote(self, *given: object) -> Any:
        """As ``handle.draw.remote``."""
        if self._error is not None:
            raise self._error
        await asyncio.sleep(60)


def test_picture_is_the_predictors(client: TestClient, predictor: Predictor, film: bytes) -> None:
    """Drawn elsewhere it has the same bytes, by both routes."""
    expected = predictor.overlay(film, predictor.predict_bytes(film))

    assert client.post("/v1/explain", content=film).content == expected
    answer = client.post("/v1/predict?explain=true", content=film)
    assert answer.json()["map_png"] is not None


def test_film_that_only_opens_small_is_refused_as_ever(
    handle: Any, predictor: Predictor, film: bytes
) -> None:
    """An error over there is the film's error here, with its reason."""
    prediction = predictor.predict_bytes(film)

    with pytest.raises(ImageError, match="JPEG") as caught:
        asyncio.run(drawn_by(handle, 10)(b"text", prediction))

    assert caught.value.reason == "unsupported_type"


@pytest.mark.parametrize(
    "error", [BackPressureError(num_queued_requests=9, max_queued_requests=9), None]
)
def test_busy_replicas_are_told_of(
    classifier: Classifier, film: bytes, error: Exception | None
) -> None:
    """Nobody draws it here instead: 503, when to come again, and predictions go on."""
    classifier.draw = drawn_by(Unwilling(error), 0.05)
    client = TestClient(ingress.create(classifier, max_body_bytes=200_000))

    answer = client.post("/v1/explain", content=film)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert "heat map can't be drawn" in answer.json()["detail"]
    assert client.post("/v1/predict", content=film).status_code == 200


def test_replica_that_draws_checks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its health is a film drawn in time; one that hangs is replaced."""
    explainer = Explainer(40_000_000)

    asyncio.run(explainer.check_health())
    monkeypatch.setattr("serve.explainer._HEALTH_TIMEOUT_S", 0.0)
    with pytest.raises(TimeoutError):
        asyncio.run(explainer.check_health())


@pytest.mark.parametrize("explain", [None, Explanations()])
def test_application_has_the_replicas_it_is_told_of(explain: Explanations | None) -> None:
    """One deployment, or two with a scaling of their own."""
    config = ServeConfig(store="nowhere", explain=explain)

    application = build(config)

    bound = application._bound_deployment
    assert bound.name == "classifier"
    assert len(bound.init_args) == (1 if explain is None else 2)
