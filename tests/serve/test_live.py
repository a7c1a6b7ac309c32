"""A model that takes another's place while films are being answered."""

import asyncio
import gc
import logging
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Input, Prediction, Predictor
from lucency.store.store import State, Store
from serve import ingress
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.live import Leaving, Live, Loading, Succession, Watcher
from serve.telemetry import Telemetry


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Replica:
    """What a replica holds, without Ray, over a store of two versions of which one answers."""

    def __init__(self, store: Store, registry: CollectorRegistry) -> None:
        self.store = store
        self.registry = registry
        self.clock = Clock()
        self.loaded: list[str] = []
        predictor = Predictor(store.path())
        self.telemetry = Telemetry(PlainBackend(registry), predictor.artifact.version)
        self.live = Live(self._classifier(predictor, self.telemetry))
        loading = Loading(store, self.load, predictor.card.labels, self.clock)
        self.succession = Succession(self.live, loading, "champion")
        self.watcher = Watcher(store, [self.succession], every_s=0.02)

    def load(self, path: Path) -> Classifier:
        """As the application does, and noted."""
        self.loaded.append(path.name)
        predictor = Predictor(path)
        return self._classifier(predictor, self.telemetry.of(predictor.artifact.version))

    def gauge(self, name: str, version: str) -> float | None:
        """One number of one version."""
        return self.registry.get_sample_value(name, {"model_version": version})

    @staticmethod
    def _classifier(predictor: Predictor, telemetry: Telemetry) -> Classifier:
        return Classifier(predictor, telemetry, threads=1, drift_window=100)


@pytest.fixture
def versions(bundle: Artifact, tmp_path: Path) -> list[Artifact]:
    """The shared model, and one that is less sure of everything."""
    other = tmp_path / "other"
    shutil.copytree(bundle.path, other)
    card = bundle.model.model_copy(update={"temperature": 4.0})
    changed = {artifact.MODEL: card.model_dump_json().encode()}
    return [bundle, artifact.with_files(Artifact.load(other), changed)]


@pytest.fixture
def replica(
    versions: list[Artifact], tmp_path: Path, registry: CollectorRegistry
) -> Iterator[Replica]:
    """A replica that answers with the first version."""
    store = Store(tmp_path / "store")
    store.promote(versions[0], "first")
    made = Replica(store, registry)
    yield made
    made.watcher.close()


def test_moved_alias_is_followed(replica: Replica, versions: list[Artifact]) -> None:
    """One look after a promotion the new model answers, after a rollback the old one."""
    replica.store.promote(versions[1], "better")
    replica.watcher.look()
    after = replica.live.predictor.artifact.version
    replica.store.rollback("alarm")
    replica.watcher.look()

    assert after == versions[1].version
    assert replica.live.predictor.artifact.version == versions[0].version


def test_alias_that_stays_loads_nothing(replica: Replica) -> None:
    """A look costs no model."""
    for _ in range(3):
        replica.watcher.look()

    assert replica.loaded == []


def test_no_request_is_dropped_in_a_switch(
    replica: Replica, versions: list[Artifact], film: bytes
) -> None:
    """Films asked for without a pause are all answered, first by one model, then by the other."""
    app = ingress.create(replica.live, max_body_bytes=200_000)
    first, second = (version.version for version in versions)
    answers: list[tuple[int, str, float]] = []
    with TestClient(app, raise_server_exceptions=False) as client:
        replica.watcher.start()
        replica.store.promote(versions[1], "better")
        while len(answers) < 2000 and (not answers or answers[-1][1] == first):
            found = client.post("/v1/predict", content=film)
            body = found.json()
            answers.append((found.status_code, body["model"]["version"], body["probability"]))
        answers += [
            (found.status_code, found.json()["model"]["version"], found.json()["probability"])
            for found in (client.post("/v1/predict", content=film) for _ in range(3))
        ]

    said = [version for _, version, _ in answers]
    promised = {each.version: Predictor(each.path).predict_bytes(film) for each in versions}
    assert {status for status, _, _ in answers} == {200}
    assert said == [first] * said.count(first) + [second] * said.count(second)
    assert said[-1] == second
    assert all(given == pytest.approx(promised[by].probability) for _, by, given in answers)


def test_film_that_came_before_the_switch_is_the_old_models(
    replica: Replica, versions: list[Artifact], film: bytes
) -> None:
    """What one model has decoded the other never sees, and the answer says who gave it."""
    old = replica.live.champion
    waits = asyncio.Event()

    async def slow(asked: Input) -> Prediction:
        await waits.wait()
        return (await old.run([asked]))[0]

    old.infer = slow

    async def during() -> tuple[str, str]:
        early = asyncio.create_task(replica.live.classify(film))
        await asyncio.sleep(0.1)
        replica.store.promote(versions[1], "better")
        replica.watcher.look()
        late = await replica.live.classify(film)
        waits.set()
        by = [(await early).classifier, late.classifier]
        return by[0].predictor.artifact.version, by[1].predictor.artifact.version

    assert asyncio.run(during()) == (versions[0].version, versions[1].version)


