"""Bundle and table -> films for a reader to look at again; and the reader's verdicts, read back."""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lucency import batch, cluster, environment, files, images, progress
from lucency.batch import Predictions
from lucency.bundle import predictor
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.worklist import WorklistConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.evaluation import worklist as lists
from lucency.evaluation.worklist import KINDS, Case
from lucency.evaluation.worklist_page import Shown, render
from lucency.ledger import Ledger
from lucency.pipeline import own_films, writable

_RECORD, _CSV, _PAGE = "worklist.json", "worklist.csv", "worklist.html"
_LEDGER, _REVIEW, _CORRECTIONS = "reviews.jsonl", "review.json", "label_corrections.csv"
_COLUMNS = ("sha256", "label", "was", "case", "reviewers")
# Only the films that the model got wrong were looked at: errors of label that it shares were not.
_CAUTION = (
    "only films that the model called otherwise were reviewed, so a corrected figure can hardly "
    "be worse than the original: it bounds what the labels cost, it is no new evidence"
)


def worklist(config: WorklistConfig) -> dict[str, Any]:
    """
    Make the list, or read a filled one back.

    Raises:
        DataError: the table is not the bundle's own, the model has more than two classes, the
            test split is asked for before the model has evidence, ``output`` holds another list
            with reviews, or the filled file is not of the list.
        TestSplitOpened: as ``evaluate``.
    """
    return _make(config) if config.verdicts is None else _read_back(config.output, config.verdicts)


def _make(config: WorklistConfig) -> dict[str, Any]:
    bundle, table = Artifact.load(config.bundle), Table.open(config.table)
    threshold = _refuse_unfit(bundle, table, config)
    writable.ready(config.output)
    with cluster.connected():
        if config.split == "test":
            own_films.opened(bundle, table, config.reason)
        found = batch.predict_split(config.bundle, table, config.split)
    chosen = lists.choose(found.labels, found.probabilities, threshold, bundle.model.conformal)
    record, places = _record(bundle, table, found, chosen, config)
    cases = [Case(**each) for each in record["list"]]
    _settle(config.output, record, cases)
    shown = _shown(config, table, found, cases, places)
    files.write_text(config.output / _PAGE, render(record, shown))
    for kind, count in record["cases"].items():
        progress.say(f"    {count:5} {kind.replace('_', ' ')}")
    return {
        "page": str(config.output / _PAGE),
        "csv": str(config.output / _CSV),
        "worklist": record["digest"],
        "films": record["films"],
        "cases": record["cases"],
    }


def _refuse_unfit(bundle: Artifact, table: Table, config: WorklistConfig) -> float:
    """The threshold, where a list may be made at all."""
    own_films.refuse_others(bundle, table)
    own_films.refuse_untested(bundle, config.split)
    if bundle.model.threshold is None:
        raise DataError(
            f"{bundle.manifest.name!r} tells {len(bundle.model.labels)} classes apart: a list is "
            "sorted by the distance to a threshold, which only a model of two classes has"
        )
    return bundle.model.threshold


def _record(
    bundle: Artifact,
    table: Table,
    found: Predictions,
    chosen: Sequence[tuple[int, lists.Kind]],
    config: WorklistConfig,
) -> tuple[dict[str, Any], dict[str, int]]:
    """What the list is of, and the place of each case's film; no patient is named."""
    hashes = [str(each) for each in table.columns["sha256"][found.rows]]
    core = {
        "model": {"name": bundle.manifest.name, "digest": bundle.model_digest},
        "data": {"name": table.name, "digest": table.digest, "drawn": table.drawn},
        "split": config.split,
        "threshold": bundle.model.threshold,
        "films_to_look_at": [[hashes[place], kind] for place, kind in chosen],
    }
    digest = files.digest(core)
    cases = _cases(bundle, found, chosen, hashes, digest)
    places = {case.case: place for case, (place, _) in zip(cases, chosen, strict=True)}
    by_place = {place: number for number, place in places.items()}
    # Who belongs together is all that an interval asks of patients; a number in this list says it.
    _, patients_n = np.unique(found.patients, return_inverse=True)
    counted = Counter(kind for _, kind in chosen)
    record = {
        **core,
        "digest": digest,
        "labels": list(bundle.model.labels),
        "confidence": bundle.model.rule.confidence,
        "reason": config.reason,
        "films": len(hashes),
        "patients": len(np.unique(patients_n)),
        "cases": {kind: counted[kind] for kind in KINDS},
        "list": [vars(case) for case in cases],
        "all": {
            "sha256": hashes,
            "label": found.labels.tolist(),
            "called": (found.probabilities[:, 1] >= bundle.model.threshold).astype(int).tolist(),
            "patient": _renumbered(patients_n, digest).tolist(),
            "case": [by_place.get(place) for place in range(len(hashes))],
        },
    }
    return record, places


