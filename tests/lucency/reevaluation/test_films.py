"""Joining: each film once, its label from any of its answers, orphans counted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from lucency.audit.labels import Late
from lucency.audit.predictions import SCHEMA
from lucency.reevaluation.films import join

START = datetime(2026, 3, 1, 12, tzinfo=UTC)  # a Sunday


def answered(*rows: dict[str, Any]) -> pa.Table:
    """A prediction log; hours apart."""
    plain = {
        "version": "v1",
        "site": "",
        "label": "ILL",
        **dict.fromkeys(("who", "what", "model", "variant", "decision", "reason"), ""),
    }
    full = [
        {**plain, "at": START + timedelta(hours=n), "id": f"p{n}", "film": f"f{n}", **row}
        for n, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(full, SCHEMA)


def late(prediction: str, label: str | None = "ILL", **changes: Any) -> Late:
    """A label by one reader."""
    told = {"at": START, "patient": "", "site": "", "readers": 1, **changes}
    return Late(prediction=prediction, label=label, **told)


def test_label_meets_its_prediction() -> None:
    """Called and ill are told apart; a film without a label has none."""
    log = answered({}, {"label": "WELL"}, {})

    joined = join(log, [late("p1"), late("p2", "WELL")], "ILL")

    assert joined.films.called.tolist() == [True, False, True]
    assert joined.films.labelled.tolist() == [False, True, True]
    assert joined.films.ill[joined.films.labelled].tolist() == [True, False]


def test_film_that_was_sent_twice_counts_once() -> None:
    """Its label may name either answer; another version's answer is another film."""
    log = answered({"film": "f"}, {"film": "f"}, {"film": "f", "version": "v2"})

    films = join(log, [late("p0")], "ILL").films

    assert films.version.tolist() == ["v1", "v2"]
    assert films.labelled.tolist() == [True, False]


def test_labels_that_can_not_be_used_are_counted() -> None:
    """Without a prediction, or disputed."""
    joined = join(answered({}, {}), [late("p0", None), late("gone")], "ILL")

    assert (joined.orphans, joined.disputed) == (1, 1)
    assert not joined.films.labelled.any()


def test_site_of_the_request_goes_before_the_labels() -> None:
    """Only where the request named none does the label's count, and that is remembered."""
    log = answered({"site": "a"}, {})

    films = join(log, [late("p0", site="b"), late("p1", site="b")], "ILL").films

    assert films.site.tolist() == ["a", "b"]
    assert films.site_of_label.tolist() == [False, True]


def test_bounds_are_by_patient_only_where_all_are_named() -> None:
    """One label without a pseudonym makes them by film."""
    log = answered({}, {})

    assert join(log, [late("p0", patient="x"), late("p1", patient="x")], "ILL").by_patient
    assert not join(log, [late("p0", patient="x"), late("p1")], "ILL").by_patient


def test_weeks_begin_on_monday() -> None:
    """A Sunday belongs to the week before the Monday that follows."""
    films = join(answered({}, {"at": START + timedelta(days=1)}), [], "ILL").films

    assert films.week.tolist() == [
        np.datetime64("2026-02-23").item(),
        np.datetime64("2026-03-02").item(),
    ]


def test_empty_log_joins() -> None:
    """A service that never answered has no films."""
    assert len(join(SCHEMA.empty_table(), [], "ILL").films) == 0
