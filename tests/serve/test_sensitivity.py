"""Late labels as a service sees them: figures while it runs, and the end of a bad challenger."""

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from lucency.audit import labels, predictions
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.serve import LateLabels, Logs
from lucency.datasets.phantom import Phantom
from lucency.evaluation.intervals import wilson
from lucency.reevaluation import judge
from lucency.reevaluation.films import join
from lucency.rollout.plan import Guards, Plan
from lucency.store.store import Store
from serve import ingress
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.live import Live, Loading
from serve.recorder import Recorder
from serve.rollout import Rollout
from serve.sensitivity import Sensitivity
from serve.telemetry import Telemetry

ILL, WELL = "PNEUMONIA", "NORMAL"
START = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Service:
    """A service over a store, with real logs, without Ray."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.logs = Logs(folder=folder, late=LateLabels(every_s=30))
        predictor = Predictor(store.path())
        self.telemetry = Telemetry(PlainBackend(self.registry), predictor.artifact.version)
        self.live = Live(Classifier(predictor, self.telemetry, threads=1, drift_window=100))
        self.late = Sensitivity(self.live, self.logs, ILL, clock=self.clock)
        loading = Loading(store, self._load, predictor.card.labels)
        # No other guard has the films to speak.
        guards = Guards(least_positives=10, drift=False, least_films=1000)
        plan = Plan(shares=(0.5, 1.0), shadow=0, least_s=60, patience_s=60, guards=guards)
        told = {"labels": self.late.counted, "clock": self.clock}
        self.rollout = Rollout(self.live, store, loading, plan, "a", **told)  # type: ignore[arg-type]
        self.recorder = Recorder(self.live, self.logs)
        app = ingress.create(self.live, max_body_bytes=200_000, recorder=self.recorder)
        self.client = TestClient(app)

    def _load(self, path: Path) -> Classifier:
        predictor = Predictor(path)
        telemetry = self.telemetry.of(predictor.artifact.version)
        return Classifier(predictor, telemetry, threads=1, drift_window=100)

    def look(self) -> None:
        """What the watcher does, half a minute later."""
        self.clock.now += 31
        state = self.store.state()
        self.rollout.look(state)
        self.late.look(state)

    def predict(self, films: Sequence[bytes]) -> list[dict[str, Any]]:
        """The answers."""
        return [self.client.post("/v1/predict", content=film).json() for film in films]

    def label(self, answer: dict[str, Any], label: str, **told: str) -> None:
        """A late label by HTTP."""
        body = {"prediction": answer["id"], "label": label, **told}
        assert self.client.post("/v1/labels", json=body).status_code == 202

    def gauge(self, name: str, version: str = "", **told: str) -> float | None:
        """One number, of the champion unless said otherwise."""
        version = version or self.live.predictor.artifact.version
        return self.registry.get_sample_value(name, {"model_version": version, **told})

    def bound(self, name: str) -> float | None:
        """An end of the sensitivity."""
        return self.gauge("lucency_sensitivity", bound=name)


@pytest.fixture(scope="module")
def films() -> list[bytes]:
    """Sixty drawn films."""
    return [sample.read() for sample in Phantom(patients=60, size=48, max_films=1)]


@pytest.fixture(scope="module")
def versions(
    bundle: Artifact, films: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> list[Artifact]:
    """A model that calls half of the films positive, and one that calls none."""
    given = sorted(Predictor(bundle.path).predict_bytes(film).probability for film in films)
    made = []
    for threshold in (given[len(given) // 2], 1.0):
        folder = tmp_path_factory.mktemp("version") / "bundle"
        shutil.copytree(bundle.path, folder)
        card = bundle.model.model_copy(update={"threshold": threshold})
        changed = {artifact.MODEL: card.model_dump_json().encode()}
        made.append(artifact.with_files(Artifact.load(folder), changed))
    return made


@pytest.fixture
def service(versions: list[Artifact], tmp_path: Path) -> Iterator[Service]:
    """The first version is in force."""
    store = Store(tmp_path / "store")
    store.promote(versions[0], "first")
    made = Service(store, tmp_path / "logs")
    with made.client:
        yield made
    made.recorder.close()


def test_gauges_are_the_hand_count(service: Service, films: list[bytes]) -> None:
    """Of twenty ill films as many as the model called, with Wilson's bounds, and its own floor."""
    answers = service.predict(films[:40])
    for number, answer in enumerate(answers):
        service.label(answer, ILL if number < 20 else WELL)
    service.look()

    called = sum(answer["label"] == ILL for answer in answers[:20])
    rule = service.live.predictor.card.rule
    expected = wilson(called / 20, 20, rule.confidence)
    assert 0 < called < 20
    assert service.bound("estimate") == pytest.approx(called / 20)
    assert service.bound("lower") == pytest.approx(expected.lower)
    assert service.bound("upper") == pytest.approx(expected.upper)
    assert service.bound("floor") == rule.sensitivity_floor
    assert service.gauge("lucency_late_labels") == 20


