"""
A cluster as an operator starts it: jobs by ``ray job submit``, answers, real Prometheus, and a
retraining that late labels ask for.
"""

import json
import os
import secrets
import shutil
import signal
import socket
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
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lucency.bundle.artifact import Artifact
from lucency.config.reevaluate import ReevaluateConfig
from lucency.datasets.phantom import Phantom
from lucency.ledger import Ledger
from lucency.pipeline.reevaluate import RECORD, reevaluate
from lucency.store.store import Store
from tests.lucency.pipeline.month import SECRET, Month
from tests.processes import (
    ROOT,
    alive,
    descendants,
    ending,
    free_port,
    run_job,
    start_job,
    wait_until,
)

PHANTOM = "configs/pipeline/phantom.yaml"
TINY = (
    "dataset.patients=80",
    "dataset.size=64",
    "recipe.preprocess.size=32",
    "recipe.phases.0.epochs=1",
)

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
# Ray's own count: requests that replicas of this deployment have answered.
DRAWN = 'sum(ray_serve_deployment_request_counter_total{deployment="explainer"})'


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


@dataclass(frozen=True)
class Trained:
    """What the pipeline on the cluster left and says; its model answers at the port."""

    work: Path
    store: Path
    port: int
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> tuple[str, ...]:
        """What makes the pipeline take this up again."""
        rule = "recipe.rule={sensitivity_floor: 0.001, specificity_floor: 0.0}"
        places = f"work={self.work}", f"store={self.store}"
        return (*TINY, *places, rule, "export.calibration=platt")

    @property
    def bundle(self) -> Path:
        """That of the champion."""
        (found,) = (self.work / "models").glob(f"{self.record['run']}-*/bundle")
        return found


