"""
A challenger tried beside the champion, by the plan in the configuration.

Every replica answers a share of films with the challenger, shows it some of the champion's, and
counts. Its counts stand as a note in the store, where every replica adds up those of all. Each of
them may take the next step: the store lets one do so, and the others find it taken. So there is
no controller that could be away.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lucency.errors import ImageError, StoreError
from lucency.rollout import counts, rule
from lucency.rollout.bucket import place
from lucency.rollout.counts import Arm, Counts
from lucency.rollout.plan import Plan
from lucency.rollout.rule import Decision
from lucency.store.store import CHALLENGER, CHAMPION, State, Store

from .classifier import Classifier, Timed
from .live import Live, Loading
from .origin import Origin
from .priority import give_way

_NOTES = "rollout"
_log = logging.getLogger(__name__)

Labels = Callable[[str], tuple[int, int]]


def no_labels(version: str) -> tuple[int, int]:
    """Of a service that takes none."""
    return 0, 0


class Trial:
    """
    One step of a trial in one replica.

    Attributes:
        name: The same on all replicas; their counts of it are added up.
        counts: Of this replica.
    """

    def __init__(self, name: str, challenger: Classifier, plan: Plan, step: int) -> None:
        self.name = name
        self.challenger = challenger
        self.counts = Counts()
        self._plan = plan
        self._share = plan.shares[step]
        self._version = challenger.predictor.artifact.version
        self._mirroring = ThreadPoolExecutor(1, "shadow", initializer=give_way)
        self._waiting: set[asyncio.Task[None]] = set()

    async def classify(
        self, champion: Classifier, data: bytes, key: str | None, origin: Origin
    ) -> Timed:
        """A film to the model whose share its key falls in; no caller pays for the challenger."""
        who = data if key is None else key.encode()
        if place(who, self._version) < self._share:
            try:
                asked = _ask(self.challenger, self.counts.challenger, data, origin)
                return await asyncio.wait_for(asked, self._plan.patience_s)
            except ImageError:
                raise
            except Exception as error:
                self.counts.challenger.failed()
                _log.warning("challenger %s failed on a film: %r", self._version, error)
                return await champion.classify(data, origin)
        try:
            timed = await _ask(champion, self.counts.champion, data, origin)
        except ImageError:
            raise
        except Exception:
            self.counts.champion.failed()
            raise
        if place(who, f"shadow {self._version}") < self._plan.shadow:
            self._mirror(data, timed)
        return timed

    async def mirrored(self) -> None:
        """Wait for films that are being mirrored."""
        await asyncio.gather(*self._waiting)

    def _mirror(self, data: bytes, timed: Timed) -> None:
        if len(self._waiting) >= self._plan.queue:
            self.counts.dropped += 1
            return
        task = asyncio.create_task(self._compare(data, timed.prediction.decision))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _compare(self, data: bytes, decision: str) -> None:
        loop = asyncio.get_running_loop()
        predictor = self.challenger.predictor
        try:
            found = await loop.run_in_executor(self._mirroring, predictor.predict_bytes, data)
        # What the challenger fails on is what a trial is for.
        except Exception as error:
            self.counts.failed += 1
            _log.warning("challenger %s failed on a mirrored film: %r", self._version, error)
        else:
            self.counts.mirrored += 1
            self.counts.disagreed += found.decision != decision


class Rollout:
    """
    Takes a challenger from step to step, or back; told of the store's state by a watcher.

    Args:
        replica: Its name, unlike any other's.
        labels: Version -> films with disease by a late label, and those of them it called so.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        live: Live,
        store: Store,
        loading: Loading,
        plan: Plan,
        replica: str,
        *,
        labels: Labels = no_labels,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._live = live
        self._store = store
        self._loading = loading
        self._plan = plan
        self._replica = replica
        self._labels = labels
        self._clock = clock
        self._trial: Trial | None = None

    def look(self, state: State) -> None:
        """Follow the store's trial, add this replica's counts, and take a step if one is due."""
        version = state.aliases.get(CHALLENGER)
        in_force = self._live.predictor.artifact.version
        if version is None or state.aliases.get(CHAMPION) != in_force:
            self._end()
            return
        try:
            if state.rollout is None:
                self._store.roll_out(self._at(0), "trial begins", expected=state)
            elif self._follow(state, version, state.rollout):
                self._step(state, state.rollout)
        except StoreError as error:
            _log.info("another replica was first: %s", error)

    def _follow(self, state: State, version: str, rollout: Any) -> bool:
        """Whether the trial that the store tells of is being held here."""
        step = min(int(rollout["step"]), len(self._plan.shares) - 1)
        name = f"{state.aliases[CHAMPION]} {version} {step} {rollout['since']}"
        if self._trial is None or self._trial.name != name:
            same = self._trial and self._trial.challenger.predictor.artifact.version == version
            challenger = (
                self._trial.challenger
                if self._trial and same
                else self._loading(version, self._live.telemetry)
            )
            if challenger is None:
                self._end()
                return False
            self._trial = Trial(name, challenger, self._plan, step)
            self._live.hold(self._trial)
        share = self._plan.shares[step]
        self._live.telemetry.rollout(step + 1, share)
        return True

    def _step(self, state: State, rollout: Any) -> None:
        assert self._trial is not None
        found = self._counted(self._trial)
        challenger = self._trial.challenger.predictor.artifact
        decision = rule.decide(
            self._plan,
            int(rollout["step"]),
            found,
            seconds=self._clock() - float(rollout["since"]),
            floor=challenger.model.rule.sensitivity_floor,
        )
        self._take(decision, state, int(rollout["step"]), found)

    def _take(self, decision: Decision, state: State, step: int, found: Counts) -> None:
        assert self._trial is not None
        if decision.move == "hold":
            return
        told: dict[str, Any] = {"expected": state, "counts": found.plain()}
        if decision.move == "advance":
            self._store.roll_out(self._at(step + 1), decision.reason, **told)
            return
        if decision.move == "promote":
            artifact = self._trial.challenger.predictor.artifact
            self._store.promote(artifact, f"rollout: {decision.reason}", **told)
        else:
            self._store.withdraw(f"rollout: {decision.reason}", **told)
            self._live.telemetry.rollback()
            _log.warning("challenger withdrawn: %s", decision.reason)
            self._end()
        self._store.place.clear(_NOTES)

    def _counted(self, trial: Trial) -> Counts:
        """This replica's counts into the store, those of all out of it."""
        trial.counts.champion.drift = int(self._live.champion.drifting)
        trial.counts.challenger.drift = int(trial.challenger.drifting)
        note = {"trial": trial.name, "counts": trial.counts.plain()}
        self._store.place.write(_NOTES, self._replica, json.dumps(note).encode())
        notes = map(json.loads, self._store.place.read(_NOTES).values())
        found = counts.total(Counts.of(n["counts"]) for n in notes if n["trial"] == trial.name)
        # One log for all replicas: read once, not added up.
        arm = found.challenger
        arm.positives, arm.found = self._labels(trial.challenger.predictor.artifact.version)
        return found

    def _at(self, step: int) -> dict[str, Any]:
        return {"step": step, "since": self._clock(), "share": self._plan.shares[step]}

    def _end(self) -> None:
        if self._trial is not None:
            self._trial = None
            self._live.hold(None)
            self._live.telemetry.rollout(0, 0.0)


async def _ask(classifier: Classifier, arm: Arm, data: bytes, origin: Origin) -> Timed:
    began = time.perf_counter()
    timed = await classifier.classify(data, origin)
    arm.answered(time.perf_counter() - began, abstained=timed.prediction.reason != "clear")
    return timed