def test_labels_are_looked_for_again_and_again(service: Service, films: list[bytes]) -> None:
    """What comes later counts at the next look, and not before it is due."""
    answers = service.predict(films[:4])
    service.look()
    nothing = service.gauge("lucency_late_labels")
    for answer in answers:
        service.label(answer, ILL)
    service.late.look(service.store.state())  # too early
    early = service.gauge("lucency_late_labels")
    service.look()

    assert (nothing, early, service.gauge("lucency_late_labels")) == (0, 0, 4)
    service.label(answers[0], WELL)  # the same reader thinks better of it
    service.look()
    assert service.gauge("lucency_late_labels") == 3


def test_challenger_that_misses_is_withdrawn(
    service: Service, versions: list[Artifact], films: list[bytes]
) -> None:
    """Late labels of its own films end its trial, with the count in the reason."""
    service.store.promote(versions[1], "try it", challenger=True)
    for _ in range(3):
        service.look()
    answers = service.predict(films)
    tried = [each for each in answers if each["model"]["version"] == versions[1].version]
    for answer in tried:
        service.label(answer, ILL)
    service.look()
    service.look()

    line = service.store.history()[-1]
    assert len(tried) >= 20
    assert line["action"] == "withdraw"
    assert line["reason"].startswith(
        f"rollout: sensitivity by late labels: 0 of {len(tried)} found, at most"
    )
    assert service.store.aliases() == {"champion": versions[0].version}
    assert line["figures"]["counts"]["challenger"]["positives"] == len(tried)


def test_challenger_without_labels_stays(
    service: Service, versions: list[Artifact], films: list[bytes]
) -> None:
    """Labels of the champion's films say nothing of it."""
    service.store.promote(versions[1], "try it", challenger=True)
    for _ in range(3):
        service.look()
    for answer in service.predict(films):
        if answer["model"]["version"] == versions[0].version:
            service.label(answer, ILL)
    for _ in range(2):
        service.look()

    assert service.store.aliases()["challenger"] == versions[1].version
    assert service.late.counted(versions[1].version) == (0, 0)
    assert service.late.counted(versions[0].version)[0] > 10


def test_nothing_is_said_before_the_log_is_read(service: Service, films: list[bytes]) -> None:
    """A replica that starts beside a long log shows no figure of half of it."""
    for answer in service.predict(films[:12]):
        service.label(answer, ILL)
    service.late._answered._block = 2000
    shown = []
    for _ in range(8):
        service.late.look(service.store.state())
        shown.append(service.gauge("lucency_late_labels"))

    assert shown[0] is None
    assert shown[-1] == 12
    assert {*shown} == {None, 12.0}


