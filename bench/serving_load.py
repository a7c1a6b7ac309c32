"""
The load of ``serving.py``, in a process of its own: blocking sockets, requests written beforehand.

    echo '{"port": 8000, "path": "/v1/predict", "films": ["a.jpeg"], ...}' | python serving_load.py

A client library would cost more than a small network's inference and steal the server's cores.
Keys of the plan are the fields of ``Plan``; what comes out is one line of JSON.
"""

import itertools
import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TIMEOUT_S = 60.0
_BOUNDARY = "lucency-bench"


@dataclass(frozen=True)
class Plan:
    """
    What is sent.

    Attributes:
        films: Files, sent in turn.
        part: Field of a form that holds the film; empty sends it raw.
        requests: In all.
        concurrency: Connections, each with one request at a time.
        rate: Requests a second at random moments (Poisson), whatever the answers take; 0 sends the
            next one when the last is answered.
    """

    port: int
    path: str
    films: list[str]
    headers: dict[str, str] = field(default_factory=dict)
    part: str = ""
    requests: int = 100
    concurrency: int = 1
    rate: float = 0.0
    seed: int = 0


@dataclass
class Outcome:
    """
    What came of it.

    Attributes:
        latencies_ms: Of answers with status 200; from the moment at which a request was due.
        errors: Status, or the name of a socket's error, and how many.
        sample: The answer to the first request.
    """

    wall_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    sample: str = ""


def encoded(plan: Plan, film: bytes) -> bytes:
    """One request as it goes over the wire."""
    headers = {"Host": f"127.0.0.1:{plan.port}", "Content-Type": "image/jpeg", **plan.headers}
    if plan.part:
        opening = (
            f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
            f'name="{plan.part}"; filename="film.jpeg"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        film = opening.encode() + film + f"\r\n--{_BOUNDARY}--\r\n".encode()
        headers["Content-Type"] = f"multipart/form-data; boundary={_BOUNDARY}"
    headers["Content-Length"] = str(len(film))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {plan.path} HTTP/1.1\r\n{head}\r\n".encode() + film


def arrivals(plan: Plan) -> Iterator[float]:
    """When each request is due, in seconds from the start."""
    if not plan.rate:
        return itertools.repeat(0.0, plan.requests)
    chance = random.Random(plan.seed)
    waits = (chance.expovariate(plan.rate) for _ in range(plan.requests))
    return itertools.accumulate(waits)


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of one answer; only such as say their length."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _received(connection)
    status, *headers = data[:end].decode("latin-1").lower().split("\r\n")
    length = int(dict(line.split(": ", 1) for line in headers)["content-length"])
    body = data[end + 4 :]
    while len(body) < length:
        body += _received(connection)
    return int(status.split()[1]), body


def load(plan: Plan) -> Outcome:
    """Send all of it."""
    requests = [encoded(plan, Path(film).read_bytes()) for film in plan.films]
    due, lock = iter(enumerate(arrivals(plan))), threading.Lock()
    outcome, began = Outcome(), time.perf_counter()

    def work() -> None:
        connection: socket.socket | None = None
        while True:
            with lock:
                number, at = next(due, (-1, 0.0))
            if number < 0:
                break
            time.sleep(max(0.0, began + at - time.perf_counter()))
            sent = began + at if plan.rate else time.perf_counter()
            try:
                connection = connection or _connected(plan.port)
                connection.sendall(requests[number % len(requests)])
                status, body = answer(connection)
            except OSError as error:
                outcome.errors[type(error).__name__] += 1
                connection = None
                continue
            if status == 200:
                outcome.latencies_ms.append(1e3 * (time.perf_counter() - sent))
                if number == 0:
                    outcome.sample = body.decode(errors="replace")
            else:
                outcome.errors[str(status)] += 1
        if connection is not None:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(plan.concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.wall_s = time.perf_counter() - began
    return outcome


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionResetError("the server hung up before its answer was whole")
    return data


if __name__ == "__main__":
    print(json.dumps(vars(load(Plan(**json.load(sys.stdin))))))
