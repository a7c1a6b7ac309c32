"""Both clients against the service itself, on loopback, behind one that fails at first."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.client import (
    Answer,
    AsyncClient,
    Client,
    ServiceRefused,
    ServiceUnreachable,
)
from serve import ingress
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.telemetry import Telemetry
from tests.processes import free_port

Failure = Callable[[Send], Awaitable[None]]


@dataclass
class Service:
    """A service whose next answers a test may spoil, and the heads of what it was asked."""

    app: ASGIApp
    url: str = ""
    spoilt: list[Failure] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        pairs = scope["headers"]
        self.heads.append({name.decode(): value.decode("latin-1") for name, value in pairs})
        if not self.spoilt:
            await self.app(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        await self.spoilt.pop(0)(send)

    @property
    def keys(self) -> list[str | None]:
        """Idempotency keys of all requests."""
        return [head.get("idempotency-key") for head in self.heads]


def status(code: int, **headers: str) -> Failure:
    """An answer without problem details, as a proxy gives it."""

    async def answer(send: Send) -> None:
        raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
        await send({"type": "http.response.start", "status": code, "headers": raw})
        await send({"type": "http.response.body", "body": b"<html>"})

    return answer


async def hang_up(send: Send) -> None:
    """Half of an answer: the server closes the connection."""
    raw = [(b"content-length", b"100")]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


@pytest.fixture(scope="module")
def running(bundle: Artifact) -> Iterator[Service]:
    """The service under uvicorn in a thread."""
    telemetry = Telemetry(PlainBackend(CollectorRegistry()), bundle.version)
    classifier = Classifier(Predictor(bundle.path), telemetry, threads=1, drift_window=100)
    port = free_port()
    app = ingress.create(classifier, max_body_bytes=200_000)
    service = Service(app, f"http://127.0.0.1:{port}")
    config = uvicorn.Config(service, port=port, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield service
    server.should_exit = True
    thread.join()


@pytest.fixture
def service(running: Service) -> Service:
    """Nothing asked yet, nothing spoilt."""
    running.spoilt.clear()
    running.heads.clear()
    return running


def ask(kind: str, url: str, method: str, *given: Any, tries: int = 4, **named: Any) -> Any:
    """One call by either client."""
    if kind == "sync":
        with Client(url, key="secret", tries=tries) as client:
            return getattr(client, method)(*given, **named)

    async def awaited() -> Any:
        async with AsyncClient(url, key="secret", tries=tries) as client:
            return await getattr(client, method)(*given, **named)

    return asyncio.run(awaited())


both = pytest.mark.parametrize("kind", ["sync", "async"])


@both
def test_film_is_answered(
    service: Service, bundle: Artifact, film: bytes, tmp_path: Path, kind: str
) -> None:
    """Bytes and a path get the typed answer of the one inference path."""
    (tmp_path / "film.jpeg").write_bytes(film)

    answer = ask(kind, service.url, "predict", film)

    assert isinstance(answer, Answer)
    assert answer.probability == Predictor(bundle.path).predict_bytes(film).probability
    from_path = ask(kind, service.url, "predict", tmp_path / "film.jpeg", explain=True)
    assert from_path.probability == answer.probability
    assert from_path.picture == ask(kind, service.url, "explain", film)
    assert {head["authorization"] for head in service.heads} == {"Bearer secret"}


@both
def test_origin_is_told(service: Service, film: bytes, kind: str) -> None:
    """Site and view go with every kind of film request, and are left out where not given."""
    for method, what in (("predict", film), ("explain", film), ("predict_batch", [film])):
        ask(kind, service.url, method, what, site="ward 3", view="PA")
    ask(kind, service.url, "predict", film)

    told = [(head.get("lucency-site"), head.get("lucency-view")) for head in service.heads]
    assert told == [("ward 3", "PA")] * 3 + [(None, None)]


@both
def test_batch_and_models_are_typed(
    service: Service, bundle: Artifact, film: bytes, kind: str
) -> None:
    """Every other question has its typed answer too; a file's name is not sent."""
    first, second = ask(kind, service.url, "predict_batch", [film, b"text"])
    (model,) = ask(kind, service.url, "models")

    assert first.answer is not None
    assert second.problem is not None
    assert second.problem.status == 415
    assert model.version == bundle.version
    assert ask(kind, service.url, "model").labels == ("NORMAL", "PNEUMONIA")


@both
@pytest.mark.parametrize(
    "failure", [status(503), status(502), status(500), status(429, retry_after="0"), hang_up]
)
def test_what_may_pass_is_tried_again_under_one_key(
    service: Service, film: bytes, kind: str, failure: Failure
) -> None:
    """After two failures the answer comes, and all three requests had the same key."""
    service.spoilt += [failure, failure]

    answer = ask(kind, service.url, "predict", film)

    assert isinstance(answer, Answer)
    assert len(service.keys) == 3
    assert len(set(service.keys)) == 1
    assert service.keys[0]


@both
def test_new_film_has_a_new_key(service: Service, film: bytes, kind: str) -> None:
    """A key is a request's; a caller's own is taken as it is."""
    for _ in range(2):
        ask(kind, service.url, "predict", film)
    ask(kind, service.url, "predict", film, key="mine")

    first, second, third = service.keys
    assert first != second
    assert third == "mine"


@both
def test_problem_is_raised_at_once_with_its_details(service: Service, kind: str) -> None:
    """A film that can't be used is not sent again; the error has status, reason and words."""
    with pytest.raises(ServiceRefused, match="415 Unsupported Media Type") as caught:
        ask(kind, service.url, "predict", b"text")

    assert (caught.value.status, caught.value.reason) == (415, "unsupported_type")
    assert len(service.heads) == 1


@both
def test_retry_after_is_waited_for(service: Service, film: bytes, kind: str) -> None:
    """The next try comes no sooner than the service asks."""
    service.spoilt.append(status(429, retry_after="1"))
    began = time.monotonic()

    ask(kind, service.url, "predict", film)

    assert time.monotonic() - began >= 1


@both
@pytest.mark.parametrize("failure", [status(501), status(503, retry_after="3600")])
def test_in_vain_is_not_tried(service: Service, film: bytes, kind: str, failure: Failure) -> None:
    """A fault, or a service that is down for an hour, is told at once."""
    service.spoilt.append(failure)

    with pytest.raises(ServiceRefused, match="no problem details"):
        ask(kind, service.url, "predict", film)
    assert len(service.heads) == 1


@both
def test_tries_end(service: Service, film: bytes, kind: str) -> None:
    """After the last try what was found is raised: a refusal, or that nobody answers."""
    service.spoilt += [status(503)] * 2
    with pytest.raises(ServiceRefused, match="503"):
        ask(kind, service.url, "predict", film, tries=2)

    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ServiceUnreachable, match="no answer in 2 tries"):
        ask(kind, nobody, "predict", film, tries=2)


@both
def test_another_service_is_told_from_ours(service: Service, film: bytes, kind: str) -> None:
    """A page that answers 200 is no answer."""
    service.spoilt.append(status(200))

    with pytest.raises(ServiceUnreachable, match="is this the service"):
        ask(kind, service.url, "predict", film)
