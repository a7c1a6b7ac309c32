"""Nobody without a key or token gets past the head of a request, and each key opens its doors."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from starlette.types import Message, Scope

from lucency.config.serve import Access, Tokens
from lucency.errors import ConfigError
from serve import ingress, keys
from serve.access import KEYS_VARIABLE, Caller, Guard
from serve.classifier import Classifier
from tests.serve.test_ingress import requests


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of keys, not there yet."""
    return tmp_path / "keys.jsonl"


@pytest.fixture
def predicting(file: Path) -> str:
    """A key for films alone."""
    return keys.new(file, "ward-3", ["predict"])


@pytest.fixture
def guarded(classifier: Classifier, file: Path, predicting: str) -> Iterator[TestClient]:
    """HTTP to a service with keys; a body may have 200,000 bytes."""
    app = ingress.create(classifier, max_body_bytes=200_000, guard=Guard(Access(keys=file), {}))

    @app.get("/v1/whoami")
    async def whoami(request: Request) -> str:
        caller: Caller = request.state.caller
        return f"{caller.id} {sorted(caller.roles)}"

    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def bearer(secret: str) -> dict[str, str]:
    """The header that carries a key or token."""
    return {"Authorization": f"Bearer {secret}"}


def test_key_opens_its_door(guarded: TestClient, film: bytes, predicting: str) -> None:
    """With the role for it a film is answered, whichever of the two headers holds the key."""
    ways = [
        bearer(predicting),
        {"X-API-Key": predicting},
        {"authorization": f"bearer {predicting}"},
    ]

    statuses = [guarded.post("/v1/predict", content=film, headers=way).status_code for way in ways]

    assert statuses == [200, 200, 200]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "lk_guess"},
        {"X-API-Key": "lk_\xe4"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer lk_guess"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Basic d2FyZDo="},
    ],
)
def test_stranger_is_sent_away(guarded: TestClient, film: bytes, headers: dict[str, str]) -> None:
    """Without a key that counts the answer is 401 as problem details, and says which scheme."""
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    response = guarded.post("/v1/predict", content=film, headers=sent)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="lucency"'
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 401


def test_two_credentials_are_none(guarded: TestClient, predicting: str) -> None:
    """A request with two keys is nobody's: which of them the audit log names would be chance."""
    sent = {**bearer(predicting), "X-API-Key": predicting}

    assert guarded.get("/v1/model", headers=sent).status_code == 401


@pytest.mark.parametrize(
    ("roles", "path", "status"),
    [
        (["predict"], "/v1/predict", 400),
        (["label"], "/v1/predict", 403),
        (["label"], "/v1/predict%0A", 403),
        (["operate"], "/v1/explain", 403),
        (["predict"], "/v1/labels", 403),
        (["label"], "/v1/labels", 404),
        (["predict", "label"], "/metrics", 403),
        (["operate"], "/metrics", 405),
        (["label"], "/v1/nothing", 404),
    ],
)
def test_role_is_asked_for(
    classifier: Classifier, file: Path, roles: list[str], path: str, status: int
) -> None:
    """A known caller gets through with the role of the path and 403 without it."""
    own = keys.new(file, "other", roles)
    app = ingress.create(classifier, max_body_bytes=1024, guard=Guard(Access(keys=file), {}))

    with TestClient(app) as client:
        response = client.post(path, headers=bearer(own))

    assert response.status_code == status


def test_missing_role_is_named(guarded: TestClient, predicting: str) -> None:
    """403 says which role is missing, in words and as the scope of RFC 6750."""
    response = guarded.post("/v1/labels", headers=bearer(predicting))

    assert (
        response.json()["detail"] == "this path needs the role 'label', the caller has ['predict']"
    )
    assert 'error="insufficient_scope", scope="label"' in response.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_no_key(guarded: TestClient, path: str) -> None:
    """Whoever keeps the service alive need not be told a secret."""
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/v1/model", "/docs", "/openapi.json", "/", "/v1/nothing"])
def test_all_else_is_for_known_callers(guarded: TestClient, predicting: str, path: str) -> None:
    """A path without a role, there or not, is seen by callers with any key and nobody else."""
    assert guarded.get(path).status_code == 401
    assert guarded.get(path, headers=bearer(predicting)).status_code in (200, 404)


def test_caller_is_known_behind_the_guard(guarded: TestClient, predicting: str) -> None:
    """A route finds who calls, by the key's id and with its roles, never the key."""
    answer = guarded.get("/v1/whoami", headers=bearer(predicting)).json()

    assert answer == "key:ward-3 ['predict']"


def test_rate_is_the_keys_own(classifier: Classifier, file: Path) -> None:
    """Over its rate a caller gets 429 and when to come again; another one is not held up."""
    hasty = keys.new(file, "hasty", ["predict"], rate="2/minute")
    calm = keys.new(file, "calm", ["predict"])
    app = ingress.create(classifier, max_body_bytes=1024, guard=Guard(Access(keys=file), {}))

    with TestClient(app) as client:
        answers = [client.get("/v1/model", headers=bearer(hasty)) for _ in range(3)]
        other = client.get("/v1/model", headers=bearer(calm))

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert other.status_code == 200
    last = answers[-1].headers
    assert 0 < int(last["retry-after"]) <= 60
    assert last["ratelimit-policy"] == '"caller";q=2;w=60'
    assert last["ratelimit"] == f'"caller";r=0;t={last["retry-after"]}'


