"""The page on another site: what was lost, what was not looked for, drawn films named so."""

from functools import cache
from typing import Any

import numpy as np

from lucency.evaluation import drop, external, external_page, metrics, probability
from lucency.evaluation.rule import ClinicalRule

RULE = ClinicalRule(sensitivity_floor=0.5, specificity_floor=0.5)


Given = tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]


@cache
def site() -> Given:
    """120 films that a fair model was shown: evidence, truth, probabilities, cross-fitted ones."""
    generator = np.random.default_rng(0)
    labels_n = np.arange(120) % 2
    logits_nk = (3 * labels_n - 1.5 + generator.normal(0, 1.5, 120))[:, None]
    given_nk, patients_n = probability.of_classes(logits_nk), np.arange(120)
    figures = metrics.assess(
        labels_n,
        given_nk[:, 1],
        patients_n,
        np.full(120, "<script>"),
        threshold=0.5,
        clinical_rule=RULE,
    )
    suggestion = external.suggest(logits_nk, labels_n, patients_n, RULE, 2)
    assert suggestion is not None
    evidence: dict[str, Any] = {
        "at": "2026-01-01",
        "who": "tests",
        "model": {"name": "pneumonia", "digest": "m" * 64},
        "data": {"name": "other", "digest": "d" * 64, "drawn": False, "splits": ["test"]},
        "unseen": {"searched": True, "trained_on": "t" * 64, "patients": True, "near": True},
        "internal": {"data": "t" * 64, "metrics": figures["metrics"]},
        "labels": ["NORMAL", "PNEUMONIA"],
        "renamed": {"VIRUS": "PNEUMONIA"},
        "rule": RULE.model_dump(),
        "threshold": 0.5,
        "calibrator": "temperature 1.000",
        **figures,
        "drop": {
            name: metrics.plain(fall)
            for name, fall in drop.of(figures["metrics"], figures["metrics"]).items()
        },
        "reliability": external.reliability(labels_n, given_nk, patients_n),
        "suggestion": suggestion.record(labels_n),
    }
    return evidence, labels_n, given_nk, suggestion.probabilities


def page(**changes: Any) -> str:
    """The page with other values in its evidence."""
    evidence, labels_n, given_nk, suggested_nk = site()
    return external_page.render(
        evidence={**evidence, **changes},
        labels_n=labels_n,
        probabilities_nk=given_nk,
        suggested_nk=suggested_nk,
    )


def test_page_shows_the_drop_and_the_suggestion() -> None:
    """Each measure with both sites, and the figures that the site's own fit would have."""
    text = page()

    assert text.count("<svg") == 5
    for word in ("AUROC", "Sensitivity", "Suggested", "VIRUS counted as PNEUMONIA", "none found"):
        assert word in text
    assert "Shared films were not looked for" not in text
    assert "not a clinical result" not in text


def test_what_was_not_searched_is_said_first() -> None:
    """A reader of figures that may flatter is told so."""
    assert "Shared films were not looked for" in page(
        unseen={"searched": False, "trained_on": "t" * 64}
    )


def test_drawn_films_are_never_clinical_results() -> None:
    """The notice stands on this page too."""
    assert "Drawn phantom films, not a clinical result" in page(
        data={"name": "phantom", "digest": "d" * 64, "drawn": True, "splits": ["test"]}
    )


def test_site_without_enough_patients_has_no_suggestion() -> None:
    """The page says why instead of showing figures of the films that were fitted on."""
    assert "too few patients here" in page(suggestion=None)


def test_name_of_a_site_can_not_write_html() -> None:
    """A site's name comes from a table that somebody else made."""
    text = page()

    assert "<script>" not in text
    assert "&lt;script&gt;" in text
