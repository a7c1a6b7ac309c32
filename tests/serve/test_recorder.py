"""What a replica writes down, and what it does when it can't."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from lucency.audit import key as keys
from lucency.audit import predictions
from lucency.audit.verify import verify
from lucency.config.serve import Logs
from lucency.errors import ConfigError
from serve import ingress
from serve.classifier import Classifier
from serve.recorder import Recorder
from tests.processes import wait_until

Start = Callable[..., TestClient]


@pytest.fixture
def start(classifier: Classifier, tmp_path: Path) -> Iterator[Start]:
    """A service that logs to ``tmp_path/logs``."""
    with ExitStack() as stack:

        def started(**settings: Any) -> TestClient:
            recorder = Recorder(classifier, Logs(folder=tmp_path / "logs", **settings))
            stack.callback(recorder.close)
            app = ingress.create(classifier, max_body_bytes=200_000, recorder=recorder)
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield started


def lines(folder: Path) -> list[dict[str, Any]]:
    """What the audit log holds beside beginnings of files."""
    found = [
        json.loads(line)
        for path in sorted((folder / "audit").glob("*/*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return [line for line in found if line["kind"] != "begin"]


def test_answer_is_in_the_log_before_it_is_sent(start: Start, film: bytes, tmp_path: Path) -> None:
    """Who, when, what, which model, decision and the film's keyed hash, under the answer's id."""
    client = start()

    answer = client.post("/v1/predict", content=film, headers={"Lucency-Site": "ward 3"}).json()

    (line,) = lines(tmp_path / "logs")
    told = ("id", "probability", "decision", "reason", "label")
    assert {name: line[name] for name in told} == {name: answer[name] for name in told}
    assert (line["model"], line["version"]) == (answer["model"]["name"], answer["model"]["version"])
    assert (line["who"], line["what"], line["site"]) == ("anyone", "/v1/predict", "other")
    assert line["film"] == keys.load(tmp_path / "logs").film(film)
    assert predictions.read(tmp_path / "logs").column("id").to_pylist() == [answer["id"]]


def test_no_film_name_or_header_text_is_stored(start: Start, film: bytes, tmp_path: Path) -> None:
    """Not its bytes, the name of its file, nor words in headers and fields."""
    client = start()
    secret = "Jane Doe 1950"

    client.post(
        "/v1/predict",
        files={"image": (f"{secret}.jpeg", film, "image/jpeg")},
        headers={"Lucency-Patient": secret, "User-Agent": secret},
    )
    client.post("/v1/predict", content=film, headers={"Lucency-Site": f"{secret}/../x"})
    client.post("/v1/predict", content=b"\xff\xd8\xff" + secret.encode() * 20)

    stored = b"".join(path.read_bytes() for path in (tmp_path / "logs").rglob("*.jsonl"))
    assert [line["kind"] for line in lines(tmp_path / "logs")] == ["prediction", "refusal"]
    assert secret.encode() not in stored
    assert b"Jane" not in stored
    assert film[:16].hex().encode() not in stored


def test_refused_film_is_in_the_log_with_its_code(start: Start, tmp_path: Path) -> None:
    """A film that can't be used was sent all the same."""
    client = start()

    answer = client.post("/v1/predict", content=b"no film")

    (line,) = lines(tmp_path / "logs")
    assert answer.status_code == 415
    assert (line["kind"], line["reason"]) == ("refusal", "unsupported_type")
    assert len(predictions.read(tmp_path / "logs")) == 0


def test_nothing_is_answered_unlogged(
    start: Start, film: bytes, tmp_path: Path, registry: CollectorRegistry
) -> None:
    """Where the log must be written and can't be: 503, a reason, when to come again, an alarm."""
    client = start()
    (tmp_path / "logs" / "audit").write_text("in the way")

    first = client.post("/v1/predict", content=film)
    second = client.post("/v1/predict", content=film)

    for answer in (first, second):
        assert answer.status_code == 503
        assert "nothing is answered that is not logged" in answer.json()["detail"]
        assert str(tmp_path) not in answer.text
        assert int(answer.headers["Retry-After"]) > 0
    samples = {
        sample.name: sample.value for metric in registry.collect() for sample in metric.samples
    }
    assert samples["lucency_log_healthy"] == 0


def test_service_mends_itself(start: Start, film: bytes, tmp_path: Path) -> None:
    """With space again it answers, without a restart."""
    client = start()
    (tmp_path / "logs" / "audit").write_text("in the way")
    assert client.post("/v1/predict", content=film).status_code == 503
    (tmp_path / "logs" / "audit").unlink()

    wait_until(lambda: client.post("/v1/predict", content=film).status_code == 200, 10, "an answer")

    folder = tmp_path / "logs"
    assert [line["kind"] for line in lines(folder)][:2] == ["gap", "prediction"]
    assert verify(folder / "audit", keys.load(folder)).problems == []


@pytest.mark.parametrize("durable", [True, False])
def test_where_logs_are_not_required_films_are_answered(
    start: Start, film: bytes, tmp_path: Path, durable: bool
) -> None:
    """A hospital may rather have an answer than a line."""
    client = start(required=False, durable=durable)
    (tmp_path / "logs" / "audit").write_text("in the way")

    assert client.post("/v1/predict", content=film).status_code == 200


def test_required_and_not_durable_is_refused(tmp_path: Path) -> None:
    """Nothing could keep the promise that no answer is unlogged."""
    told = {"folder": str(tmp_path), "required": True, "durable": False}

    with pytest.raises(ConfigError, match="set both, or required: false"):
        Logs.from_mapping(told, "logs")


def test_service_without_logs_writes_nothing(classifier: Classifier, film: bytes) -> None:
    """Answers have ids all the same, and late labels nowhere to go."""
    client = TestClient(ingress.create(classifier, max_body_bytes=200_000))

    assert len(client.post("/v1/predict", content=film).json()["id"]) == 36
    assert client.post("/v1/labels", json={}).status_code == 404


def test_two_replicas_write_files_of_their_own(start: Start, film: bytes, tmp_path: Path) -> None:
    """They share a folder and a key, and the whole verifies."""
    for client in (start(), start()):
        assert client.post("/v1/predict", content=film).status_code == 200

    folder = tmp_path / "logs"
    assert len(list((folder / "audit").glob("*/*.jsonl"))) == 2
    assert verify(folder / "audit", keys.load(folder)).problems == []
    assert len({line["film"] for line in lines(folder)}) == 1


def test_logs_can_go(start: Start, film: bytes, tmp_path: Path) -> None:
    """A folder that is taken away is told of: the file that is written to is nobody's any more."""
    client = start()
    assert client.post("/v1/predict", content=film).status_code == 200
    folder = tmp_path / "logs"
    key = keys.load(folder)
    (path,) = (folder / "audit").glob("*/*.jsonl")
    shutil.rmtree(path.parent)

    (problem,) = verify(folder / "audit", key).problems

    assert "removed" in str(problem)
