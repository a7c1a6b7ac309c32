"""The page of a worklist, films beside overlays; layout in ``worklist.html.j2``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lucency import pages
from lucency.evaluation import report
from lucency.evaluation.conformal import REASONS
from lucency.evaluation.worklist import KINDS, VERDICTS, Case

_SAID = {
    "agree_with_label": "the label is right, the model is wrong",
    "agree_with_model": "the model is right, the label is wrong",
    "unclear": "it can't be told from this film",
    "unusable": "the film should not have been in the set",
}
assert set(_SAID) == set(VERDICTS)
_HEADS = {
    "false_negative": "Missed: labelled {positive}, called {negative}",
    "false_positive": "False alarms: labelled {negative}, called {positive}",
    "uncertain": "Left to a reader, though the threshold agrees with the label",
}
assert set(_HEADS) == set(KINDS)


@dataclass(frozen=True)
class Shown:
    """A case with its pictures; no overlay where the network gives no map."""

    case: Case
    film_png: bytes
    overlay_png: bytes | None


def render(record: Mapping[str, Any], shown: Sequence[Shown]) -> str:
    """
    The page as HTML text, nothing loaded from elsewhere.

    Args:
        record: What the list is of: model, data, split, threshold, labels, counts by kind.
        shown: The first cases, in the order of the list.
    """
    negative, positive = record["labels"]
    environment = pages.environment("lucency.evaluation", data_uri=report.data_uri)
    return environment.get_template("worklist.html.j2").render(
        record=record,
        heads={
            kind: head.format(negative=negative, positive=positive) for kind, head in _HEADS.items()
        },
        groups={kind: [each for each in shown if each.case.kind == kind] for kind in KINDS},
        verdicts=_SAID,
        reasons=REASONS,
    )
