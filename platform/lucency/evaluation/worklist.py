"""
Films for a reader to look at again: what the model got wrong, the most certain first.

And the way back: a reader's verdicts, how often it was the label that was wrong, and what the
figures come to with those labels corrected.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from lucency.errors import DataError
from lucency.evaluation import metrics
from lucency.evaluation.conformal import Conformal
from lucency.evaluation.intervals import proportion

Kind = Literal["false_negative", "false_positive", "uncertain"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Verdict = Literal["agree_with_label", "agree_with_model", "unclear", "unusable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
FILLED = ("verdict", "comment", "reviewer")
# A finding that starts so is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MOST_COMMENT = 2000


@dataclass(frozen=True)
class Case:
    """
    One film to look at.

    Attributes:
        case: Number within its list, with the list's own digits before it.
        film: First twelve digits of the film's SHA-256.
        called: What the threshold calls it, whether that was answered or left to a reader.
        distance_logit: From the threshold to the calibrated logit; over 0 is called positive.
        distance_probability: The same between probabilities.
        reason: Why it was answered, or was not; see ``lucency.evaluation.conformal.REASONS``.
    """

    case: str
    film: str
    kind: Kind
    label: str
    called: str
    probability: float
    distance_logit: float
    distance_probability: float
    reason: str
    site: str


COLUMNS = (*(field.name for field in fields(Case)), *FILLED)


def choose(
    labels_n: np.ndarray, probabilities_nk: np.ndarray, threshold: float, conformal: Conformal
) -> list[tuple[int, Kind]]:
    """
    Which films of two classes to look at, as places among those given.

    False negatives first, then false positives, each the furthest from the threshold first; then
    films called rightly that were left to a reader, the nearest to it first.
    """
    distance_n = distances(probabilities_nk[:, 1], threshold)
    called_n, positive_n = probabilities_nk[:, 1] >= threshold, labels_n == 1
    left_n = np.array(
        [reason != "clear" for reason in reasons(probabilities_nk, called_n, conformal)]
    )
    chosen: dict[Kind, np.ndarray] = {
        "false_negative": positive_n & ~called_n,
        "false_positive": ~positive_n & called_n,
        "uncertain": left_n & (positive_n == called_n),
    }
    found: list[tuple[int, Kind]] = []
    for kind, of_kind_n in chosen.items():
        places = np.flatnonzero(of_kind_n)
        far_n = np.abs(distance_n[places])
        order = np.argsort(far_n if kind == "uncertain" else -far_n, kind="stable")
        found += [(int(place), kind) for place in places[order]]
    return found


def distances(probabilities_n: np.ndarray, threshold: float) -> np.ndarray:
    """Calibrated logits less that of the threshold."""
    found: np.ndarray = _logit(probabilities_n) - _logit(np.array(threshold))
    return found


def reasons(probabilities_nk: np.ndarray, called_n: np.ndarray, conformal: Conformal) -> list[str]:
    """Why each film was answered, or left to a reader."""
    inside_nk = conformal.sets(probabilities_nk)
    return [
        conformal.reason(inside_k, int(called))
        for inside_k, called in zip(inside_nk, called_n, strict=True)
    ]


def to_csv(cases: Iterable[Case]) -> str:
    """The list as a reader fills it in: one line a film, the last three columns empty."""
    written = io.StringIO()
    lines = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    lines.writeheader()
    for case in cases:
        shown = {
            "probability": f"{case.probability:.4f}",
            "distance_logit": f"{case.distance_logit:.4f}",
            "distance_probability": f"{case.distance_probability:.4f}",
            "site": _harmless(case.site),
        }
        lines.writerow({**asdict(case), **shown, **dict.fromkeys(FILLED, "")})
    return written.getvalue()


@dataclass(frozen=True)
class Answer:
    """What one reviewer said of one case."""

    case: str
    verdict: Verdict
    comment: str
    reviewer: str


def read_csv(text: str, cases: Mapping[str, Mapping[str, Any]]) -> list[Answer]:
    """
    The answers of a filled list; lines without a verdict were not looked at.

    Args:
        cases: Those of the list, by number.

    Raises:
        DataError: the file is of another list, what it says of a film was changed, a verdict is
            none, or a reviewer has no name or speaks twice of one case.
    """
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        if absent := sorted(set(COLUMNS) - set(reader.fieldnames or [])):
            raise DataError(f"the filled list lacks the columns {absent}: keep all of them")
        answers = [
            answer
            for raw in reader
            if (answer := _answer(raw, cases, f"line {reader.line_num}")) is not None
        ]
    except csv.Error as cause:
        raise DataError(
            f"the filled list is no CSV with commas, line {reader.line_num}: {cause}"
        ) from cause
    said = Counter((answer.case, answer.reviewer) for answer in answers)
    if twice := [pair for pair, count in said.items() if count > 1]:
        raise DataError(
            f"{twice[0][1]!r} gives {said[twice[0]]} verdicts on case {twice[0][0]!r}: leave one"
        )
    if not answers:
        raise DataError(f"no case has a verdict: write one of {list(VERDICTS)} in that column")
    return answers


def settled(answers: Sequence[Answer]) -> dict[str, str]:
    """
    What each case came to: a verdict that all its reviewers give, else ``disputed``.
    """
    said: dict[str, set[str]] = {}
    for answer in answers:
        said.setdefault(answer.case, set()).add(answer.verdict)
    return {case: one.pop() if len(one) == 1 else "disputed" for case, one in said.items()}


def by_kind(cases: Mapping[str, Mapping[str, Any]], outcome: Mapping[str, str]) -> dict[str, Any]:
    """How many cases of each kind were looked at, and what they came to."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        of_kind = [number for number, case in cases.items() if case["kind"] == kind]
        counted = Counter(outcome[number] for number in of_kind if number in outcome)
        reviewed = sum(counted.values())
        wrong = counted["agree_with_model"] if kind != "uncertain" else 0
        found[kind] = {
            "cases": len(of_kind),
            "reviewed": reviewed,
            **{verdict: counted[verdict] for verdict in (*VERDICTS, "disputed")},
            "label_wrong": wrong / reviewed if reviewed and kind != "uncertain" else None,
        }
    return found


