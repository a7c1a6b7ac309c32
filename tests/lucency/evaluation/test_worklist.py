"""Films to look at again, and verdicts read back."""

import csv
import io
from typing import Any

import numpy as np
import pytest

from lucency.errors import DataError
from lucency.evaluation import worklist
from lucency.evaluation.conformal import Conformal
from lucency.evaluation.worklist import Answer, Case

CONFORMAL = Conformal(coverage=0.95, least=(0.3, 0.3))


def _cases(site: str = "a") -> dict[str, dict[str, Any]]:
    found = [
        Case(
            case=worklist.numbered("abcdef0123456789", number),
            film=f"{number:012}",
            kind=kind,
            label="PNEUMONIA",
            called="NORMAL",
            probability=0.1,
            distance_logit=-2.0,
            distance_probability=-0.4,
            reason="clear",
            site=site,
        )
        for number, kind in enumerate(worklist.KINDS, 1)
    ]
    return {case.case: vars(case) for case in found}


def _filled(cases: dict[str, dict[str, Any]], **changes: str) -> str:
    """The CSV of a list, its first line filled in."""
    rows = list(csv.DictReader(io.StringIO(_csv(cases))))
    rows[0] |= {"verdict": "agree_with_model", "reviewer": "A", **changes}
    written = io.StringIO()
    lines = csv.DictWriter(written, rows[0].keys())
    lines.writeheader()
    lines.writerows(rows)
    return written.getvalue()


def _csv(cases: dict[str, dict[str, Any]]) -> str:
    return worklist.to_csv(Case(**case) for case in cases.values())


def test_the_most_certain_mistakes_come_first() -> None:
    """Missed films, then false alarms, the furthest first; then what was left to a reader."""
    labels_n = np.array([1, 1, 0, 0, 1, 0, 1])
    given_n = np.array([0.2, 0.01, 0.9, 0.99, 0.6, 0.45, 0.95])

    found = worklist.choose(labels_n, np.stack([1 - given_n, given_n], 1), 0.5, CONFORMAL)

    assert found == [
        (1, "false_negative"),
        (0, "false_negative"),
        (3, "false_positive"),
        (2, "false_positive"),
        (5, "uncertain"),
        (4, "uncertain"),
    ]


def test_distance_is_in_odds() -> None:
    """Equal steps of the distance are equal ratios of odds, and a certain film has a finite one."""
    found = worklist.distances(np.array([0.5, 0.8, 1.0]), 0.2)

    np.testing.assert_allclose(found[:2], [np.log(4), np.log(16)])
    assert np.isfinite(found[2])


def test_the_list_has_empty_columns_for_the_reviewer() -> None:
    """Verdict, comment and reviewer are there to be filled in."""
    (first, *_) = csv.DictReader(io.StringIO(_csv(_cases())))

    assert [first[name] for name in worklist.FILLED] == ["", "", ""]
    assert first["case"] == "abcdef01-0001"


def test_a_site_is_no_formula() -> None:
    """What a table calls its site can't become a spreadsheet's command."""
    (first, *_) = csv.DictReader(io.StringIO(_csv(_cases(site="=1+1"))))

    assert first["site"] == "'=1+1"


def test_only_lines_with_a_verdict_are_answers() -> None:
    """What was not looked at says nothing."""
    cases = _cases()

    assert worklist.read_csv(_filled(cases, comment="clear lungs"), cases) == [
        Answer("abcdef01-0001", "agree_with_model", "clear lungs", "A")
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"case": "00000000-0001"}, "is not of this list"),
        ({"film": "f" * 12}, "lines were shifted"),
        ({"label": "NORMAL"}, "lines were shifted"),
        ({"verdict": "yes"}, "expected one of"),
        ({"reviewer": ""}, "no reviewer"),
        ({"verdict": ""}, "no case has a verdict"),
    ],
)
def test_a_file_that_does_not_belong_is_refused(changes: dict[str, str], said: str) -> None:
    """Another list's case, a shifted line, an unknown verdict, nobody's verdict, none at all."""
    cases = _cases()

    with pytest.raises(DataError, match=said):
        worklist.read_csv(_filled(cases, **changes), cases)


def test_nobody_speaks_twice() -> None:
    """A reviewer has one verdict on a case; which of two was meant is not guessed."""
    cases = _cases()
    text = _filled(cases)

    with pytest.raises(DataError, match="gives 2 verdicts"):
        worklist.read_csv(text + text.splitlines()[1] + "\n", cases)


def test_reviewers_who_differ_settle_nothing() -> None:
    """A case is settled by a verdict that all its reviewers give."""
    answers = [
        Answer("1", "agree_with_model", "", "A"),
        Answer("1", "agree_with_label", "", "B"),
        Answer("2", "unclear", "", "A"),
        Answer("2", "unclear", "", "B"),
    ]

    assert worklist.settled(answers) == {"1": "disputed", "2": "unclear"}


def test_how_often_the_label_was_wrong() -> None:
    """Of the cases of a kind that were looked at; of films called rightly nothing is said."""
    cases = _cases()
    numbers = list(cases)

    found = worklist.by_kind(cases, {numbers[0]: "agree_with_model", numbers[2]: "unclear"})

    assert found["false_negative"]["label_wrong"] == 1.0
    assert found["false_positive"]["label_wrong"] is None
    assert found["uncertain"]["reviewed"] == 1
    assert found["uncertain"]["label_wrong"] is None


def test_figures_stand_side_by_side() -> None:
    """A turned label moves the corrected figures and never the original ones."""
    labels_n, called_n = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 1])
    outcomes = [None, "agree_with_model", None, "unusable"]

    found = worklist.corrected(labels_n, called_n, np.arange(4), outcomes, 0.95)

    assert found["original"]["sensitivity"]["value"] == 0.5
    assert found["original"]["specificity"]["value"] == 0.5
    assert found["corrected"]["sensitivity"]["value"] == 1.0
    assert found["corrected"]["specificity"]["value"] == 1.0
    assert found["corrected"]["films"] == 3
    assert (found["labels_turned"], found["left_out"]) == (1, 1)


@pytest.mark.parametrize("outcome", ["unclear", "disputed", "agree_with_label", None])
def test_only_agreement_with_the_model_turns_a_label(outcome: str | None) -> None:
    """Doubt leaves a label as it is."""
    found = worklist.corrected(
        np.array([1, 0]), np.array([0, 0]), np.arange(2), [outcome, None], 0.9
    )

    assert found["original"] == found["corrected"]
    assert found["labels_turned"] == 0
