"""Hostile bodies on every route that takes films: no fault of ours, no growth, no name anywhere."""

import gc
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from serve import ingress
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.telemetry import Telemetry
from tests import hostile, hostile_dicom

# Pillow warns of damaged EXIF data; in tests alone a warning is an error.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
NAME = "Mustermann"
INFER = "/v2/models/test/infer"
# A body larger than this is another test's; these are all sent whole.
LIMIT = 2 * 2**20


def named() -> list[bytes]:
    """DICOM films with a patient's name in every field that may hold one, whole and damaged."""
    fields: dict[str, Any] = {
        "PatientName": f"{NAME}^Erika",
        "PatientID": NAME,
        "PatientComments": NAME,
        "StudyDescription": NAME,
        "InstitutionName": NAME,
        "ReferringPhysicianName": NAME,
    }
    bad: list[dict[str, Any]] = [
        {},
        {"PhotometricInterpretation": NAME.upper()},
        {"VOILUTFunction": NAME.upper(), "WindowCenter": 9, "WindowWidth": 9},
        {"BitsStored": 3},
        {"Rows": 20_000, "Columns": 20_000},
    ]
    whole = [hostile_dicom.encode(hostile_dicom.film(**{**fields, **each})) for each in bad]
    return [*whole, whole[0][:-900], whole[0][:400], whole[0][132:], fields["PatientName"].encode()]


def bodies() -> list[bytes]:
    """More than two hundred: pictures, DICOM films, both cut and flipped, text, rubbish."""
    pictures = [each.data for each in hostile.images()]
    dicoms = [data for _, data, _ in hostile_dicom.hostile_dicoms()]
    random = np.random.default_rng(0)
    good = [hostile.good(1), hostile_dicom.encode(hostile_dicom.film())]
    cut = [data[: int(random.integers(1, len(data)))] for data in good for _ in range(15)]
    flipped = []
    for data in good * 15:
        changed = bytearray(data)
        changed[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        flipped.append(bytes(changed))
    rubbish = [random.bytes(int(size)) for size in random.integers(0, 4000, 20)]
    starts = [start + random.bytes(500) for start in (hostile.PNG, b"\xff\xd8\xff", b"GIF89a")]
    found = [*named(), *pictures, *dicoms, *cut, *flipped, *rubbish, *starts]
    return [data for data in found if len(data) <= LIMIT]


@pytest.fixture(scope="module")
def sent() -> list[bytes]:
    """All bodies, made once."""
    found = bodies()
    assert len(found) >= 200
    return found


@pytest.fixture(scope="module")
def service(bundle: Artifact) -> Iterator[tuple[TestClient, CollectorRegistry]]:
    """The service and its metrics; what it can't answer it raises nowhere."""
    registry = CollectorRegistry()
    telemetry = Telemetry(PlainBackend(registry), bundle.version)
    classifier = Classifier(Predictor(bundle.path), telemetry, threads=1, drift_window=100)
    app = ingress.create(classifier, max_body_bytes=LIMIT, registry=registry)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, registry


def resident_bytes() -> int:
    """Memory that this process holds."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


def test_no_body_is_our_fault_and_no_name_is_told(
    service: tuple[TestClient, CollectorRegistry],
    sent: list[bytes],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Each is answered or refused with a problem; no name is in an answer, a log or a metric."""
    client, registry = service
    caplog.set_level(logging.DEBUG)

    answers = [client.post("/v1/predict", content=data) for data in sent]

    for answer in answers:
        assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "application/problem+json"
    assert {200, 413, 415, 422} <= {answer.status_code for answer in answers}
    told = [*(answer.text for answer in answers), *(str(answer.headers) for answer in answers)]
    told += [caplog.text, *capfd.readouterr(), generate_latest(registry).decode()]
    assert not [text for text in told if NAME.lower() in text.lower()]


def test_every_route_refuses_alike(
    service: tuple[TestClient, CollectorRegistry], sent: list[bytes]
) -> None:
    """A sample of them as forms, batches, maps and tensors: never 5xx, never a name."""
    client, _ = service

    for data in [*named(), *sent[::12]]:
        found = [
            client.post("/v1/predict", files={"image": (f"{NAME}.dcm", data)}),
            client.post("/v1/predict:batch", files=[("image", data), ("image", data)]),
            client.post("/v1/explain", content=data),
            client.post(INFER, content=data),
            client.post(
                "/v1/predict", content=data, headers={"content-type": "multipart/form-data"}
            ),
            client.post(
                "/v1/predict",
                content=b"--x\r\n" + data,
                headers={"content-type": "multipart/form-data; boundary=x"},
            ),
        ]
        assert all(answer.status_code < 500 for answer in found), [each.text for each in found]
        assert not [each for each in found if NAME.lower() in each.text.lower()]


def test_memory_does_not_grow(
    service: tuple[TestClient, CollectorRegistry], sent: list[bytes]
) -> None:
    """A second round of all bodies takes no more memory than the first left behind."""
    client, _ = service
    small = [data for data in sent if len(data) < 100_000]
    for data in small:
        client.post("/v1/predict", content=data)
    before = resident_bytes()

    for data in small:
        client.post("/v1/predict", content=data)

    # All bodies together have some megabytes; what is kept of each would show.
    assert resident_bytes() - before < 8 * 2**20