class Log:
    """A made-up log of months, in the form of the journals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.numbers: dict[Path, int] = {}

    def write(self, journal: str, at: datetime, **line: Any) -> None:
        """One line of one of two replicas."""
        path = self.folder / journal / at.date().isoformat() / f"r{at.second % 2}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.numbers[path] = number = self.numbers.get(path, 0) + 1
        whole = {**line, "at": at.isoformat(timespec="milliseconds"), "n": number}
        with path.open("a") as stream:
            stream.write(json.dumps(whole, sort_keys=True, separators=(",", ":")) + "\n")


def made_up(folder: Path, versions: Sequence[str]) -> None:
    """Films seen twice, several of a patient, labels of positives more often, readers at odds."""
    rng, log = random.Random(7), Log(folder)
    for number in range(600):
        at = START + timedelta(hours=number, seconds=rng.randrange(60))
        place = rng.randrange(500)
        film, patient = f"{place:016x}" + "0" * 48, place // 3
        # Films of a patient are alike, so bounds by film would be too narrow.
        ill = patient * 7 % 10 < 4
        called = ILL if (patient % 6 > 0 if ill else patient % 10 == 5) else WELL
        identity = f"{rng.getrandbits(128):032x}"
        identity = "-".join((identity[:8], identity[8:12], identity[12:16], identity[16:20],
                             identity[20:]))  # fmt: skip
        told = {"version": rng.choice(versions), "film": film, "label": called, "site": ""}
        log.write("audit", at, kind="prediction", id=identity, **told)
        if rng.random() < (0.7 if called == ILL else 0.3):
            for reader in range(rng.choice((1, 1, 2, 3))):
                truth = ill ^ (rng.random() < 0.1)
                log.write(
                    "labels",
                    at + timedelta(days=2, minutes=reader),
                    kind="label",
                    prediction=identity,
                    label=ILL if truth else WELL,
                    reader=f"reader-{reader}",
                    patient=f"patient-{patient}" if number % 5 else "",
                    site="",
                )


def test_figures_are_those_of_the_job(service: Service, versions: list[Artifact]) -> None:
    """Counts, estimate and bounds are what jobs/reevaluate.py finds in the same logs."""
    names = [service.live.predictor.artifact.version, "another"]
    made_up(service.logs.folder, names)
    end = START + timedelta(days=30)
    late = Sensitivity(service.live, service.logs, ILL, now=lambda: end)
    joined = join(
        predictions.read(service.logs.folder), labels.read(service.logs.folder), ILL
    ).films
    mine = joined.where(joined.version == names[0])
    expected = judge.judged(mine, service.live.predictor.card.rule)

    late.look(service.store.state())

    found = late._found[names[0]]
    assert expected["weighted"]
    assert expected["positives"] > 30
    assert found.positives == expected["positives"]
    assert found.positives - found.found == expected["missed"]
    for end_name, value in expected["sensitivity"].items():
        assert getattr(found.sensitivity, end_name) == pytest.approx(value), end_name


def test_old_and_purged_days_do_not_count(service: Service) -> None:
    """The window moves on; what was purged is forgotten, be it in the journal still."""
    log = Log(service.logs.folder)
    version = service.live.predictor.artifact.version
    for day in range(10):
        identity = f"{day:08x}-0000-0000-0000-000000000000"
        told = {"version": version, "film": f"{day:016x}" + "0" * 48, "label": ILL}
        at = START + timedelta(days=day)
        log.write("audit", at, kind="prediction", id=identity, **told)
        told = {"prediction": identity, "label": ILL, "reader": "r", "patient": "", "site": ""}
        log.write("labels", at, kind="label", **told)
    logs = service.logs.model_copy(update={"late": LateLabels(every_s=1, days=5)})
    time = Clock()
    today = [START]
    late = Sensitivity(service.live, logs, ILL, clock=time, now=lambda: today[0])

    counted = []
    for days in (6, 9, 9):
        today[0] = START + timedelta(days=days)
        time.now += 2
        late.look(service.store.state())
        counted.append(late.counted(version)[0])
        (service.logs.folder / "predictions").mkdir(exist_ok=True)
        (service.logs.folder / "predictions" / "purged_before").write_text("2026-03-09\n")

    # The journals of later days are there already: a look reads all that there is.
    assert counted == [9, 3, 3]


def test_damaged_line_is_passed_over(
    service: Service, films: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """One bad line must not blind the gauges; who verifies the log hears of it."""
    answers = service.predict(films[:3])
    for answer in answers:
        service.label(answer, ILL)
    for journal in ("audit", "labels"):
        path = service.logs.folder / journal / "2999-01-01" / "x.jsonl"
        path.parent.mkdir()
        kind = "prediction" if journal == "audit" else "label"
        path.write_text(f'{{"kind":"{kind}"}}\n{{"kind":"{kind}",\n')
    service.look()

    assert service.gauge("lucency_late_labels") == 3
    assert caplog.text.count("damaged line") == 4
