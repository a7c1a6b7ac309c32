"""Who takes part in ``serving.py``: the loop without HTTP, ours in its forms, and its peers."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench.serving_hosts import ROOT, THROUGHPUT, Host, free_port, hear, ray_cluster, say, started
from bench.serving_load import Plan
from lucency.bundle import offered
from lucency.bundle.artifact import GRAPH, Artifact
from lucency.store.store import Store
from serve import keys

_PEERS = ROOT / "bench" / "peers"
_PACKAGES = (
    "bentoml==1.4.39",
    "fastapi==0.165.0",
    "httptools==0.9.0",
    "litserve==0.2.19",
    "numpy==2.4.6",
    "onnxruntime==1.31.1",
    "opencv-python-headless==5.0.0.93",
    "simplejpeg==1.9.0",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
)
# After the last answer: what a server still does for it is its own cost too.
_SETTLES_S = 0.3

# Of several workers uvicorn ends those that are not there after five seconds, again and again.
_PATIENT = ("--timeout-worker-healthcheck", "120")

LIMIT = "limit"
FP32, BF16, INT8 = "ours fp32", "ours bf16", "ours int8"
DEFAULT_PROXY = "ours fp32, default proxy"
WITHOUT_RAY = "ours fp32, without Ray"
TUTORIAL = "Ray Serve tutorial"
PEERS = ("FastAPI", "LitServe", "BentoML")
# Ending of the names of those that have the network which answers at once.
AT_ONCE = ", at once"


@dataclass
class Turn:
    """
    One contestant, some requests.

    Attributes:
        cpu_s: Of all its processes, less what they take when idle.
        answer: To the first film: a ``logit`` or a ``probability``.
        parts_s: CPU seconds by kind of process, with what they take when idle.
    """

    requests: int
    cpu_s: float
    wall_s: float
    latencies_ms: list[float]
    errors: Counter[str] = field(default_factory=Counter)
    answer: Mapping[str, Any] = field(default_factory=dict)
    parts_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def ms(self) -> float:
        """CPU milliseconds a request."""
        return 1e3 * self.cpu_s / self.requests


class Contestant(Protocol):
    """Answers films."""

    name: str
    hosts: Sequence[Host]

    def turn(self, requests: int, *, concurrency: int = 1, rate: float = 0.0) -> Turn: ...


@dataclass
class Loop:
    """Workers in loops, each on its own films."""

    name: str
    hosts: Sequence[Host]

    def turn(self, requests: int, *, concurrency: int = 1, rate: float = 0.0) -> Turn:
        """As many loops at a time as there are requests at a time."""
        hosts = self.hosts[:concurrency]
        before, began = sum(host.cpu_s() for host in hosts), time.perf_counter()
        for host in hosts:
            say(host, {"films": requests // len(hosts)})
        found = [hear(host) for host in hosts]
        wall_s = time.perf_counter() - began
        cpu_s = sum(host.cpu_s() for host in hosts) - before
        latencies_ms = [each for one in found for each in one["latencies_ms"]]
        return Turn(len(latencies_ms), cpu_s, wall_s, latencies_ms, answer=found[0])


@dataclass
class Service:
    """An HTTP server, asked by a process of its own."""

    name: str
    hosts: Sequence[Host]
    plan: Plan

    def asking(self, name: str, query: str) -> "Service":
        """The same server, asked for something else."""
        return replace(self, name=name, plan=replace(self.plan, path=self.plan.path + query))

    def turn(self, requests: int, *, concurrency: int = 1, rate: float = 0.0) -> Turn:
        """Send requests; the load's own CPU is not counted."""
        (host,) = self.hosts
        asked = {"requests": requests, "concurrency": concurrency, "rate": rate}
        parts, before, began = host.by_process(), host.cpu_s(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-S", str(ROOT / "bench" / "serving_load.py")],
            input=json.dumps({**asdict(self.plan), **asked}),
            capture_output=True,
            text=True,
            check=True,
        )
        time.sleep(_SETTLES_S)
        cpu_s = host.cpu_s() - before - host.idle * (time.perf_counter() - began)
        found = json.loads(done.stdout)
        return Turn(
            requests,
            cpu_s,
            found["wall_s"],
            found["latencies_ms"],
            Counter(found["errors"]),
            json.loads(found["sample"] or "{}"),
            {name: spent - parts.get(name, 0.0) for name, spent in host.by_process().items()},
        )