def test_gauges_say_which_model_is_in_force(replica: Replica, versions: list[Artifact]) -> None:
    """The version that answered goes to 0, the one that answers to 1, films count for theirs."""
    replica.store.promote(versions[1], "better")
    replica.watcher.look()

    assert replica.gauge("lucency_model_info", versions[0].version) == 0
    assert replica.gauge("lucency_model_info", versions[1].version) == 1


def test_gauges_of_a_model_end_with_it(replica: Replica, versions: list[Artifact]) -> None:
    """An alarm of a model that answers no more would stand for ever; the log's state goes over."""
    watcher = Watcher(replica.store, [replica.succession, Leaving(replica.live)], every_s=1)
    old, new = (each.version for each in versions)
    replica.telemetry.rollout(3, 0.25)
    replica.telemetry.log(healthy=False, errors=1)
    replica.telemetry.prediction("positive")
    watcher.look()
    replica.store.promote(versions[1], "better")
    watcher.look()
    stage = [replica.gauge("lucency_rollout_stage", old)]
    watcher.look()

    stage.append(replica.gauge("lucency_rollout_stage", old))
    assert stage == [3, None]
    assert replica.gauge("lucency_log_healthy", old) is None
    assert replica.gauge("lucency_log_healthy", new) == 0
    assert replica.gauge("lucency_model_info", old) == 0
    assert replica.gauge("lucency_log_write_errors_total", old) == 1  # counters stay
    assert replica.store.rollback("it was not")
    for _ in range(3):
        watcher.look()
    replica.live.telemetry.rollout(1, 0.01)
    assert replica.gauge("lucency_rollout_stage", old) == 1


def test_damaged_version_leaves_the_old_one_in_force(
    replica: Replica, versions: list[Artifact], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and counted once a try, and tries are further and further apart."""
    version = replica.store.promote(versions[1], "better")
    graph = replica.store.path() / artifact.GRAPH
    whole = graph.read_bytes()
    graph.write_bytes(b"")
    caplog.set_level(logging.ERROR)

    tries = []
    for now in range(0, 200, 10):
        replica.clock.now = now
        before = len(replica.loaded)
        replica.watcher.look()
        tries += [now] if len(replica.loaded) > before else []
    stayed = replica.live.predictor.artifact.version
    graph.write_bytes(whole)
    replica.clock.now = 1000
    replica.watcher.look()

    assert tries == [0, 30, 90]
    assert stayed == versions[0].version
    assert replica.gauge("lucency_load_failures_total", versions[0].version) == 3
    assert f"version {version}" in caplog.text
    assert replica.live.predictor.artifact.version == version


def test_other_golden_logits_leave_the_old_one_in_force(
    replica: Replica, versions: list[Artifact]
) -> None:
    """A bundle that answers otherwise on this machine is never switched to."""
    promised = versions[1].golden[0]
    other = promised.model_copy(update={"logits": (promised.logits[0] + 1,)})
    text = f"[{other.model_dump_json()}]".encode()
    wrong = artifact.with_files(versions[1], {artifact.GOLDEN: text})

    replica.store.promote(wrong, "better")
    replica.watcher.look()

    assert replica.live.predictor.artifact.version == versions[0].version


def test_model_of_other_classes_is_no_successor(replica: Replica, versions: list[Artifact]) -> None:
    """Callers would take one finding for another: it is left to a service of its own."""
    card = versions[1].model.model_copy(update={"labels": ("NORMAL", "FRACTURE")})
    other = artifact.with_files(versions[1], {artifact.MODEL: card.model_dump_json().encode()})

    replica.store.promote(other, "better")
    replica.watcher.look()

    assert replica.live.predictor.artifact.version == versions[0].version
    assert replica.gauge("lucency_load_failures_total", versions[0].version) == 1


def test_store_that_is_gone_changes_nothing(
    replica: Replica, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A share that is away is logged once, and the model goes on answering."""
    (tmp_path / "store" / "history.jsonl").write_text("broken\n")

    for _ in range(3):
        replica.watcher.look()

    assert replica.live.predictor.artifact.version
    assert len([each for each in caplog.records if "a look at store" in each.message]) == 1


def test_old_model_is_freed(replica: Replica, versions: list[Artifact]) -> None:
    """A period after the switch nothing holds what answered before it."""
    old = weakref.ref(replica.live.champion)
    replica.store.promote(versions[1], "better")
    gc.disable()
    try:
        replica.watcher.look()
        replica.watcher.look()
    finally:
        gc.enable()

    assert old() is None


def test_models_are_listed_as_they_are_now(replica: Replica, versions: list[Artifact]) -> None:
    """What the service says of itself moves with the switch."""
    replica.store.promote(versions[1], "better")

    with TestClient(ingress.create(replica.live, max_body_bytes=200_000)) as client:
        before = client.get("/v1/model").json()["temperature"]
        replica.watcher.look()
        after = client.get("/v1/model").json()["temperature"]
        listed = [each["version"] for each in client.get("/v1/models").json()["models"]]

    assert (before, after) == (1.5, 4.0)
    assert listed == [versions[1].version]


def test_empty_store_is_no_order_to_stop(replica: Replica) -> None:
    """Without the alias what answers goes on answering."""
    replica.succession.look(State({}))

    assert replica.live.predictor.artifact.version