def _renumbered(patients_n: np.ndarray, digest: str) -> np.ndarray:
    """Numbers in an order of the list's own: in the names' order they would tell of the names."""
    order = np.random.default_rng(int(digest[:16], 16)).permutation(int(patients_n.max()) + 1)
    found: np.ndarray = order[patients_n]
    return found


def _cases(
    bundle: Artifact,
    found: Predictions,
    chosen: Sequence[tuple[int, lists.Kind]],
    hashes: Sequence[str],
    digest: str,
) -> list[Case]:
    card, given_n = bundle.model, found.probabilities[:, 1]
    assert card.threshold is not None, "two classes"
    called_n = given_n >= card.threshold
    reasons = lists.reasons(found.probabilities, called_n, card.conformal)
    distance_n = lists.distances(given_n, card.threshold)
    return [
        Case(
            case=lists.numbered(digest, number),
            film=hashes[place][:12],
            kind=kind,
            label=card.labels[int(found.labels[place])],
            called=card.labels[int(called_n[place])],
            probability=float(given_n[place]),
            distance_logit=float(distance_n[place]),
            distance_probability=float(given_n[place] - card.threshold),
            reason=reasons[place],
            site=str(found.sites[place]),
        )
        for number, (place, kind) in enumerate(chosen, 1)
    ]


def _settle(output: Path, record: Mapping[str, Any], cases: Sequence[Case]) -> None:
    """Write record and CSV, unless they are there; a list that was reviewed is not replaced."""
    ledger = Ledger(output / _LEDGER)
    made = [entry for entry in ledger.entries() if entry["action"] == "made"]
    if made and made[-1]["worklist"] == record["digest"] and (output / _RECORD).is_file():
        return
    if any(entry["action"] == "reviewed" for entry in ledger.entries()):
        raise DataError(
            f"{str(output)!r} holds another list that was reviewed: choose another output"
        )
    files.write_json(output / _RECORD, record)
    files.write_text(output / _CSV, lists.to_csv(cases))
    ledger.append(
        {
            "at": _now(),
            "who": environment.user(),
            "action": "made",
            "worklist": record["digest"],
            "record": files.sha256_file(output / _RECORD),
        }
    )


def _shown(
    config: WorklistConfig,
    table: Table,
    found: Predictions,
    cases: Sequence[Case],
    places: Mapping[str, int],
) -> list[Shown]:
    """The first cases of each kind in turn, so that none of them fills the page."""
    model = Predictor(config.bundle)
    chosen = _fairly(cases, config.limit)
    films = table.images(found.rows[[places[case.case] for case in chosen]]) if chosen else []
    shown = []
    for case, data in zip(chosen, films, strict=True):
        film_hwc = _small(images.decode(data), config.side)
        map_hw = model.predict_bytes(data).map_hw if model.explains else None
        heat = None if map_hw is None else predictor.overlay(_rgb(film_hwc), map_hw, config.side)
        # Encoded anew: a film's own file may carry more than pixels.
        shown.append(Shown(case, images.encode_png(film_hwc), heat))
    return shown


def _fairly(cases: Sequence[Case], limit: int) -> list[Case]:
    of_kind = {kind: [case for case in cases if case.kind == kind] for kind in KINDS}
    turns = sorted(
        (turn, KINDS.index(kind)) for kind, listed in of_kind.items() for turn in range(len(listed))
    )[:limit]
    taken = Counter(kind for _, kind in turns)
    return [case for number, kind in enumerate(KINDS) for case in of_kind[kind][: taken[number]]]


