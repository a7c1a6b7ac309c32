"""Every answer of a replica on its way into the logs: who asked, what was said, by which model."""

import logging
import os
import re
import secrets
import socket
import threading
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from lucency.audit import key as keys
from lucency.audit import predictions, retention
from lucency.audit.journal import Journal, LogBroken, Numbered, now, stamp
from lucency.audit.labels import LABEL, LABELS
from lucency.audit.predictions import AUDIT, PREDICTION, PREDICTIONS, Roller
from lucency.audit.writer import Writer
from lucency.bundle.predictor import Predictor
from lucency.config.serve import Logs
from lucency.errors import ImageError, LucencyError

from . import answers
from .access import Caller
from .classifier import Classifier, Timed
from .live import Live
from .origin import NOWHERE, Origin
from .problems import NotLogged
from .roles import path_of

# One key, one model while two are tried; whatever it says, it is hashed and not written down.
PATIENT_HEADER = "Lucency-Patient"
_RETRY_AFTER_S = 5
_log = logging.getLogger(__name__)


class Recorder:
    """
    Classifies films and writes down what was said before it is sent.

    Args:
        logs: None writes nothing down; answers have ids all the same.

    Raises:
        ConfigError: the key can't be had.
    """

    def __init__(self, classifier: Classifier | Live, logs: Logs | None = None) -> None:
        self._classifier = Live.over(classifier)
        self._logs = logs
        self._day = ""
        if logs is None:
            return
        replica = _replica()
        self.key = keys.load(logs.folder, logs.key)
        self._roller = Roller(logs.folder, rows=logs.part_rows, every_s=logs.part_s)
        self._audit = Writer(
            Journal(logs.folder / AUDIT, self.key, replica, anchor_s=logs.anchor_s),
            written=self._written,
            broken=self._told,
        )
        self._labels = Writer(
            Journal(logs.folder / LABELS, self.key, replica, anchor_s=logs.anchor_s)
        )
        classifier.telemetry.log(healthy=True)

    @property
    def takes_labels(self) -> bool:
        """Whether there is a log that late labels can go to."""
        return self._logs is not None

    def ready(self) -> None:
        """
        Ask before inference whether an answer could be logged.

        Raises:
            NotLogged: it could not, and must be.
        """
        if self._logs is not None and self._logs.required and self._audit.error is not None:
            raise _not_logged()

    async def classify(
        self, scope: Scope, data: bytes, by: Classifier | None = None
    ) -> tuple[str, Timed]:
        """
        The answer's id and what the model says of a film; both are in the log already.

        Args:
            by: Who answers, where the caller has said so already; else whoever is in force.

        Raises:
            ImageError: the bytes are not a usable film; that is in the log too.
            BadRequest: the request's Idempotency-Key, site or view can't be used.
            NotLogged: the log can't be written, and must be.
        """
        self.ready()
        identity = answers.identity(
            scope, data
        )  # first: a key that can't be used costs no inference
        origin = Origin.of(scope)
        try:
            if by is not None:
                timed = await by.classify(data, origin)
            else:
                key = Headers(scope=scope).get(PATIENT_HEADER)
                timed = await self._classifier.classify(data, key, origin)
        except ImageError as refusal:
            await self.refused(scope, data, refusal, origin)
            raise
        return await self.answered(scope, data, timed, identity), timed

    async def answered(
        self, scope: Scope, data: bytes, timed: Timed, identity: str | None = None
    ) -> str:
        """
        Write down one answer; gives its id.

        Args:
            identity: Where it is known already.

        Raises:
            NotLogged: that failed, and must not.
        """
        identity, said = identity or answers.identity(scope, data), timed.prediction
        if self._logs is not None:
            predictor = timed.classifier.predictor
            await self._record(
                {
                    **self._told_by(scope, data, PREDICTION, predictor, timed.origin),
                    "id": identity,
                    "label": said.label,
                    "decision": said.decision,
                    "reason": said.reason,
                    "probability": said.probability,
                    "decode_ms": round(timed.decode_s * 1e3, 3),
                    "infer_ms": round(timed.infer_s * 1e3, 3),
                }
            )
        return identity

    async def refused(
        self, scope: Scope, data: bytes, refusal: ImageError, origin: Origin = NOWHERE
    ) -> None:
        """
        Write down a film that could not be used, with the reason's code alone.

        Raises:
            NotLogged: that failed, and must not.
        """
        if self._logs is not None:
            # Not the message: it may quote the film's header.
            told = self._told_by(scope, data, "refusal", self._classifier.predictor, origin)
            await self._record({**told, "reason": refusal.reason})

    async def labelled(self, scope: Scope, value: Mapping[str, str | None]) -> None:
        """
        Write down a late label; names of people are hashed before anything else is done.

        Raises:
            NotLogged: it is not on the disk.
        """
        assert self._logs is not None, "ask takes_labels first"
        who, patient = _caller(scope), value["patient"]
        line = {
            "kind": LABEL,
            "at": stamp(now()),
            "who": who,
            "prediction": value["prediction"],
            "label": value["label"],
            "reader": self.key.name("reader", value["reader"] or who),
            "patient": self.key.name("patient", patient) if patient else "",
            "site": value["site"] or "",
        }
        try:
            await self._labels.commit(line)
        except LogBroken as cause:
            raise _not_logged() from cause

    def close(self) -> None:
        """Write what waits and seal the files; a replica that is killed leaves that to others."""
        if self._logs is not None:
            self._audit.close()
            self._labels.close()
            self._roller.roll()

    async def _record(self, line: Mapping[str, Any]) -> None:
        assert self._logs is not None
        if not self._logs.durable:
            self._audit.put(line)
            return
        try:
            await self._audit.commit(line)
        except LogBroken as cause:
            self._classifier.telemetry.log(healthy=False, errors=1)
            if self._logs.required:
                raise _not_logged() from cause

    def _told_by(
        self, scope: Scope, data: bytes, kind: str, predictor: Predictor, origin: Origin
    ) -> dict[str, Any]:
        artifact = predictor.artifact
        # By the service's own lists: what is on none may be a patient's name in the wrong place.
        site, view = self._classifier.telemetry.group(origin.site, origin.view)
        return {
            "kind": kind,
            "at": stamp(now()),
            "who": _caller(scope),
            "what": getattr(scope.get("route"), "path", None) or path_of(scope)[:80],
            "site": site if origin.site else "",
            "view": view if origin.view else "",
            "model": artifact.manifest.name,
            "version": artifact.version,
            "variant": predictor.variant,
            "film": self.key.film(data),
        }

    def _written(self, file: str, lines: Numbered) -> None:
        """In the log's thread, after every group."""
        self._roller.add(file, lines)
        day = file.partition("/")[0]
        if day != self._day:
            self._day = day
            threading.Thread(target=self._tidy, name="tidy", daemon=True).start()

    def _tidy(self) -> None:
        """Once a day: roll what dead replicas left, delete what is too old."""
        assert self._logs is not None
        kept = self._logs.retention
        days = {
            AUDIT: kept.audit_days,
            PREDICTIONS: kept.predictions_days,
            LABELS: kept.labels_days,
        }
        try:
            predictions.recover(self._logs.folder)
            gone = retention.purge(self._logs.folder, self.key, days)
        except (OSError, LucencyError) as error:
            _log.error("old logs were not tidied: %s", error)
        else:
            _log.info("old logs deleted: %s", {log: len(files) for log, files in gone.items()})

    def _told(self, error: LogBroken | None) -> None:
        """The log broke, or is mended: raise the alarm, or end it."""
        self._classifier.telemetry.log(healthy=error is None, errors=int(error is not None))


def _caller(scope: Scope) -> str:
    caller = scope.get("state", {}).get("caller")
    return caller.id if isinstance(caller, Caller) else "anyone"


def _not_logged() -> NotLogged:
    return NotLogged(
        "the log can't be written at present, and nothing is answered that is not logged",
        {"Retry-After": str(_RETRY_AFTER_S)},
    )


def _replica() -> str:
    """Unlike that of any other, also after a restart."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:64]
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
