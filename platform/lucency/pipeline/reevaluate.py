"""Logs of a service -> what late labels say of its model: page, figures, metrics."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from lucency import files, progress
from lucency.audit import key as keys
from lucency.audit import labels, predictions
from lucency.audit.journal import now, stamp
from lucency.audit.labels import LABELS, Late
from lucency.audit.predictions import AUDIT
from lucency.audit.verify import verify
from lucency.config.reevaluate import ReevaluateConfig
from lucency.errors import DataError, LedgerError
from lucency.reevaluation import films as joining
from lucency.reevaluation import judge, page, textfile

RECORD, PAGE = "reevaluation.json", "reevaluation.html"


def reevaluate(config: ReevaluateConfig, at: datetime | None = None) -> dict[str, Any]:
    """
    Judge the answers of the last days by the labels that came since.

    Raises:
        DataError: the folder has no logs.
        LedgerError: they are not what was written.
    """
    at = at or now()
    if not (config.logs / AUDIT).is_dir():
        raise DataError(f"{str(config.logs)!r} has no {AUDIT!r}: give the service's logs.folder")
    heads = _verified(config) if config.verify else {}
    since = (at - timedelta(days=config.days)).date()
    late = labels.read(config.logs)
    joined = joining.join(predictions.read(config.logs, since=since), late, config.positive)
    films = joined.films
    record: dict[str, Any] = {
        "at": stamp(at),
        "since": since.isoformat(),
        "positive": config.positive,
        "rule": config.rule.model_dump(),
        "verified": heads or None,
        "by": "patient" if joined.by_patient else "film",
        "labels": {"films": len(late), "orphans": joined.orphans, "disputed": joined.disputed},
        "arrived": _arrived(late, config.positive),
        "last_label": stamp(max(each.at for each in late)) if late else None,
        "overall": judge.judged(films, config.rule),
        "versions": list(judge.by_version(films, config.rule)),
        "sites": list(judge.by_site(films, config.rule)),
        "weeks": list(judge.by_week(films, config.rule)),
    }
    _write(config, record)
    overall = record["overall"]
    progress.say(f"    {_sentence(record)}")
    return {
        **{name: record[name] for name in ("at", "since", "by", "labels")},
        **overall,
        "record": str(config.output / RECORD),
        "page": str(config.output / PAGE),
    }


def _arrived(late: Sequence[Late], positive: str) -> dict[str, dict[str, int]]:
    """By day on which they came, films with a label and positive ones: what is new since when."""
    found: dict[str, dict[str, int]] = {}
    for each in late:
        if each.label is not None:
            day = found.setdefault(each.at.date().isoformat(), {"labelled": 0, "positives": 0})
            day["labelled"] += 1
            day["positives"] += each.label == positive
    return found


def _verified(config: ReevaluateConfig) -> dict[str, str | None]:
    key = keys.load(config.logs, config.key, make=False)
    heads: dict[str, str | None] = {}
    for name in (AUDIT, LABELS):
        report = verify(config.logs / name, key)
        if report.problems:
            told = "; ".join(map(str, report.problems[:3]))
            raise LedgerError(
                f"{name} has {len(report.problems)} problem(s): {told}. Find out what happened "
                "with python -m lucency.audit verify; verify=false judges the logs all the same"
            )
        heads[name] = report.head
    return heads


def _write(config: ReevaluateConfig, record: dict[str, Any]) -> None:
    files.write_json(config.output / RECORD, record)
    files.write_text(config.output / PAGE, page.render(record, config.to_yaml()))
    if config.metrics is not None:
        files.write_text(config.metrics, textfile.text(record))


def _sentence(record: dict[str, Any]) -> str:
    overall, found = record["overall"], record["overall"]["sensitivity"]
    if found["value"] is None:
        told = "sensitivity unknown"
    else:
        told = f"sensitivity {found['value']:.4f} ({found['lower']:.4f} to {found['upper']:.4f})"
    more = overall["more_positives_needed"]
    return (
        f"{overall['verdict']}: {told} on {overall['positives']} positive of "
        f"{overall['labelled']} labelled films, bounds by {record['by']}"
        + (f"; {more} more positive ones would decide it" if more else "")
    )
