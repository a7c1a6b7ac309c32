"""Schemathesis against the application: what OpenAPI promises is what is answered, and no 5xx."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, StopReason, events, from_schema

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.serve import Access, Logs
from serve import ingress, keys
from serve.access import Guard
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.recorder import Recorder
from serve.telemetry import Telemetry

# Not positive_data_acceptance, but for labels: no schema says which bytes are a film.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
PHASES = ("examples", "coverage", "fuzzing", "stateful")
EXAMPLES = 12
# The lone seed of a run: a failure here is a failure everywhere.
SEED = 7

# Pillow warns of damaged EXIF data; in tests alone a warning is an error.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


class Service:
    """The whole application, with keys, logs and metrics, and a key that may do everything."""

    def __init__(self, bundle: Artifact, folder: Path) -> None:
        self.registry = CollectorRegistry()
        self.key = keys.new(
            folder / "keys.jsonl", "all", ["predict", "label", "operate"], rate="100000/second"
        )
        telemetry = Telemetry(PlainBackend(self.registry), bundle.version)
        classifier = Classifier(Predictor(bundle.path), telemetry, threads=1, drift_window=100)
        self.recorder = Recorder(classifier, Logs(folder=folder / "logs"))
        self.app: FastAPI = ingress.create(
            classifier,
            max_body_bytes=2**20,
            guard=Guard(Access(keys=folder / "keys.jsonl"), {}),
            recorder=self.recorder,
            registry=self.registry,
        )


@pytest.fixture(scope="module")
def service(bundle: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One for all phases."""
    service = Service(bundle, tmp_path_factory.mktemp("schemathesis"))
    yield service
    service.recorder.close()


def run(service: Service, phase: str, *, stranger: bool = False) -> tuple[list[str], Counter[str]]:
    """Failures as Schemathesis tells them, and how many answers had each status."""
    header = {"X-API-Key": service.key}
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "max-failures": 20,
            "headers": {} if stranger else header,
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
            "generation": {
                "max-examples": EXAMPLES,
                "database": "none",
                # Credentials that it thinks of itself.
                "with-security-parameters": stranger,
            },
            "operations": [
                {
                    "include-path": "/v1/labels",
                    "checks": {"positive_data_acceptance": {"enabled": True}},
                }
            ],
            "phases": {name: {"enabled": name == phase} for name in PHASES},
        }
    )
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", service.app, config=config, headers=header
    )
    failures: list[str] = []
    statuses: Counter[str] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            failures.append(repr(vars(event)))
        if isinstance(event, events.EngineFinished):
            assert event.stop_reason is StopReason.COMPLETED, event.stop_reason
        if isinstance(event, events.ScenarioFinished):
            for each in event.recorder.interactions.values():
                statuses[str(each.response.status_code if each.response else None)] += 1
            for checks in event.recorder.checks.values():
                failures += [
                    f"{event.recorder.label}: {check.name}: {check.failure_info.failure}"
                    for check in checks
                    if check.status is Status.FAILURE and check.failure_info
                ]
    return failures, statuses


@pytest.mark.parametrize("phase", PHASES)
def test_answers_are_as_documented(
    service: Service, phase: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fits the document or breaks it gets an answer that the document tells of."""
    caplog.set_level(logging.ERROR)

    failures, statuses = run(service, phase)

    assert failures == []
    assert statuses["200"] > 0
    assert {status for status in statuses if not status.startswith(("2", "4"))} == set()
    assert [record for record in caplog.records if record.name.startswith("serve")] == []


def test_strangers_are_refused_as_documented(service: Service) -> None:
    """Whoever has no key, or invents one, is told so on every path that is not open to all."""
    failures, statuses = run(service, "coverage", stranger=True)

    assert failures == []
    assert statuses["401"] > 500


def test_fuzzing_makes_no_series(service: Service) -> None:
    """However many paths were tried, the routes of the metrics are those of the document."""
    run(service, "coverage")

    routes = {
        sample.labels["route"]
        for metric in service.registry.collect()
        for sample in metric.samples
        if "route" in sample.labels
    }
    assert len(routes) >= len(service.app.openapi()["paths"]) - 1
    assert routes <= {*service.app.openapi()["paths"], "/openapi.json", "other"}
