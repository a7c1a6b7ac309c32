"""A cluster as an operator starts it: jobs by ``ray job submit``, answers, real Prometheus."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lucency.datasets.phantom import Phantom
from tests.processes import ROOT, ending, free_port, wait_until

# What the service promises to show; Ray puts its prefix and prometheus its suffixes around.
SHOWN = (
    "ray_lucency_request_seconds_bucket",
    "ray_lucency_stage_seconds_bucket",
    "ray_lucency_batch_films_bucket",
    "ray_lucency_predictions_total",
    "ray_lucency_drift_stability_index",
    "ray_lucency_drift_window_films",
    "ray_lucency_model_info",
)


@dataclass(frozen=True)
class Cluster:
    """A head node: how to reach it."""

    python: Path
    dashboard: str
    metrics_port: int
    environment: Mapping[str, str]

    def submit(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """``ray job submit`` from the root of the checkout, as a person types it."""
        line = ["job", "submit", "--address", self.dashboard, "--working-dir", "."]
        line += ["--runtime-env", "jobs/runtime_env.yaml", "--", "python", *command]
        for _ in range(10):
            done = subprocess.run(
                [str(self.python), "-m", "ray.scripts.scripts", *line],
                cwd=ROOT,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=280,
            )
            # The dashboard answers some seconds before the agent that starts jobs does.
            if "No available agent" not in done.stderr + done.stdout:
                break
            time.sleep(3)
        return done


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    """A head node with a token, in an environment that has every package but lucency."""
    # Unix sockets take 107 bytes, so the folder's name must be short.
    folder = Path(tempfile.mkdtemp(prefix="lu"))
    python = _environment_without_lucency(folder / "v")
    dashboard, metrics, gcs = free_port(), free_port(), free_port()
    environment = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ADDRESS": f"127.0.0.1:{gcs}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",
    }
    # Each with a port of its own, so that another cluster on this machine is not in the way.
    ports = {
        "--port": gcs,
        "--dashboard-port": dashboard,
        "--metrics-export-port": metrics,
        "--dashboard-agent-listen-port": free_port(),
        "--ray-client-server-port": free_port(),
    }
    line = ["start", "--head", "--block", "--node-ip-address", "127.0.0.1", "--num-cpus", "4"]
    line += ["--dashboard-host", "127.0.0.1", "--temp-dir", str(folder / "r")]
    line += ["--object-store-memory", str(200 * 2**20)]
    line += [part for name, port in ports.items() for part in (name, str(port))]
    process = subprocess.Popen(
        [str(python), "-m", "ray.scripts.scripts", *line],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{dashboard}"
    with ending(process):
        wait_until(
            lambda: _answers(f"{address}/api/version", environment["RAY_AUTH_TOKEN"]),
            120,
            "the dashboard",
        )
        yield Cluster(python, address, metrics, environment)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.ray
@pytest.mark.slow
def test_submitted_pipeline_serves_and_is_seen_by_prometheus(head: Cluster, tmp_path: Path) -> None:
    """A job from a checkout trains, promotes and serves where lucency is not installed, watched."""
    port = free_port()
    alone = subprocess.run(
        [str(head.python), "-c", "import lucency"], capture_output=True, text=True, cwd=tmp_path
    )
    assert "No module named 'lucency'" in alone.stderr

    done = head.submit(
        "jobs/pipeline.py",
        "configs/pipeline/phantom.yaml",
        f"work={tmp_path}/work",
        f"store={tmp_path}/store",
        "dataset.patients=80",
        "dataset.size=64",
        "recipe.preprocess.size=32",
        "recipe.phases.0.epochs=1",
        "recipe.rule={sensitivity_floor: 0.001, specificity_floor: 0.0}",
        f"serve.port={port}",
        "serve.keep=true",
        "serve.service.scaling.cpus=0.5",
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    record = _last_object(done.stdout)
    films = [sample.read() for sample in Phantom(patients=60, size=64, max_films=2, seed=9)]
    with ThreadPoolExecutor(16) as clients:
        sent = [films[number % len(films)] for number in range(120)]
        answers = list(clients.map(lambda film: _predict(port, film), sent))
    assert {answer["model"]["version"] for answer in answers} == {record["champion"]}
    with _prometheus(tmp_path, head.metrics_port) as prometheus:
        for name in SHOWN:
            wait_until(lambda name=name: bool(_query(prometheus, name)), 60, name)  # type: ignore[misc]
        wait_until(
            lambda: _value(prometheus, "sum(ray_lucency_predictions_total)") >= 120,
            60,
            "all predictions counted",
        )
        films_a_run = _value(
            prometheus,
            "sum(ray_lucency_batch_films_sum) / sum(ray_lucency_batch_films_count)",
        )
        drifting = _query(prometheus, "max by (feature) (ray_lucency_drift_stability_index)")
    assert films_a_run > 1.2, "sixteen clients at once never shared a batch"
    assert {series["metric"]["feature"] for series in drifting} == {
        "probability", "brightness", "contrast", "sharpness", "thumbnail",
    }  # fmt: skip


def _environment_without_lucency(folder: Path) -> Path:
    """An interpreter that sees every installed package, but follows no editable install."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    inside = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    packages = Path(pytest.__file__).parents[1]
    # A folder named in a .pth file is searched, but its own .pth files are not read.
    (folder / inside / "packages.pth").write_text(f"{packages}\n")
    return python


def _answers(url: str, token: str = "") -> bool:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _predict(port: int, film: bytes) -> dict[str, Any]:
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/v1/predict", film, timeout=30
    ) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def _last_object(log: str) -> dict[str, Any]:
    lines = [line for line in log.splitlines() if line.startswith('{"ok"')]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


@contextmanager
def _prometheus(folder: Path, metrics_port: int) -> Iterator[str]:
    """A real server that scrapes the node; its address once it is ready."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on this machine: apt-get install prometheus")
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: ray\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{metrics_port}']}}]\n"
    )
    listen = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with ending(
        subprocess.Popen(
            [*command, f"--web.listen-address={listen}"], stderr=subprocess.DEVNULL, text=True
        )
    ):
        wait_until(lambda: _answers(f"http://{listen}/-/ready"), 30, "Prometheus")
        yield f"http://{listen}"


def _query(address: str, expression: str) -> list[dict[str, Any]]:
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=10) as response:
        found: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return found


def _value(address: str, expression: str) -> float:
    found = _query(address, expression)
    return float(found[0]["value"][1]) if found else 0.0