def test_role_is_no_way_round_the_rate(classifier: Classifier, file: Path) -> None:
    """Knocking at doors that stay shut uses up the rate as well."""
    hasty = keys.new(file, "hasty", ["predict"], rate="1/minute")
    app = ingress.create(classifier, max_body_bytes=1024, guard=Guard(Access(keys=file), {}))

    with TestClient(app) as client:
        statuses = [client.get("/metrics", headers=bearer(hasty)).status_code for _ in range(2)]

    assert statuses == [403, 429]


def test_secret_stands_nowhere(
    guarded: TestClient, predicting: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a refusal's text nor any line of the log holds what the caller sent."""
    caplog.set_level(logging.DEBUG)

    answers = [
        guarded.post("/v1/predict", headers=bearer(secret))
        for secret in ("lk_guessed", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", predicting[:-1])
    ]

    for answer in answers:
        assert answer.status_code == 401
        for secret in ("lk_guessed", "eyJ", predicting[:-1]):
            assert secret not in answer.text + str(answer.headers) + caplog.text


def test_refusals_are_counted(
    guarded: TestClient, predicting: str, registry: CollectorRegistry
) -> None:
    """Metrics show who was sent away, without a series for each path that was tried."""
    for number in range(3):
        guarded.get(f"/v1/{number}")
    guarded.get("/metrics", headers=bearer(predicting))

    assert requests(registry) == {("other", "401"): 3, ("other", "403"): 1}


def test_decision_falls_before_the_body(classifier: Classifier, file: Path) -> None:
    """A stranger's body that is too long to throw away is refused without a byte of it."""
    keys.new(file, "ward-3", ["predict"])
    guard = Guard(Access(keys=file), {})
    app = ingress.create(classifier, max_body_bytes=2**40, guard=guard)
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        sent.append(message)

    length = (b"content-length", b"40000000000")
    asyncio.run(app(_scope("http", length), receive, send))

    assert sent[0]["status"] == 401


def test_what_is_no_request_is_shut(classifier: Classifier, file: Path) -> None:
    """A websocket, which no route speaks and nobody would check, is closed at once."""
    keys.new(file, "ward-3", ["predict"])
    guard = Guard(Access(keys=file), {})
    app = ingress.create(classifier, max_body_bytes=1024, guard=guard)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(_scope("websocket"), receive, send))

    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_open_service_asks_nobody(classifier: Classifier, film: bytes) -> None:
    """With access.open a program on this machine needs no key."""
    guard = Guard(Access(open=True), {})
    app = ingress.create(classifier, max_body_bytes=200_000, guard=guard)

    for address in ("http://127.0.0.1:8000", "http://localhost", "http://[::1]:8000"):
        with TestClient(app, base_url=address) as client:
            assert client.post("/v1/predict", content=film).status_code == 200


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("10.0.0.7:8000", {}),
        ("rebound.example", {}),
        ("127.0.0.1.rebound.example", {}),
        ("127.0.0.1:8000", {"sec-fetch-site": "cross-site"}),
    ],
)
def test_open_service_is_for_loopback(
    classifier: Classifier, host: str, headers: dict[str, str]
) -> None:
    """An open service that is reached from elsewhere, or by another site's page, answers 403."""
    guard = Guard(Access(open=True), {})
    app = ingress.create(classifier, max_body_bytes=1024, guard=guard)

    with TestClient(app, base_url=f"http://{host}") as client:
        assert client.get("/v1/model", headers=headers).status_code == 403
        assert client.get("/healthz", headers=headers).status_code == 200


def test_service_without_callers_does_not_start() -> None:
    """Closed is the default: with neither keys, tokens nor the word open nothing begins."""
    with pytest.raises(ConfigError, match="nobody may call: found neither"):
        Guard(Access(), {})


def test_environment_names_the_keys(file: Path, predicting: str) -> None:
    """Where the configuration names no keys, a mounted secret's path does."""
    guard = Guard(Access(), {KEYS_VARIABLE: str(file)})

    scope = _scope("http", (b"x-api-key", predicting.encode()))

    assert asyncio.run(guard.admit(scope)) == Caller("key:ward-3", frozenset({"predict"}))


def test_open_beside_keys_is_refused(file: Path) -> None:
    """Whoever names keys and says open has forgotten one of the two."""
    tokens = Tokens(issuer="i", audience="a", jwks="keys.json")

    for other in ({"keys": file}, {"tokens": tokens}):
        with pytest.raises(ConfigError, match="open is true beside keys or tokens"):
            Access.from_mapping({"open": True, **other}, "access")


def _scope(kind: str, *headers: tuple[bytes, bytes]) -> Scope:
    return {
        "type": kind,
        "method": "POST",
        "path": "/v1/predict",
        "query_string": b"",
        "headers": list(headers),
    }
