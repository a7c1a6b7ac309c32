"""What predictions are worth by a bundle's own threshold and rule."""

from typing import Any

from lucency.batch import Predictions
from lucency.bundle.artifact import ModelCard
from lucency.evaluation import conformal, metrics, rule


def assess(
    found: Predictions, card: ModelCard, prevalences: tuple[float, ...] = ()
) -> dict[str, Any]:
    """All figures with intervals by patient, for two classes or more; plain values."""
    return {**_figures(found, card, prevalences), "sets": _sets(found, card)}


def _sets(found: Predictions, card: ModelCard) -> dict[str, Any]:
    """What the prediction sets were worth."""
    return metrics.plain_all(
        conformal.assess(
            card.conformal,
            found.labels,
            found.probabilities,
            rule.called(found.probabilities, card.threshold),
            found.patients,
            classes=card.labels,
            confidence=card.rule.confidence,
        )
    )


def _figures(found: Predictions, card: ModelCard, prevalences: tuple[float, ...]) -> dict[str, Any]:
    if card.threshold is None:
        return metrics.assess_classes(
            found.labels,
            found.probabilities,
            found.patients,
            found.sites,
            classes=card.labels,
            clinical_rule=card.rule,
        )
    return metrics.assess(
        found.labels,
        found.probabilities[:, 1],
        found.patients,
        found.sites,
        threshold=card.threshold,
        clinical_rule=card.rule,
        prevalences=prevalences,
    )
