"""
From one replica to several and back under load: how fast, and whether a request is lost.

    python bench/scaling.py STORE [--most 3] [--clients 12] [--load 60]

STORE holds a champion, such as `make demo` leaves in ``work/phantom/store``. One replica is
deployed, then clients send its golden films without a pause, then one client alone goes on until
one replica is left. Each answer is compared with what the bundle itself says of the film.

Prints when which number of replicas was running, the time to the first answer of a fresh one, and
one line of JSON. Replicas share the machine's cores, so more of them are not faster here; what is
measured is the way up and down.
"""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import argparse
import http.client
import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import serve

from lucency.bundle.predictor import Predictor
from lucency.config.pipeline import Deployment
from lucency.config.serve import Replicas, Service
from lucency.pipeline.serve import serving
from lucency.store.store import CHAMPION, Store
from tests.processes import free_port

_LOOK_S = 0.25
# The way down is waited for as long as this after the configured delay.
_PATIENCE_S = 60.0
_SAME = 1e-4


@dataclass
class Outcome:
    """What clients saw."""

    statuses: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """So many replicas ran, from this second of the run on."""

    at_s: float
    running: int


class Counting:
    """Looks at the number of replicas that run, in a thread, until told to end."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def first(self, running: int, after_s: float) -> float | None:
        """Seconds from then until that number was seen."""
        return next(
            (s.at_s - after_s for s in self.seen if s.at_s >= after_s and s.running == running),
            None,
        )

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_S):
            running = _running()
            if not self.seen or self.seen[-1].running != running:
                self.seen.append(Seen(self.now, running))


class Clients:
    """Threads that send films one after another, each over a connection of its own."""

    def __init__(self, port: int, films: Sequence[tuple[bytes, float]], count: int) -> None:
        self.outcome = Outcome()
        self._port = port
        self._films = films
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def end(self) -> Outcome:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        return self.outcome

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        turn = 0
        while not self._ended.is_set():
            film, expected = self._films[turn % len(self._films)]
            turn += 1
            began = time.perf_counter()
            try:
                connection.request("POST", "/v1/predict", film)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._note(type(error).__name__, 0.0, wrong=False)
                continue
            wrong = answer.status == 200 and (
                abs(json.loads(body)["probability"] - expected) > _SAME
            )
            self._note(str(answer.status), time.perf_counter() - began, wrong=wrong)
        connection.close()

    def _note(self, status: str, seconds: float, *, wrong: bool) -> None:
        with self._lock:
            self.outcome.statuses[status] += 1
            self.outcome.wrong += wrong
            self.outcome.seconds.append(seconds)


def main() -> None:
    """Measure, print for people and one JSON line for programs."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--most", type=int, default=3, help="replicas")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--load", type=float, default=60, help="seconds")
    parser.add_argument(
        "--calm", type=float, default=15, help="seconds until replicas are given up"
    )
    options = parser.parse_args()
    port = free_port()
    scaling = Replicas(
        max_replicas=options.most,
        target_ongoing_requests=2,
        upscale_delay_s=3,
        downscale_delay_s=options.calm,
    )
    deployment = Deployment(port=port, service=Service(scaling=scaling))
    # Logical cores for all replicas and Serve's own actors, however many the machine has.
    ray.init(address="local", num_cpus=options.most + 1, include_dashboard=False)
    began = time.monotonic()
    try:
        with serving(deployment, options.store):
            cold_s = time.monotonic() - began
            figures = _up_and_down(options, port)
    finally:
        ray.shutdown()
    figures["first_replica_ready_s"] = round(cold_s, 2)
    for name, value in figures.items():
        print(f"{name:28} {value}")
    print(json.dumps(figures))


def _up_and_down(options: argparse.Namespace, port: int) -> dict[str, object]:
    films = _films(options.store)
    counting = Counting()
    time.sleep(2)
    loaded = counting.now
    busy = Clients(port, films, options.clients)
    time.sleep(options.load)
    under_load = busy.end()
    calmed = counting.now
    alone = Clients(port, films, 1)
    end = time.monotonic() + options.calm + _PATIENCE_S
    while _running() > 1 and time.monotonic() < end:
        time.sleep(_LOOK_S)
    time.sleep(2)
    calm = alone.end()
    counting.end()
    return {
        "replicas": [(round(seen.at_s, 1), seen.running) for seen in counting.seen],
        "second_replica_after_s": _rounded(counting.first(2, loaded)),
        "all_replicas_after_s": _rounded(counting.first(options.most, loaded)),
        "one_replica_after_calm_s": _rounded(counting.first(1, calmed)),
        "requests_under_load": under_load.statuses.total(),
        "statuses_under_load": dict(under_load.statuses),
        "requests_while_scaling_down": calm.statuses.total(),
        "statuses_while_scaling_down": dict(calm.statuses),
        "wrong_answers": under_load.wrong + calm.wrong,
        "p50_ms_under_load": round(statistics.median(under_load.seconds) * 1e3, 1),
    }


def _films(store: Path) -> list[tuple[bytes, float]]:
    predictor = Predictor(Path(Store(store).path(CHAMPION)))
    golden = sorted((predictor.artifact.path / "golden").iterdir())
    films = [file.read_bytes() for file in golden]
    return [(film, predictor.predict_bytes(film).probability) for film in films]


def _running() -> int:
    deployment = serve.status().applications["lucency"].deployments["classifier"]
    states: dict[Any, int] = deployment.replica_states  # typed as an enum, and holds its names
    return states.get("RUNNING", 0)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


if __name__ == "__main__":
    main()
