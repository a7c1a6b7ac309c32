"""
The model in force, changed while the service answers.

A thread looks at the store's aliases. Where one has moved it loads the bundle it names beside the
model in force, which goes on answering; golden films and digests are checked as at a start; then
one reference changes. A film is answered by the model that was in force when it came in, from
its decoding to its heat map, so nothing waits and nothing is dropped.
"""

import gc
import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.errors import StoreError
from lucency.store.store import State, Store

from .classifier import Classifier, Timed
from .origin import NOWHERE, Origin
from .telemetry import Telemetry

# A bundle that can't be loaded is tried again: the share it lies on may have been away.
_FIRST_RETRY_S, _LAST_RETRY_S = 30.0, 1800.0
_log = logging.getLogger(__name__)

Load = Callable[[Path], Classifier]


class Trial(Protocol):
    """A challenger beside the champion: who of them answers a film."""

    challenger: Classifier

    async def classify(
        self, champion: Classifier, data: bytes, key: str | None, origin: Origin
    ) -> Timed: ...


class Live:
    """
    Answers like a classifier, with the one in force at that moment.

    Attributes:
        telemetry: Of the service as a whole; its samples bear the version in force.
    """

    def __init__(self, champion: Classifier) -> None:
        # One reference, read once a film: champion and trial always belong together.
        self._now: tuple[Classifier, Trial | None] = (champion, None)

    @classmethod
    def over(cls, classifier: "Classifier | Live") -> "Live":
        """A classifier alone is one whose place nothing takes."""
        return classifier if isinstance(classifier, Live) else cls(classifier)

    @property
    def champion(self) -> Classifier:
        """Who answers now; a caller that asks twice may see two."""
        return self._now[0]

    @property
    def challenger(self) -> Classifier | None:
        """Who is being tried beside it."""
        trial = self._now[1]
        return None if trial is None else trial.challenger

    @property
    def predictor(self) -> Predictor:
        """The champion's."""
        return self.champion.predictor

    @property
    def telemetry(self) -> Telemetry:
        """The champion's."""
        return self.champion.telemetry

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Of every model that may answer, the champion's first."""
        champion, trial = self._now
        arms = (champion,) if trial is None else (champion, trial.challenger)
        return tuple(each.predictor.artifact for each in arms)

    async def classify(
        self, data: bytes, key: str | None = None, origin: Origin = NOWHERE
    ) -> Timed:
        """
        One film from its bytes; the answer says who gave it.

        Args:
            key: What a trial goes by, such as a patient: one key, one model. The film itself
                where it is left out.

        Raises:
            ImageError: the bytes are not a usable film.
        """
        champion, trial = self._now
        if trial is None:
            return await champion.classify(data, origin)
        return await trial.classify(champion, data, key, origin)

    async def check(self, timeout_s: float) -> None:
        """The champion's golden films once more."""
        await self.champion.check(timeout_s)

    def switch(self, champion: Classifier) -> None:
        """Films from now on are this one's; a trial against the one before is over."""
        before = self.champion
        self._now = (champion, None)
        before.telemetry.in_force(False)
        champion.telemetry.in_force(True)

    def hold(self, trial: Trial | None) -> None:
        """Begin a trial of a challenger, or end it."""
        self._now = (self.champion, trial)


class Loading:
    """
    Loads what an alias names, and waits longer after each failure.

    Args:
        labels: That callers know. A model of other classes is no successor: they would take one
            finding for another.
        clock: Seconds, as ``time.monotonic``.
    """

    def __init__(
        self,
        store: Store,
        load: Load,
        labels: tuple[str, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._load = load
        self._labels = labels
        self._clock = clock
        self._failed: tuple[str, int, float] | None = None

    def __call__(self, version: str, telemetry: Telemetry) -> Classifier | None:
        """A version, checked and ready; None where it can't be had now, which is counted."""
        tries, again = self._failed[1:] if self._failed and self._failed[0] == version else (0, 0.0)
        if tries and self._clock() < again:
            return None
        try:
            return self._loaded(version)
        # Whatever it is: what answers goes on answering, and this thread goes on looking.
        except Exception as error:
            wait_s = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2**tries)
            self._failed = (version, tries + 1, self._clock() + wait_s)
            telemetry.load_failed()
            _log.exception(
                "version %s of store %s can't be loaded (%s); what is in force stays, next try in "
                "%.0f s",
                version,
                self._store.name,
                type(error).__name__,
                wait_s,
            )
            return None

    def _loaded(self, version: str) -> Classifier:
        classifier = self._load(self._store.place.get(version))
        if (found := classifier.predictor.artifact.version) != version:
            raise StoreError(
                f"folder {version!r} of store {self._store.name!r} holds bundle {found!r}: it was "
                "put there by hand; roll back, or promote the right one"
            )
        if (labels := classifier.predictor.card.labels) != self._labels:
            raise StoreError(
                f"version {version!r} has labels {labels}, callers of this service know "
                f"{self._labels}: start a service of its own for it"
            )
        return classifier


class Succession:
    """Puts in force what an alias names."""

    def __init__(self, live: Live, loading: Loading, alias: str) -> None:
        self._live = live
        self._loading = loading
        self._alias = alias
        self._switched = False

    def look(self, state: State) -> None:
        """Follow the alias, if it has moved; without one what answers goes on answering."""
        if self._switched:
            # Sessions hang in cycles of references: what the old one holds is freed here, a
            # period later, when its last films are answered.
            self._switched = False
            gc.collect()
        before = self._live.predictor.artifact.version
        version = state.aliases.get(self._alias)
        if version is None or version == before:
            return
        tried = self._live.challenger
        if tried is not None and tried.predictor.artifact.version == version:
            champion: Classifier | None = tried
        else:
            champion = self._loading(version, self._live.telemetry)
        if champion is not None:
            self._live.switch(champion)
            self._switched = True
            _log.info("%s is %s now, was %s", self._alias, version, before)


class Leaving:
    """Ends the gauges of models that answer no more, a look later: some films may still be out."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._before: dict[str, Telemetry] = {}
        self._gone: dict[str, Telemetry] = {}

    def look(self, state: State) -> None:
        """Compare who answers with who did at the last look."""
        arms = (self._live.champion, self._live.challenger)
        now = {each.predictor.artifact.version: each.telemetry for each in arms if each is not None}
        for version, telemetry in self._gone.items():
            if version not in now:
                telemetry.leave()
        self._gone = {name: self._before[name] for name in self._before.keys() - now.keys()}
        self._before = now


class Looks(Protocol):
    """Someone who is told of the store's state, again and again."""

    def look(self, state: State) -> None: ...


class Watcher:
    """
    Tells others what the store says, every few seconds, from a thread.

    Args:
        every_s: On average. Each wait is drawn from half to one and a half of it: replicas that
            started together must not load together.
    """

    def __init__(self, store: Store, told: Sequence[Looks], *, every_s: float) -> None:
        self._store = store
        self._told = told
        self._every_s = every_s
        self._closed = threading.Event()
        self._trouble = ""

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="store watcher", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def look(self) -> None:
        """Look once; a store that can't be read changes nothing."""
        try:
            state = self._store.state()
            for each in self._told:
                each.look(state)
        # A thread that died of one bad look would leave this replica behind for ever.
        except Exception as error:
            if (trouble := repr(error)) != self._trouble:
                _log.exception("a look at store %s failed", self._store.name)
            self._trouble = trouble
        else:
            self._trouble = ""

    def _run(self) -> None:
        while not self._closed.wait(self._every_s * random.uniform(0.5, 1.5)):
            self.look()