@pytest.fixture(scope="module")
def trained(head: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A job from a checkout has trained, promoted and serves, where lucency is not installed."""
    folder = tmp_path_factory.mktemp("cluster")
    found = Trained(folder / "work", folder / "store", free_port())
    alone = subprocess.run(
        [str(head.python), "-c", "import lucency"], capture_output=True, text=True, cwd=folder
    )
    assert "No module named 'lucency'" in alone.stderr

    done = head.submit(
        "jobs/pipeline.py",
        PHANTOM,
        *found.settings,
        f"serve.port={found.port}",
        "serve.keep=true",
        "serve.service.scaling.cpus=0.5",
        "serve.service.batching.max_batch_size=8",
        "serve.service.explain={scaling: {cpus: 0.5}}",
        "serve.service.sites=[north]",
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return replace(found, record=_last_object(done.stdout))


@pytest.mark.ray
@pytest.mark.slow
def test_served_model_is_seen_by_prometheus(
    head: Cluster, trained: Trained, tmp_path: Path
) -> None:
    """The champion answers many clients at once, and all that is promised can be watched."""
    record, port = trained.record, trained.port
    films = [sample.read() for sample in Phantom(patients=60, size=64, max_films=2, seed=9)]
    with ThreadPoolExecutor(16) as clients:
        sent = [films[number % len(films)] for number in range(120)]
        answers = list(clients.map(lambda film: _predict(port, film), sent))
    assert {answer["model"]["version"] for answer in answers} == {record["champion"]}
    assert Artifact.load(trained.bundle).model.calibration.method == "platt"
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
        sites = _query(prometheus, "max by (site) (ray_lucency_drift_window_films)")
        # The pipeline asked for a map when it tried the service out.
        wait_until(lambda: _value(prometheus, DRAWN) >= 1, 60, "the map drawn by the explainer")
    assert films_a_run > 1.2, "sixteen clients at once never shared a batch"
    assert {series["metric"]["site"] for series in sites} == {"north"}
    assert Path(record["heat_map"]).read_bytes().startswith(b"\x89PNG")
    assert {series["metric"]["feature"] for series in drifting} == {
        "probability", "brightness", "contrast", "sharpness", "thumbnail",
    }  # fmt: skip


@pytest.mark.ray
@pytest.mark.slow
def test_worklist_is_made_on_the_cluster(head: Cluster, trained: Trained, tmp_path: Path) -> None:
    """The list lies where it was asked for, with every mistake of the validation films."""
    done = head.submit(
        "jobs/worklist.py",
        "configs/worklist/default.yaml",
        f"bundle={trained.bundle}",
        f"table={trained.work}/data",
        f"output={tmp_path}/list",
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    found = _last_object(done.stdout)
    cases = (tmp_path / "list" / "worklist.csv").read_text().splitlines()[1:]
    assert len(cases) == sum(found["cases"].values())
    assert (tmp_path / "list" / "worklist.html").is_file()


@pytest.mark.ray
@pytest.mark.slow
def test_supervisor_can_end_a_served_model(trained: Trained) -> None:
    """
    The same pipeline here finds the cluster's run finished and serves; SIGTERM ends it as Ctrl-C
    does: status 0, no process, a free port.
    """
    port, film = free_port(), trained.bundle.parent / "film.jpeg"
    film.unlink()

    with ending(
        start_job("pipeline", PHANTOM, *trained.settings, f"serve.port={port}", "serve.keep=true")
    ) as job:
        wait_until(film.exists, 200, "an answer")
        below = list(descendants(job.pid))
        job.send_signal(signal.SIGTERM)
        out, err = job.communicate(timeout=60)

    assert job.returncode == 0, err
    found = json.loads(out.splitlines()[-1])
    assert (found["run"], found["champion"]) == (trained.record["run"], trained.record["champion"])
    assert "Traceback" not in err
    assert "starting" not in err, "it was trained again"
    wait_until(lambda: not alive(below), 20, "all processes to end")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


@pytest.mark.slow
def test_run_of_the_cluster_is_explained_here(trained: Trained, tmp_path: Path) -> None:
    """The explain job takes the run as it lies there, and says what it measured."""
    run = f"run={trained.work}/runs/{trained.record['run']}"
    few = ("films=4", "randomised_films=2", "shown=2")

    done = run_job("explain", "configs/explain/default.yaml", run, *few, f"output={tmp_path}/out")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["films"] == 4
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_retraining_that_labels_ask_for_goes_through_the_gate(
    head: Cluster, trained: Trained, tmp_path: Path
) -> None:
    """
    Late labels show a model that misses four in ten; the trigger gives the cluster a pipeline job.
    Its model, trained on labels drawn at random, is refused there, and the champion stays.
    """
    config = _retrain_config(head, trained, tmp_path)
    token = {name: head.environment[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}

    stranger = run_job("retrain", str(config), environment={**token, "RAY_AUTH_TOKEN": "0" * 64})
    done = run_job("retrain", str(config), environment=token)

    assert stranger.returncode == 1
    assert [line for line in stranger.stderr.splitlines() if line.startswith("error:")]
    assert "Traceback" not in stranger.stderr
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["outcome"] == "submitted"
    job = f"{head.dashboard}/api/jobs/{found['id']}"
    wait_until(lambda: _ended(job, token["RAY_AUTH_TOKEN"]), 400, "the job that was submitted")
    assert _get(job, token["RAY_AUTH_TOKEN"])["driver_exit_code"] == 3
    said = _last_object(_get(f"{job}/logs", token["RAY_AUTH_TOKEN"])["logs"])
    assert "not promoted" in said["error"]
    assert said["metrics"]["sensitivity"]["lower"] < 0.85
    assert Store(trained.store).aliases() == trained.record["aliases"]
    steps = [entry["step"] for entry in Ledger(tmp_path / "ledger.jsonl").entries()]
    assert steps == ["submitted", "started"], "who was not let in left a line"


def _retrain_config(head: Cluster, trained: Trained, folder: Path) -> Path:
    """Six days of answers and labels, re-evaluated, and a trigger that asks nobody."""
    month = Month(folder / "logs")
    month.at = datetime.now(UTC) - timedelta(days=6)
    for _ in range(6):
        month.day(60, sensitivity=0.6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUCENCY_LOG_KEY", SECRET)
        reevaluate(
            ReevaluateConfig.from_mapping(
                {"logs": folder / "logs", "output": folder / "out"}, "test"
            )
        )
    config = {
        "reevaluation": f"{folder}/out/{RECORD}",
        "guard": {"new_labels": 1, "new_positives": 1, "approval": False},
        "submission": {
            "config": PHANTOM,
            "overrides": [*TINY, "dataset.label_noise=1.0", f"store={trained.store}"],
            "address": head.dashboard,
            "folder": f"{folder}/retrained",
        },
        "ledger": f"{folder}/ledger.jsonl",
    }
    (folder / "retrain.yaml").write_text(yaml.safe_dump(config))
    return folder / "retrain.yaml"


def _ended(job: str, token: str) -> bool:
    return _get(job, token)["status"] in ("SUCCEEDED", "FAILED", "STOPPED")


def _get(url: str, token: str) -> dict[str, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        found: dict[str, Any] = json.load(response)
    return found


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
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/predict", film)
    request.add_header("Lucency-Site", "north")
    with urllib.request.urlopen(request, timeout=30) as response:
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