class Stage:
    """
    Starts contestants over one model; they end with it.

    Args:
        store: Of the model that they serve.
        workers: Processes that answer, of each.
        service: Settings of ours, over those shipped.
    """

    def __init__(
        self,
        folder: Path,
        store: Path,
        films: Sequence[Path],
        *,
        workers: int,
        service: Mapping[str, Any],
        exits: contextlib.ExitStack,
    ) -> None:
        self.folder, self.workers = folder, workers
        self.store, self._films, self._service, self._exits = store, films, service, exits
        self.bundle = Artifact.load(Store(store).path("champion"))
        self._keys = folder / f"{store.parent.name}.keys"
        self._key = keys.new(self._keys, "bench", ["predict"], rate="9000/second")
        card = self.bundle.model
        model = {
            "graph": str(self.bundle.path / GRAPH),
            "side": card.preprocess.size,
            "mean": card.preprocess.mean[0],
            "std": card.preprocess.std[0],
        }
        self._model = {"BENCH_MODEL": json.dumps(model)}
        # Best of its precision by the bundle's own figures.
        passed = [each for each, why in offered.servable(self.bundle) if not why]
        self.variants = {each.precision: each.name for each in reversed(passed)}

    def beside(self, store: Path) -> "Stage":
        """The same stage with another model."""
        return Stage(
            self.folder,
            store,
            self._films,
            workers=self.workers,
            service=self._service,
            exits=self._exits,
        )

    def limit(self, variant: str = "", suffix: str = "") -> Loop:
        """The loop without HTTP: bare, or our predictor with a variant."""
        what = f"{self.bundle.path}:{variant}" if variant else "bare"
        name = f"loop of our predictor, {variant}" if variant else LIMIT + suffix
        line = [sys.executable, str(ROOT / "bench" / "serving_limit.py"), what, *self._paths]
        hosts = [
            self._exits.enter_context(
                started(
                    f"{name} {number}",
                    line,
                    self.folder,
                    environment=self._model,
                    stdin=subprocess.PIPE,
                )
            )
            for number in range(self.workers)
        ]
        return Loop(name, hosts)

    def cluster(
        self,
        name: str,
        applications: Mapping[str, Mapping[str, Any]],
        settings: Mapping[str, str] = THROUGHPUT,
    ) -> dict[str, Service]:
        """
        Ours on a cluster of its own, an application each.

        Args:
            applications: Contestant's name -> settings over the shared ones; for the tutorial's
                application they are not looked at.
            settings: Environment of ``ray start``.
        """
        routes = {each: f"/{number}" for number, each in enumerate(applications)}
        described = [
            self._tutorial(route) if each == TUTORIAL else self._ours(route, applications[each])
            for each, route in routes.items()
        ]
        host = self._exits.enter_context(
            ray_cluster(
                name,
                self.folder,
                described,
                settings={**settings, "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"},
                ready=[
                    f"{route}/{'docs' if each == TUTORIAL else 'readyz'}"
                    for each, route in routes.items()
                ],
            )
        )
        return {
            each: self._service_of(each, host, f"{route}/predict", "image")
            if each == TUTORIAL
            else self._service_of(each, host, f"{route}/v1/predict", "")
            for each, route in routes.items()
        }

    def empty_cluster(self, name: str) -> Host:
        """Serve without an application."""
        return self._exits.enter_context(
            ray_cluster(name, self.folder, [], settings=THROUGHPUT, ready=[])
        )

    def without_ray(self, suffix: str = "") -> Service:
        """Ours on uvicorn alone, float32."""
        name, port = WITHOUT_RAY + suffix, free_port()
        config = self.folder / f"plain{len(suffix)}.json"
        route = f"/plain{len(suffix)}"
        config.write_text(json.dumps(self._ours(route, {"variant": "fp32"})["args"]))
        line = ["uvicorn", "bench.serving_asgi:app", "--port", str(port), "--no-access-log"]
        line += ["--workers", str(self.workers), *_PATIENT]
        host = self._exits.enter_context(
            started(
                name,
                [sys.executable, "-m", *line],
                self.folder,
                environment={
                    "BENCH_OURS": str(config),
                    "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
                },
                port=port,
                path="/readyz",
            )
        )
        return self._service_of(name, host, "/v1/predict", "")

    def peer(self, name: str, suffix: str = "") -> Service:
        """One of the servers from the registry."""
        python, port, workers = _peers_python(), free_port(), str(self.workers)
        listen = ["--port", str(port), "--host", "127.0.0.1"]
        quiet = ["--workers", workers, "--no-access-log", *_PATIENT]
        lines = {
            "FastAPI": ["uvicorn", "serve_fastapi:app", "--app-dir", str(_PEERS), *listen, *quiet],
            "LitServe": [str(_PEERS / "serve_litserve.py"), str(port), workers],
            "BentoML": ["bentoml", "serve", "serve_bentoml:Films", *listen],
        }
        module = [] if name == "LitServe" else ["-m"]
        host = self._exits.enter_context(
            started(
                name + suffix,
                [str(python), *module, *lines[name]],
                self.folder,
                environment={
                    **self._model,
                    "PYTHONPATH": str(_PEERS),
                    "BENTOML_HOME": str(self.folder / "bentoml"),
                    "BENCH_WORKERS": workers,
                },
                port=port,
                path="/predict",
            )
        )
        part = "" if name == "FastAPI" else "image"
        return self._service_of(name + suffix, host, "/predict", part)

    @property
    def _paths(self) -> list[str]:
        return list(map(str, self._films))

    def _service_of(self, name: str, host: Host, path: str, part: str) -> Service:
        headers = {"Authorization": f"Bearer {self._key}"} if name.startswith("ours") else {}
        return Service(name, [host], Plan(host.port, path, self._paths, headers, part))

    def _ours(self, route: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        replicas = {"min_replicas": self.workers, "max_replicas": self.workers}
        shared = {
            "store": str(self.store),
            "access": {"keys": str(self._keys), "hsts_s": 31536000},
            "logs": {"folder": str(self.folder / f"logs{route}")},
            **self._service,
            **settings,
        }
        scaling = {**replicas, **shared.pop("scaling", {})}
        return {
            "name": f"ours{route.replace('/', '-')}",
            "route_prefix": route,
            "import_path": "serve.app:build",
            "args": {**shared, "scaling": scaling},
        }

    def _tutorial(self, route: str) -> dict[str, Any]:
        return {
            "name": "tutorial",
            "route_prefix": route,
            "import_path": "bench.peers.serve_tutorial:build",
            "args": {"replicas": self.workers},
        }


def _peers_python() -> Path:
    """The interpreter of an environment that holds the peers; made on the first call."""
    folder = ROOT / "work" / "bench" / "peers"
    python = folder / "bin" / "python"
    uv = os.environ.get("UV", str(ROOT / ".tools" / "bin" / "uv"))
    if not python.exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    # In a moment where all of it is there already.
    install = [uv, "pip", "install", "-q", "--python", str(python), *_PACKAGES]
    subprocess.run(install, check=True)
    return python
