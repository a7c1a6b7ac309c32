"""Odd inputs through a real Ray Serve: the proxy, the limits and the replica together."""

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from ray import serve

from lucency.bundle.artifact import Artifact
from lucency.config.pipeline import Deployment
from lucency.pipeline.serve import serving
from lucency.store.store import Store
from tests.processes import free_port
from tests.serve.test_problems import REFUSED, TAKEN


@pytest.fixture(scope="module")
def url(
    ray_cluster: None, bundle: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A served bundle."""
    store = tmp_path_factory.mktemp("store")
    Store(store).promote(bundle, "a test of odd inputs")
    with serving(Deployment(port=free_port()), store) as address:
        yield address
    serve.shutdown()  # the next test in this cluster takes another port


@pytest.mark.ray
def test_odd_inputs_never_harm_the_replica(url: str, film: bytes) -> None:
    """Every odd body gets an answer under 500, and one and the same replica lives through all."""
    before = _replicas()
    raw = {
        name: sent
        for name, (_, _, sent) in REFUSED.items()
        if isinstance(sent.get("content"), bytes)
    }
    raw |= {name: sent for name, sent in TAKEN.items() if "content" in sent}

    statuses = {
        name: _send(url, sent["content"], sent.get("headers", {})) for name, sent in raw.items()
    }
    statuses["50 MB"] = _send(url, bytes(50 * 2**20), {})
    statuses["50 MB of jpeg"] = _send(url, film + os.urandom(50 * 2**20), {})

    assert len(statuses) >= 40
    assert {name: status for name, status in statuses.items() if status >= 500} == {}
    assert statuses["50 MB"] == statuses["50 MB of jpeg"] == 413
    assert _send(url, film, {}) == 200
    assert _replicas() == before


def _send(url: str, body: bytes, headers: dict[str, str]) -> int:
    request = urllib.request.Request(f"{url}/v1/predict", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def _replicas() -> Any:
    deployment = serve.status().applications["lucency"].deployments["classifier"]
    return deployment.replica_states