def _small(film_hwc: np.ndarray, side: int) -> np.ndarray:
    height, width = film_hwc.shape[:2]
    factor = min(1.0, side / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(film_hwc, size, interpolation=cv2.INTER_AREA)
    return small[:, :, None] if small.ndim == 2 else small


def _rgb(film_hwc: np.ndarray) -> np.ndarray:
    return film_hwc if film_hwc.shape[2] == 3 else np.repeat(film_hwc, 3, axis=2)


def _read_back(output: Path, filled: Path) -> dict[str, Any]:
    record = _load(output)
    if not filled.is_file():
        raise DataError(f"filled list {str(filled)!r} does not exist; give the CSV with verdicts")
    data = filled.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise DataError(f"{str(filled)!r} is not UTF-8: save it as CSV UTF-8") from cause
    cases = {case["case"]: case for case in record["list"]}
    answers = lists.read_csv(text, cases)
    outcome = lists.settled(answers)
    every = record["all"]
    again = lists.corrected(
        np.array(every["label"]),
        np.array(every["called"]),
        np.array(every["patient"]),
        [outcome.get(case) for case in every["case"]],
        record["confidence"],
    )
    review = {
        "worklist": record["digest"],
        "model": record["model"],
        "data": record["data"],
        "split": record["split"],
        "kinds": lists.by_kind(cases, outcome),
        **again,
        "caution": _CAUTION,
    }
    corrections = _corrections(record, outcome, answers)
    # The ledger first: what was written without a line in it would be nobody's.
    Ledger(output / _LEDGER).append(
        {
            "at": _now(),
            "who": environment.user(),
            "action": "reviewed",
            "worklist": record["digest"],
            "reviewers": sorted({answer.reviewer for answer in answers}),
            "verdicts": dict(Counter(outcome.values())),
            "file": files.sha256(data),
            "corrections": files.sha256(corrections.encode()),
        }
    )
    files.write_text(output / _CORRECTIONS, corrections)
    files.write_json(output / _REVIEW, review)
    _tell(review)
    return {
        **review,
        "review": str(output / _REVIEW),
        "label_corrections": str(output / _CORRECTIONS),
    }


def _load(output: Path) -> dict[str, Any]:
    path = output / _RECORD
    made = [entry for entry in Ledger(output / _LEDGER).entries() if entry["action"] == "made"]
    if not path.is_file() or not made:
        raise DataError(
            f"{str(output)!r} holds no worklist: give the folder of the list that was filled"
        )
    if files.sha256_file(path) != made[-1]["record"]:
        raise DataError(
            f"{str(path)!r} changed since the list was made: make it again in another folder"
        )
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _corrections(
    record: Mapping[str, Any], outcome: Mapping[str, str], answers: Sequence[lists.Answer]
) -> str:
    """Films whose label the reviewers turned, by content: names of files differ between places."""
    whole = dict(zip(record["all"]["case"], record["all"]["sha256"], strict=True))
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(_COLUMNS)
    for case in record["list"]:
        if outcome.get(case["case"]) == "agree_with_model" and case["label"] != case["called"]:
            who = {answer.reviewer for answer in answers if answer.case == case["case"]}
            lines.writerow(
                [
                    *(whole[case["case"]], case["called"], case["label"], case["case"]),
                    "; ".join(sorted(who)),
                ]
            )
    return written.getvalue()


def _tell(review: Mapping[str, Any]) -> None:
    for kind, found in review["kinds"].items():
        progress.say(
            f"    {kind.replace('_', ' ')}: {found['reviewed']} of {found['cases']} looked at, "
            f"{found['agree_with_model']} times with the model, {found['disputed']} disputed"
        )
    for name in ("sensitivity", "specificity"):
        original, corrected = (_interval(review[key][name]) for key in ("original", "corrected"))
        progress.say(f"    {name}: {original} as labelled, {corrected} as reviewed")
    progress.say(f"    mind: {_CAUTION}")


def _interval(figure: Mapping[str, float | None]) -> str:
    value, lower, upper = (figure[key] for key in ("value", "lower", "upper"))
    if value is None or lower is None or upper is None:
        return "unknown"
    return f"{value:.4f} ({lower:.4f} to {upper:.4f})"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
