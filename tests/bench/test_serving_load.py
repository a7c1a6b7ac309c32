"""The load of the serving benchmark: what goes over the wire, when, and what is counted."""

import itertools
import json
import socket
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.serving_load import Plan, arrivals, encoded, load, percentile

ROOT = Path(__file__).parents[2]


class Server:
    """Remembers bodies and kinds; every third answer is a 503."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        lock, server = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    server.seen.append((self.headers["Content-Type"], body))
                    self.send_response(503 if len(server.seen) % 3 == 0 else 200)
                said = json.dumps({"length": len(body)}).encode()
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, format: str, *args: object) -> None:
                """The test's output is its own."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that answers while the test runs."""
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.http.shutdown()
    thread.join()
    found.http.server_close()


@pytest.fixture
def films(tmp_path: Path) -> list[str]:
    """Two bodies."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 100_000)
    return [str(tmp_path / name) for name in ("a", "b")]


def test_every_request_is_answered_and_counted(server: Server, films: list[str]) -> None:
    """Films go in turn over several connections; what is no 200 is an error by its status."""
    found = load(Plan(server.port, "/", films, requests=12, concurrency=3))

    assert sorted(body[:1] for _, body in server.seen) == [b"a"] * 6 + [b"b"] * 6
    assert {len(body) for _, body in server.seen} == {100_000}
    assert found.errors == {"503": 4}
    assert len(found.latencies_ms) == 8


def test_a_film_may_travel_in_a_form(server: Server, films: list[str]) -> None:
    """As multipart the film is whole, in the field that was named."""
    load(Plan(server.port, "/", films[:1], part="image", requests=1))

    ((kind, body),) = server.seen
    assert kind.startswith("multipart/form-data")
    assert b'name="image"' in body
    assert b"\r\n\r\n" + b"a" * 100_000 + b"\r\n--" in body


def test_a_server_that_is_not_there_is_an_error(films: list[str]) -> None:
    """A refused connection is counted, and does not end the run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    found = load(Plan(port, "/", films, requests=3))

    assert found.errors == {"ConnectionRefusedError": 3}
    assert found.latencies_ms == []


def test_moments_of_an_open_load_have_its_rate() -> None:
    """Waits are exponential: their mean and their deviation are both one over the rate."""
    due = list(arrivals(Plan(0, "/", [], requests=4000, rate=50.0)))

    waits = [later - sooner for sooner, later in itertools.pairwise(due)]
    assert statistics.mean(waits) == pytest.approx(0.02, rel=0.1)
    assert statistics.stdev(waits) == pytest.approx(0.02, rel=0.1)


def test_a_closed_load_waits_for_nothing() -> None:
    """Without a rate every request is due at once."""
    assert list(arrivals(Plan(0, "/", [], requests=3))) == [0, 0, 0]


def test_percentile_is_an_order_statistic() -> None:
    """It is one of the values, the greatest at the end."""
    values = list(range(100, 0, -1))

    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([3.0], 0.99) == 3.0


def test_length_is_of_the_body() -> None:
    """Content-Length counts the form around the film too."""
    head, _, body = encoded(Plan(1, "/x", [], part="image"), b"film").partition(b"\r\n\r\n")

    assert head.startswith(b"POST /x HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")


def test_program_reads_a_plan_and_prints_an_outcome(server: Server, films: list[str]) -> None:
    """A process of its own, without site packages: JSON in, JSON out."""
    plan = {"port": server.port, "path": "/", "films": films, "requests": 3}

    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "bench" / "serving_load.py")],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=True,
    )

    found: dict[str, Any] = json.loads(done.stdout)
    assert json.loads(found["sample"]) == {"length": 100_000}
    assert len(found["latencies_ms"]) == 2
    assert found["errors"] == {"503": 1}