def corrected(
    labels_n: np.ndarray,
    called_n: np.ndarray,
    patients_n: np.ndarray,
    outcome_n: Sequence[str | None],
    confidence: float,
) -> dict[str, Any]:
    """
    Sensitivity and specificity with the labels as they are, and with those of the reviewers.

    A label is turned where the reviewers side with the model; unusable films are left out.

    Args:
        labels_n: 1 is the positive class.
        outcome_n: What the film's case came to; None where there is no case, or no verdict.
    """
    turned_n = np.array([outcome == "agree_with_model" for outcome in outcome_n])
    kept_n = np.array([outcome != "unusable" for outcome in outcome_n])
    new_n = np.where(turned_n, called_n.astype(int), labels_n)
    return {
        "original": _figures(labels_n, called_n, patients_n, confidence),
        "corrected": _figures(new_n[kept_n], called_n[kept_n], patients_n[kept_n], confidence),
        "labels_turned": int((new_n != labels_n).sum()),
        "left_out": int((~kept_n).sum()),
    }


def _figures(
    labels_n: np.ndarray, called_n: np.ndarray, patients_n: np.ndarray, confidence: float
) -> dict[str, Any]:
    positive, called = labels_n == 1, called_n.astype(bool)
    return {
        "films": int(labels_n.size),
        **metrics.plain_all(
            {
                "sensitivity": proportion(called[positive], patients_n[positive], confidence),
                "specificity": proportion(~called[~positive], patients_n[~positive], confidence),
            }
        ),
    }


def _answer(
    raw: Mapping[str | None, Any], cases: Mapping[str, Mapping[str, Any]], where: str
) -> Answer | None:
    number = (raw["case"] or "").strip()
    if number not in cases:
        raise DataError(
            f"{where} has case {number!r}, which is not of this list: its cases start with "
            f"{next(iter(cases)).partition('-')[0]!r}; give the file that was filled from it"
        )
    for column in ("film", "kind", "label", "called"):
        if (raw[column] or "").strip() != cases[number][column]:
            raise DataError(
                f"{where} says {column} {raw[column]!r} of case {number!r}, the list has "
                f"{cases[number][column]!r}: lines were shifted; fill a fresh copy"
            )
    verdict, comment, reviewer = ((raw[name] or "").strip() for name in FILLED)
    if not verdict:
        return None
    if verdict not in VERDICTS:
        raise DataError(f"{where} has verdict {verdict!r}, expected one of {list(VERDICTS)}")
    if not reviewer:
        raise DataError(f"{where} has a verdict and no reviewer: a verdict is somebody's")
    return Answer(number, verdict, comment[:_MOST_COMMENT], reviewer)


def numbered(digest: str, number: int) -> str:
    """A case's number within the list of that digest, 1 for its first."""
    return f"{digest[:8]}-{number:04d}"


def _logit(probabilities: np.ndarray) -> np.ndarray:
    # A float32 sigmoid reaches 0 and 1; their logits would be infinite, and no figure to show.
    inside = np.clip(probabilities.astype(float), 1e-7, 1 - 1e-7)
    found: np.ndarray = np.log(inside) - np.log1p(-inside)
    return found


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
