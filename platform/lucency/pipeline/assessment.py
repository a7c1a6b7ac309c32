"""What predictions are worth by a bundle's own threshold and rule, variant by variant."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lucency import progress
from lucency.batch import Predictions
from lucency.bundle import machine, offered, variants
from lucency.bundle.artifact import Artifact, ModelCard
from lucency.evaluation import conformal, metrics, rule


def assess(
    found: Predictions, card: ModelCard, prevalences: tuple[float, ...] = ()
) -> dict[str, Any]:
    """All figures with intervals by patient, for two classes or more; plain values."""
    return {**_figures(found, card, prevalences), "sets": _sets(found, card)}


def judge_variants(
    bundle: Artifact, reference: Predictions, predict: Callable[[str], Predictions]
) -> dict[str, Any]:
    """Each offered variant on the films of ``reference``; not those that can't run here."""
    found = {}
    for variant in offered.of_model(bundle):
        if missing := machine.lacks(variant.runtime, variant.precision):
            progress.say(f"    variant {variant.name} stays without evidence: {missing}")
            continue
        measured = variants.figures(predict(variant.name), reference, bundle.model)
        found[variant.name] = {"digest": variant.digest(bundle), **measured}
        progress.say(f"    variant {variant.name}: " + "; ".join(measured["verdict"]["reasons"]))
    return found


def table_of_variants(
    bundle: Artifact, evidence: Mapping[str, Any], *, own: bool = True
) -> list[dict[str, Any]]:
    """
    A row for each variant that a page shows; what it was not measured on, it has no figures of.

    Args:
        evidence: On the page's films.
        own: They are the bundle's test films, whose evidence is not sealed into it yet.
    """
    judged = replace(bundle, evidence=dict(evidence)) if own else bundle
    return [
        {
            "name": each.name,
            "runs": f"{each.runtime} {each.precision}",
            "speed": each.speed.model_dump(),
            "found": evidence.get("variants", {}).get(each.name),
            "state": offered.state(judged, each),
        }
        for each in offered.read(bundle)
    ]


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
