"""Servers under test: started with all that belongs to them, metered as a whole, ended by id."""

import contextlib
import ctypes
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parent.parent
_READY_S = 180.0
_ENDING_S = 20.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_LIBC = ctypes.CDLL(None, use_errno=True)

# How k8s/base starts Ray: HAProxy in front of the replicas' own ports, no thread between them.
THROUGHPUT = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_TCP_NODELAY": "1",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}


@dataclass
class Host:
    """
    A process and everything that it started, also what has left it since.

    Attributes:
        idle: Share of a core while nothing is asked of it; see ``watch_idle``.
    """

    name: str
    process: "subprocess.Popen[str]"
    port: int = 0
    idle: float = 0.0

    def tree(self) -> list[psutil.Process]:
        """Its processes now."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu_s(self) -> float:
        """User and system time so far, with that of processes that have ended."""
        spent = 0.0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                spent += sum(process.cpu_times()[:4])
        return spent

    def by_process(self) -> dict[str, float]:
        """The same by kind of process, for who would lower it."""
        spent: dict[str, float] = {}
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                name = _kind(process.cmdline())
                spent[name] = spent.get(name, 0.0) + sum(process.cpu_times()[:4])
        return spent

    def resident_mib(self) -> dict[str, float]:
        """Memory of replicas, and of all; pages that processes share counted once (PSS)."""
        found = {"replicas": 0.0, "all": 0.0}
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                mib = process.memory_full_info().pss / 2**20
                found["all"] += mib
                if "ServeReplica" in _kind(process.cmdline()):
                    found["replicas"] += mib
        return found


def watch_idle(hosts: Sequence[Host], seconds: float) -> dict[str, float]:
    """Share of a core that each takes while nobody asks anything of any."""
    before, began = [host.cpu_s() for host in hosts], time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - began
    return {
        host.name: (host.cpu_s() - spent) / passed
        for host, spent in zip(hosts, before, strict=True)
    }


@contextlib.contextmanager
def started(
    name: str,
    command: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    port: int = 0,
    path: str = "/",
    stdin: int | None = None,
) -> Iterator[Host]:
    """
    A server, ready to answer.

    Args:
        port: Where it listens; 0 waits for nothing.
        path: GET of it says that the server is ready by any answer under 500.
    """
    log = folder / f"{name.replace(' ', '-')}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            list(command),
            cwd=ROOT,
            env={**_environment(), **(environment or {})},
            stdin=stdin,
            stdout=subprocess.PIPE if stdin else stream,
            stderr=stream,
            text=True,
            start_new_session=True,
            # Daemons stay below the process that started them, so that they are counted and ended.
            preexec_fn=lambda: _LIBC.prctl(_SUBREAPER, 1, 0, 0, 0),
        )
    host = Host(name, process, port)
    try:
        if port:
            _wait(host, lambda: _answers(port, path), log)
        yield host
    finally:
        _end(host)


@contextlib.contextmanager
def ray_cluster(
    name: str,
    folder: Path,
    applications: Sequence[Mapping[str, Any]],
    *,
    settings: Mapping[str, str],
    ready: Sequence[str],
) -> Iterator[Host]:
    """
    A head node with Serve, started and told as an operator does it.

    Args:
        settings: Environment of ``ray start``.
        ready: Paths that answer once all applications do.
    """
    ports = _free_ports(7)
    gcs, dashboard, metrics, agent, client, http, proxy = ports
    # Short: Ray and HAProxy keep sockets in it, whose paths may have some hundred bytes.
    home = folder / str(sum(each.is_dir() for each in folder.iterdir()))
    home.mkdir()
    environment = {
        "HOME": str(home),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ADDRESS": f"127.0.0.1:{gcs}",
        "RAY_memory_monitor_refresh_ms": "0",
        **_haproxy(home, proxy),
        **settings,
    }
    line = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    line += ["--node-ip-address", "127.0.0.1", "--num-cpus", "16", "--dashboard-host", "127.0.0.1"]
    line += ["--temp-dir", str(home / "r"), "--object-store-memory", str(200 * 2**20)]
    line += ["--port", str(gcs), "--dashboard-port", str(dashboard)]
    line += ["--metrics-export-port", str(metrics), "--ray-client-server-port", str(client)]
    line += ["--dashboard-agent-listen-port", str(agent)]
    config = home / "serve.yaml"
    described = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "127.0.0.1", "port": http, "request_timeout_s": 30},
        "logging_config": {"encoding": "JSON"},
        "applications": list(applications),
    }
    config.write_text(yaml.safe_dump(described))
    address = f"http://127.0.0.1:{dashboard}"
    with started(name, line, folder, environment=environment) as host:
        host.port = http
        log = folder / f"{name}-deploy.log"
        deploy = [sys.executable, "-m", "ray.serve.scripts", "deploy", str(config), "-a", address]
        token = environment["RAY_AUTH_TOKEN"]
        _wait(host, lambda: _answers(dashboard, "/api/serve/applications/", token), log)
        with log.open("w") as stream:
            subprocess.run(
                deploy, cwd=ROOT, env={**_environment(), **environment}, check=True, stdout=stream
            )
        for path in ready:
            _wait(host, lambda path=path: _answers(http, path), log)  # type: ignore[misc]
        yield host


def free_port() -> int:
    """A TCP port that nothing listens on at this moment."""
    return _free_ports(1)[0]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    # Anybody's server would rather have one thread than several that wait for one another.
    return {**kept, "RAY_USAGE_STATS_ENABLED": "0", "DO_NOT_TRACK": "true", "OMP_NUM_THREADS": "1"}


def _haproxy(home: Path, port: int) -> dict[str, str]:
    """Files and ports of its own: by default two clusters of a machine share them."""
    files = {
        "CONFIG_FILE_LOC": "haproxy.cfg",
        "SOCKET_PATH": "admin.sock",
        "SERVER_STATE_FILE": "state",
        "METRICS_SOCKET_PATH": "metrics.sock",
    }
    stats, metrics = _free_ports(2)
    first = random.randrange(20_000, 30_000, 100)
    return {
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first + 99),
        **{f"RAY_SERVE_HAPROXY_{name}": str(home / file) for name, file in files.items()},
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(home),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
    }


def _answers(port: int, path: str, token: str = "") -> bool:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return bool(response.status < 500)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code in (405, 422)
    except OSError:
        return False


def _kind(command: Sequence[str]) -> str:
    """What a process is; Ray names its workers by what they run."""
    first = command[0] if command else "zombie"
    if first.startswith("ray::"):
        return first.partition(".")[0].partition(":ours")[0]
    scripts = [part for part in command[:8] if part.endswith((".py", "haproxy", "raylet"))]
    return Path((scripts or [first])[-1]).name


def _wait(host: Host, truth: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + _READY_S
    while not truth():
        if host.process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{host.name} did not start; {log} says why")
        time.sleep(0.25)


def _end(host: Host) -> None:
    """All of it: stopped, the first process adopts whatever its children leave behind."""
    with contextlib.suppress(psutil.NoSuchProcess):
        host.process.send_signal(signal.SIGSTOP)
        end = time.monotonic() + _ENDING_S
        while (below := host.tree()[1:]) and time.monotonic() < end:
            for process in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            # What has ended waits for its parent, which is stopped: nothing else may be left.
            if all(_ended(process) for process in below):
                break
            time.sleep(0.05)
    host.process.kill()
    host.process.wait(_ENDING_S)
    for stream in (host.process.stdin, host.process.stdout):
        if stream:
            stream.close()


def _ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def say(host: Host, command: Mapping[str, Any]) -> None:
    """A line of JSON to a process that listens on its input."""
    assert host.process.stdin is not None
    host.process.stdin.write(json.dumps(command) + "\n")
    host.process.stdin.flush()


def hear(host: Host) -> dict[str, Any]:
    """Its answer."""
    assert host.process.stdout is not None
    found: dict[str, Any] = json.loads(host.process.stdout.readline())
    return found
