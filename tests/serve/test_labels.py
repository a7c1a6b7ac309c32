"""Late labels over HTTP: taken durably, names hashed, mistakes told."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lucency.audit import labels as stored
from lucency.audit.labels import LABELS
from lucency.config.serve import Logs
from serve import ingress
from serve.classifier import Classifier
from serve.recorder import Recorder


@pytest.fixture
def service(classifier: Classifier, tmp_path: Path) -> Iterator[TestClient]:
    """A service with logs in ``tmp_path``."""
    recorder = Recorder(classifier, Logs(folder=tmp_path))
    app = ingress.create(classifier, max_body_bytes=200_000, recorder=recorder)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    recorder.close()


def label(**changes: Any) -> dict[str, Any]:
    """A label as a reader would send it."""
    return {"prediction": str(uuid.UUID(int=7)), "label": "PNEUMONIA", **changes}


def test_label_is_taken_and_counts_once(service: TestClient, tmp_path: Path) -> None:
    """Sent twice it is one; it is on the disk when 202 comes."""
    for _ in range(2):
        answer = service.post("/v1/labels", json=label())
        assert (answer.status_code, answer.json()) == (202, label())

    (late,) = stored.read(tmp_path)
    assert (late.prediction, late.label, late.readers) == (label()["prediction"], "PNEUMONIA", 1)


def test_names_are_hashed_before_they_are_stored(service: TestClient, tmp_path: Path) -> None:
    """Reader and patient can be told apart, not read."""
    told = label(reader="Dr Jane Doe", patient="MRN 0815", site="ward 3")

    assert service.post("/v1/labels", json=told).status_code == 202

    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*.jsonl"))
    assert b"Jane" not in written
    assert b"0815" not in written
    (late,) = stored.read(tmp_path)
    assert late.patient.startswith("patient-")
    assert late.site == "ward 3"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"label": "MEASLES"}, "expected one of ['NORMAL', 'PNEUMONIA']"),
        ({"prediction": "no id"}, "prediction"),
        ({"name": "Jane"}, "Extra inputs are not permitted"),
        ({"site": "../ward"}, "site"),
        ({"reader": ""}, "reader"),
    ],
    ids=["label", "id", "extra", "site", "reader"],
)
def test_mistake_is_told_and_nothing_is_stored(
    service: TestClient, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    """A wrong label must not change a figure months later."""
    answer = service.post("/v1/labels", json=label(**changes))

    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert stored.read(tmp_path) == []


def test_label_that_can_not_be_stored_is_refused(service: TestClient, tmp_path: Path) -> None:
    """Nobody is told that a label was taken which is not on the disk."""
    (tmp_path / LABELS).write_text("in the way")

    answer = service.post("/v1/labels", json=label())

    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
