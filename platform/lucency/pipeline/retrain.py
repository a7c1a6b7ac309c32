"""
Whether to train anew, and doing it: reasons > guard > approval > pipeline job > its gate.

Every step is a line of a ledger, from which alone the state is read: a call that dies between two
steps is taken up by the next one.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lucency import environment, progress
from lucency.audit.journal import now, stamp
from lucency.config.retrain import Approval, Guard, RetrainConfig
from lucency.errors import ConfigError, DataError
from lucency.ledger import Entries, Ledger
from lucency.pipeline import retrain_submission as submission
from lucency.pipeline.reevaluate import RECORD as REEVALUATION
from lucency.pipeline.retrain_submission import NotTaken, Submit

_SUBMITTED, _REFUSED = "submitted", "refused"
_NEEDED = {"at", "overall", "rule", "arrived"}


def retrain(
    config: RetrainConfig, at: datetime | None = None, submit: Submit | None = None
) -> dict[str, Any]:
    """
    One look: nothing to do, held back by the guard, asked for approval, or submitted.

    Raises:
        ConfigError: the pipeline's configuration is wrong, or approval is given to no request.
        ClusterError: the cluster does not answer, or does not take the job.
        DataError: there is no re-evaluation.
        LedgerError: the record of earlier trainings was changed.
    """
    at = at or now()
    ledger = Ledger(config.ledger)
    record = _record(config.reevaluation)
    before = _taken(ledger.entries())
    if config.approve is not None:
        before = _answered(ledger, config.approve, config.guard, at)
    waiting = _open(before, config.guard, at)
    why = reasons(config, record, at)
    held = held_back(config.guard, before, record, at)
    state = {"reasons": why, "held_back": held}
    if waiting is None or waiting["answer"] is None:
        if not why or held:
            return _done("nothing to do" if not why else "held back", state)
        if config.guard.approval:
            return _asked(ledger, waiting, state, at)
    elif not waiting["answer"]["granted"]:
        return _done("denied", {**state, "denied_by": waiting["answer"]["by"]})
    elif held:  # what was true when it was asked for need not be true any more
        return _done("held back", state)
    return _submitted(ledger, config, state, at, submit)


def reasons(config: RetrainConfig, record: Mapping[str, Any], at: datetime) -> list[str]:
    """Why a new model is wanted; none is wanted because of figures that are old."""
    found = []
    age = at - datetime.fromisoformat(record["at"])
    overall, floor = record["overall"], record["rule"]["sensitivity_floor"]
    bound = overall["sensitivity"][config.bound]
    if age <= timedelta(days=config.fresh_days) and bound is not None and bound < floor:
        found.append(f"{config.bound} bound of sensitivity {bound:.4f} is under the floor {floor}")
    if config.drift is not None and config.drift.is_file():
        said = config.drift.read_text(encoding="utf-8").strip().splitlines()
        found.append(f"drift alarm: {said[0][:200] if said else 'no word of what'}")
    return found


def held_back(guard: Guard, entries: Entries, record: Mapping[str, Any], at: datetime) -> list[str]:
    """What the guard has against it; nothing where it may go on."""
    found = []
    submitted = [entry for entry in entries if entry["step"] == _SUBMITTED]
    last = submitted[-1] if submitted else None
    for name, word, least in (
        ("labelled", "labelled", guard.new_labels),
        ("positives", "positive", guard.new_positives),
    ):
        # Those of the day itself were there in part: they count for neither.
        day = last["at"][:10] if last else ""
        new = sum(came[name] for on, came in record["arrived"].items() if on > day)
        if new < least:
            found.append(f"{new} new {word} films, {least} are asked for")
    if last is not None:
        until = datetime.fromisoformat(last["at"]) + timedelta(days=guard.cool_down_days)
        if at < until:
            found.append(f"cooling down until {until.isoformat(timespec='minutes')}")
    return found


def _taken(entries: Entries) -> Entries:
    """Without submissions that a cluster refused: nothing was started, so nothing cools down."""
    refused = {entry["id"] for entry in entries if entry["step"] == _REFUSED}
    return [entry for entry in entries if entry.get("id") not in refused]


def _record(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{str(path)!r} does not exist: run python jobs/reevaluate.py first")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found.keys() >= _NEEDED:
        raise DataError(
            f"{str(path)!r} is no record of a re-evaluation: give the {REEVALUATION!r} that "
            "python jobs/reevaluate.py wrote"
        )
    return found


def _open(entries: Entries, guard: Guard, at: datetime) -> dict[str, Any] | None:
    """The request that waits or was answered and not yet acted on, with its answer."""
    found = None
    for entry in entries:
        if entry["step"] == "requested":
            found = {**entry, "answer": None}
        elif entry["step"] == "answered" and found is not None:
            found["answer"] = entry
        elif entry["step"] == _SUBMITTED:
            found = None
    if found is None:
        return None
    since = datetime.fromisoformat((found["answer"] or found)["at"])
    return found if at - since <= timedelta(days=guard.approval_days) else None


def _answered(ledger: Ledger, answer: Approval, guard: Guard, at: datetime) -> Entries:
    def asked(entries: Entries) -> None:
        waiting = _open(_taken(entries), guard, at)
        if waiting is None or waiting["answer"] is not None:
            raise ConfigError(
                f"approve answers no request: none waits in {str(ledger.path)!r}; run the job "
                "without it first, and look at what it asks for"
            )

    entry = {"step": "answered", "at": stamp(at), "who": environment.user(), **answer.plain()}
    return [*_taken(ledger.append(entry, check=asked)), entry]


def _asked(
    ledger: Ledger,
    waiting: dict[str, Any] | None,
    state: dict[str, Any],
    at: datetime,
) -> dict[str, Any]:
    if waiting is None:
        ledger.append({"step": "requested", "at": stamp(at), **state})
    progress.say("    it waits for a person: approve.by=NAME approve.reason=TEXT")
    return _done("waits for approval", state)


def _submitted(
    ledger: Ledger,
    config: RetrainConfig,
    state: dict[str, Any],
    at: datetime,
    submit: Submit | None,
) -> dict[str, Any]:
    name = f"retrain-{at:%Y%m%d-%H%M%S}"
    work = config.submission.folder / name
    command = submission.command(config.submission, str(work))
    start = submit or submission.submitter(config.submission)
    entry = {
        **{"step": _SUBMITTED, "at": stamp(at), "who": environment.user(), "id": name},
        **{"work": str(work), "command": command, **state},
    }
    # Before it is started: a call that dies right after must not start it twice.
    ledger.append(entry, check=lambda entries: _refuse_second(config.guard, entries, at))
    try:
        result = start(command, name)
    except NotTaken as cause:
        ledger.append({"step": _REFUSED, "at": stamp(now()), "id": name, "why": str(cause)})
        raise
    ledger.append({"step": "started", "at": stamp(now()), "id": name, **result})
    return _done(_SUBMITTED, {**state, "id": name, "work": str(work), **result})


def _refuse_second(guard: Guard, entries: Entries, at: datetime) -> None:
    """Two calls at once: the ledger lets one in, the other finds its line."""
    last = [entry for entry in _taken(entries) if entry["step"] == _SUBMITTED][-1:]
    until = timedelta(days=guard.cool_down_days)
    if last and at - datetime.fromisoformat(last[0]["at"]) < until:
        raise ConfigError(f"{last[0]['id']} was submitted by another call in this moment")


def _done(outcome: str, state: Mapping[str, Any]) -> dict[str, Any]:
    progress.say(f"    {outcome}: {'; '.join([*state['reasons'], *state['held_back']]) or 'well'}")
    return {"outcome": outcome, **state}
