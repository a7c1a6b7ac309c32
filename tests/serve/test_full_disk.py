"""The disk of the logs, filled under a running service and freed again."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from lucency.audit import key as keys
from lucency.audit import predictions
from lucency.audit.labels import LABELS
from lucency.audit.predictions import AUDIT
from lucency.audit.verify import verify
from lucency.config.serve import Logs
from serve import ingress
from serve.classifier import Classifier
from serve.recorder import Recorder
from tests.processes import wait_until
from tests.serve.disks import Disk, small
from tests.serve.listening import listening

Start = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Empty, of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small(folder) as disk:
        yield disk


@pytest.fixture
def start(classifier: Classifier, disk: Disk) -> Start:
    """A replica that logs to the disk, and a client of it."""

    @contextmanager
    def started(**settings: Any) -> Iterator[httpx.Client]:
        recorder = Recorder(classifier, Logs(folder=disk.folder / "logs", **settings))
        app = ingress.create(classifier, max_body_bytes=200_000, recorder=recorder)
        try:
            with (
                listening(app) as address,
                httpx.Client(base_url=f"http://{address}", trust_env=False) as client,
            ):
                yield client
        finally:
            recorder.close()

    return started


def send(client: httpx.Client, film: bytes, count: int) -> tuple[set[str], list[httpx.Response]]:
    """Films one after the other: the ids of the answered, and the refusals."""
    answers = [client.post("/v1/predict", content=film) for _ in range(count)]
    refused = [answer for answer in answers if answer.status_code != 200]
    return {answer.json()["id"] for answer in answers if answer.status_code == 200}, refused


def full(client: httpx.Client, film: bytes) -> set[str]:
    """Send until the disk refuses, for the file's last block may have room: what was answered."""
    answered: set[str] = set()
    for _ in range(40):
        ids, refused = send(client, film, 1)
        answered |= ids
        if refused:
            return answered
    raise AssertionError("forty lines fitted on a full disk")


def logged(folder: Path) -> list[dict[str, Any]]:
    """Every whole line of the audit log."""
    return [
        json.loads(line)
        for path in sorted((folder / AUDIT).glob("*/*.jsonl"))
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    ]


def ids(folder: Path) -> list[str]:
    """The predictions that the audit log knows."""
    return [line["id"] for line in logged(folder) if line["kind"] == "prediction"]


@pytest.mark.parametrize("part_rows", [2, 5000], ids=["columns too", "journal alone"])
def test_full_disk_stops_answers_and_loses_none(
    start: Start, disk: Disk, film: bytes, part_rows: int
) -> None:
    """503 with a reason while nothing can be logged; before and after it what is answered is."""
    folder = disk.folder / "logs"
    with start(part_rows=part_rows) as client:
        answered, refused = send(client, film, 5)
        assert refused == []
        disk.fill()

        answered |= full(client, film)
        during, refused = send(client, film, 20)

        assert during == set()
        assert {answer.status_code for answer in refused} == {503}
        for answer in refused:
            assert "nothing is answered that is not logged" in answer.json()["detail"]
            assert int(answer.headers["Retry-After"]) > 0
        assert sorted(ids(folder)) == sorted(answered)

        disk.free()
        wait_until(lambda: bool(send(client, film, 1)[0]), 20, "an answer")
        answered |= send(client, film, 5)[0]

    found = ids(folder)
    assert len(found) == len(set(found)) == len(answered) + 1
    assert answered < set(found)
    assert [line["kind"] for line in logged(folder)].count("gap") == 1
    assert verify(folder / AUDIT, keys.load(folder)).problems == []
    assert sorted(map(str, predictions.read(folder).column("id").to_pylist())) == sorted(found)


def test_replica_may_start_on_a_full_disk(start: Start, disk: Disk, film: bytes) -> None:
    """It refuses films, says so, and answers as soon as there is space."""
    with start() as client:
        send(client, film, 1)
    disk.fill()

    with start() as client:
        assert client.get("/readyz").status_code == 200
        full(client, film)
        disk.free()
        wait_until(lambda: bool(send(client, film, 1)[0]), 20, "an answer")

    folder = disk.folder / "logs"
    assert verify(folder / AUDIT, keys.load(folder)).problems == []


def test_late_label_is_refused_on_a_full_disk(start: Start, disk: Disk, film: bytes) -> None:
    """A label that was accepted is on the disk; one that was not is told so, and may come again."""
    with start() as client:
        (prediction,) = send(client, film, 1)[0]
        label = {"prediction": prediction, "label": "PNEUMONIA"}
        assert client.post("/v1/labels", json=label).status_code == 202
        disk.fill()

        told = [client.post("/v1/labels", json=label).status_code for _ in range(40)]
        disk.free()
        wait_until(lambda: client.post("/v1/labels", json=label).status_code == 202, 20, "a label")

    folder = disk.folder / "logs"
    assert told[-1] == 503
    assert set(told) <= {202, 503}
    assert verify(folder / LABELS, keys.load(folder)).problems == []


def test_where_logs_are_not_required_a_full_disk_costs_lines(
    start: Start, disk: Disk, film: bytes, registry: CollectorRegistry
) -> None:
    """Films are answered throughout; what is not logged is counted, and the log tells of it."""
    folder = disk.folder / "logs"
    with start(required=False) as client:
        answered = send(client, film, 3)[0]
        disk.fill()

        during, refused = send(client, film, 30)
        errors = registry.get_sample_value(
            "lucency_log_write_errors_total", {"model_version": version(registry)}
        )
        disk.free()
        wait_until(lambda: any(x["kind"] == "gap" for x in logged(folder)), 20, "the gap")

    assert refused == []
    missing = (answered | during) - set(ids(folder))
    assert errors is not None
    assert 0 < len(missing) <= errors
    (gap,) = [line for line in logged(folder) if line["kind"] == "gap"]
    assert gap["lost"] == len(missing)
    assert verify(folder / AUDIT, keys.load(folder)).problems == []


def version(registry: CollectorRegistry) -> str:
    """Of the model that the metrics name."""
    found = [each for metric in registry.collect() for each in metric.samples]
    (model,) = [sample for sample in found if sample.name == "lucency_model_info"]
    return model.labels["model_version"]
