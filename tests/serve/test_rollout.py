"""A trial from its first film to its end, in one process, with two small bundles."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Input, Prediction, Predictor
from lucency.datasets.phantom import Phantom
from lucency.errors import ImageError
from lucency.rollout.counts import Arm, Counts
from lucency.rollout.plan import Guards, Plan
from lucency.store.store import Store
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.live import Live, Loading, Looks, Succession
from serve.rollout import Rollout
from serve.telemetry import Telemetry

PLAN = Plan(
    shares=(0.2, 0.5, 1.0),
    shadow=1.0,
    least_films=20,
    least_s=60,
    patience_s=5,
    # Other tests share the machine: a pause is not to be taken for a slow model.
    guards=Guards(least_films=10, least_positives=10, most_slower=5),
)


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Replica:
    """What a replica holds, without Ray."""

    def __init__(self, name: str, store: Store, clock: Clock, fault: object = None) -> None:
        plan = PLAN.model_copy(update={"patience_s": 0.2}) if fault is hangs else PLAN
        self.registry = CollectorRegistry()
        self.fault = fault
        predictor = Predictor(store.path())
        self.telemetry = Telemetry(PlainBackend(self.registry), predictor.artifact.version)
        self.live = Live(Classifier(predictor, self.telemetry, threads=1, drift_window=100))
        loading = Loading(store, self.load, predictor.card.labels)
        self.told: list[Looks] = [
            Succession(self.live, loading, "champion"),
            Rollout(self.live, store, loading, plan, name, clock=clock),
        ]
        self.store = store

    def load(self, path: Path) -> Classifier:
        """A challenger, with the fault that the test injects."""
        predictor = Predictor(path)
        telemetry = self.telemetry.of(predictor.artifact.version)
        made = Classifier(predictor, telemetry, threads=1, drift_window=100)
        if callable(self.fault):
            self.fault(made)
        return made

    def look(self) -> None:
        """One look at the store."""
        state = self.store.state()
        for each in self.told:
            each.look(state)

    async def answer(self, films: list[bytes]) -> list[str]:
        """Who answered each film."""
        found = []
        for film in films:
            timed = await self.live.classify(film)
            found.append(timed.classifier.predictor.artifact.version)
        trial = self.live._now[1]
        if trial is not None:
            await trial.mirrored()  # type: ignore[attr-defined]
        return found


@pytest.fixture(scope="module")
def films() -> list[bytes]:
    """A hundred and twenty drawn films."""
    return [sample.read() for sample in Phantom(patients=120, size=48, max_films=1)]


@pytest.fixture
def versions(bundle: Artifact, tmp_path: Path) -> list[Artifact]:
    """The shared model, and one that differs in a note alone."""
    shutil.copytree(bundle.path, tmp_path / "other")
    other = Artifact.load(tmp_path / "other")
    return [bundle, artifact.with_files(other, {"note.txt": b"other"})]


@pytest.fixture
def store(versions: list[Artifact], tmp_path: Path) -> Store:
    """A store with a champion and a challenger."""
    made = Store(tmp_path / "store")
    made.promote(versions[0], "first")
    made.promote(versions[1], "try it", challenger=True)
    return made


def run(replicas: list[Replica], clock: Clock, films: list[bytes], most: int = 12) -> None:
    """Replicas share the films, look, and a minute passes; until the trial is over."""
    for replica in replicas:
        replica.look()  # begins
        replica.look()  # follows
    for _ in range(most):
        for n, replica in enumerate(replicas):
            asyncio.run(replica.answer(films[n :: len(replicas)]))
        clock.now += 61
        for replica in replicas:
            replica.look()
        for replica in replicas:
            replica.look()
        if "challenger" not in replicas[0].store.aliases():
            return


def actions(store: Store) -> list[str]:
    """What the history tells of the trial."""
    return [line["action"] for line in store.history()][2:]


def test_good_challenger_becomes_the_champion(
    store: Store, versions: list[Artifact], films: list[bytes]
) -> None:
    """Step by step on two replicas, each step a line with its figures, each taken once."""
    clock = Clock()
    replicas = [Replica(name, store, clock) for name in "ab"]

    run(replicas, clock, films)

    old, new = (each.version for each in versions)
    assert store.aliases() == {"champion": new, "previous": old}
    assert actions(store) == ["roll out", "roll out", "promote"]
    line = store.history()[-1]
    assert "errors" in line["reason"]
    assert line["figures"]["counts"]["challenger"]["films"] >= PLAN.least_films
    assert all(replica.live.predictor.artifact.version == new for replica in replicas)
    assert all(replica.live.challenger is None for replica in replicas)


def errs(classifier: Classifier) -> None:
    """A graph that fails."""

    async def infer(film: Input) -> Prediction:
        raise RuntimeError("no")

    classifier.infer = infer


def hangs(classifier: Classifier) -> None:
    """An answer that never comes."""

    async def infer(film: Input) -> Prediction:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")

    classifier.infer = infer


def slow(classifier: Classifier) -> None:
    """An answer that takes a hundred times as long."""

    async def infer(film: Input) -> Prediction:
        await asyncio.sleep(0.6)
        return (await classifier.run([film]))[0]

    classifier.infer = infer


def disagrees(classifier: Classifier) -> None:
    """A model that calls the other label."""
    predictor = classifier.predictor
    right = predictor.predict_bytes

    def wrong(data: bytes) -> Prediction:
        return replace(right(data), decision="otherwise")

    predictor.predict_bytes = wrong  # type: ignore[method-assign]


def abstains(classifier: Classifier) -> None:
    """A model that is sure of nothing."""

    async def infer(film: Input) -> Prediction:
        (found,) = await classifier.run([film])
        return replace(found, reason="ambiguous")  # type: ignore[arg-type]

    classifier.infer = infer


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (errs, "errors"),
        (hangs, "errors"),
        (slow, "latency"),
        (disagrees, "disagreement"),
        (abstains, "abstentions"),
    ],
)
def test_bad_challenger_is_taken_back(
    store: Store,
    versions: list[Artifact],
    films: list[bytes],
    fault: Callable[[Classifier], None],
    told: str,
) -> None:
    """Whatever is wrong with it, every film is answered and the champion stays."""
    clock = Clock()
    replica = Replica("a", store, clock, fault)

    run([replica], clock, films[:60])

    line = store.history()[-1]
    assert store.aliases() == {"champion": versions[0].version}
    assert line["action"] == "withdraw"
    assert line["reason"].startswith(f"rollout: {told}")
    assert asyncio.run(replica.answer(films[:3])) == [versions[0].version] * 3
    labels = {"model_version": versions[0].version}
    assert replica.registry.get_sample_value("lucency_rollbacks_total", labels) == 1


def test_failed_film_is_answered_by_the_champion(
    store: Store, versions: list[Artifact], films: list[bytes]
) -> None:
    """No caller pays for the trial of another model."""
    replica = Replica("a", store, Clock(), errs)
    replica.look()
    replica.look()

    assert asyncio.run(replica.answer(films)) == [versions[0].version] * len(films)


def test_patient_stays_with_one_model(store: Store, films: list[bytes]) -> None:
    """Films of one key are answered by one model, of many keys by both."""
    replica = Replica("a", store, Clock())
    replica.look()
    replica.look()

    async def by(key: str) -> set[str]:
        found = [await replica.live.classify(film, key) for film in films[:3]]
        return {timed.classifier.predictor.artifact.version for timed in found}

    async def all_of_them() -> list[set[str]]:
        return [await by(f"patient {n}") for n in range(30)]

    found = asyncio.run(all_of_them())
    assert {len(each) for each in found} == {1}
    assert len(set.union(*found)) == 2


def test_busy_replica_drops_mirrored_films(store: Store, films: list[bytes]) -> None:
    """What is mirrored waits in a short queue; what finds it full is dropped and counted."""
    replica = Replica("a", store, Clock())
    replica.look()
    replica.look()
    trial = replica.live._now[1]
    assert trial is not None

    async def all_at_once() -> None:
        await asyncio.gather(*(replica.live.classify(film) for film in films))
        await trial.mirrored()  # type: ignore[attr-defined]

    asyncio.run(all_at_once())

    counts = trial.counts  # type: ignore[attr-defined]
    assert counts.dropped > 0
    assert counts.mirrored >= PLAN.queue
    assert counts.mirrored + counts.dropped == counts.champion.films


def test_unusable_film_is_nobodys_error(store: Store) -> None:
    """A film that can't be read says nothing about either model."""
    replica = Replica("a", store, Clock())
    replica.look()
    replica.look()

    for key in map(str, range(20)):
        with pytest.raises(ImageError):
            asyncio.run(replica.live.classify(b"text", key))

    counts = replica.live._now[1].counts  # type: ignore[union-attr]
    assert counts.champion.errors == counts.challenger.errors == 0


def test_counts_of_another_step_are_not_this_ones(store: Store) -> None:
    """What replicas that are gone, or behind, have counted of another step decides nothing."""
    replica = Replica("a", store, Clock())
    replica.look()
    replica.look()
    failing = Counts(challenger=Arm(films=1000, errors=1000))
    note = {"trial": "another", "counts": failing.plain()}
    store.place.write("rollout", "gone", json.dumps(note).encode())

    replica.look()

    assert "challenger" in store.aliases()


def test_withdrawn_challenger_answers_no_more(
    store: Store, versions: list[Artifact], films: list[bytes]
) -> None:
    """A person's word ends a trial at the next look."""
    replica = Replica("a", store, Clock())
    replica.look()
    replica.look()
    before = set(asyncio.run(replica.answer(films)))
    store.withdraw("no more")
    replica.look()

    assert len(before) == 2
    assert set(asyncio.run(replica.answer(films))) == {versions[0].version}
