"""The service over the shared bundle, without Ray: one client, one registry of metrics."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from serve import ingress
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.telemetry import Telemetry


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where this test's metrics go."""
    return CollectorRegistry()


@pytest.fixture
def predictor(bundle: Artifact) -> Predictor:
    """The bundle's own answers."""
    return Predictor(bundle.path)


@pytest.fixture
def classifier(predictor: Predictor, registry: CollectorRegistry) -> Classifier:
    """One thread, the smallest drift window that a service may have."""
    telemetry = Telemetry(PlainBackend(registry), predictor.artifact.version)
    return Classifier(predictor, telemetry, threads=1, drift_window=100)


@pytest.fixture
def client(classifier: Classifier) -> Iterator[TestClient]:
    """HTTP to the application; a body may have 200,000 bytes."""
    app = ingress.create(classifier, max_body_bytes=200_000)
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened
