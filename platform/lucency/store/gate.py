"""The only way to promotion: the clinical rule on test evidence that travels in the bundle."""

from typing import Any

from lucency.bundle import offered
from lucency.bundle.artifact import Artifact
from lucency.errors import GateRefused
from lucency.evaluation import drop, rule
from lucency.evaluation.drop import MostDrop
from lucency.evaluation.rule import ClinicalRule


def check(
    artifact: Artifact,
    clinical_rule: ClinicalRule,
    most_drop: MostDrop = MostDrop(),  # noqa: B008 (frozen)
) -> tuple[str, ...]:
    """
    Judge a bundle by its evidence and the rule in force here, not the one it was made under.

    Args:
        most_drop: Held against every other site that the bundle has evidence of.

    Returns:
        The reasons, with figures, for the store's history.

    Raises:
        GateRefused: no golden films, no evidence, evidence of another model, figures under a
            floor, a variant that the bundle would answer with and whose own figures are, or a
            bound on the drop that no other site's films were asked about or that one of them
            does not hold.
    """
    if not artifact.golden:
        raise GateRefused(
            f"{str(artifact.path)!r} has no golden films: nothing would notice a machine on which "
            "it answers otherwise; export the run again",
            {},
        )
    evidence = artifact.evidence
    if evidence is None:
        raise GateRefused(
            f"{str(artifact.path)!r} has no test evidence: run python jobs/evaluate.py first", {}
        )
    if evidence["model"]["digest"] != artifact.model_digest:
        raise GateRefused(
            f"the evidence in {str(artifact.path)!r} is of model "
            f"{evidence['model']['digest'][:12]!r}, the bundle holds "
            f"{artifact.model_digest[:12]!r}: evaluate it again",
            {},
        )
    if evidence["rule"]["confidence"] < clinical_rule.confidence:
        raise GateRefused(
            f"the evidence has {evidence['rule']['confidence']:.0%} intervals, the gate asks for "
            f"{clinical_rule.confidence:.0%}: evaluate it again",
            {},
        )
    metrics: dict[str, dict[str, float]] = evidence["metrics"]
    verdict = rule.judge(
        clinical_rule,
        drop.interval(metrics["sensitivity"]),
        drop.interval(metrics["specificity"]),
    )
    if not verdict.passed:
        raise GateRefused(
            "not promoted: " + "; ".join(verdict.reasons),
            {
                "reasons": list(verdict.reasons),
                "metrics": metrics,
                "rule": clinical_rule.model_dump(),
            },
        )
    return (
        *verdict.reasons,
        *_variants(artifact, clinical_rule),
        *_drops(artifact, clinical_rule, most_drop),
    )


def _variants(artifact: Artifact, clinical_rule: ClinicalRule) -> list[str]:
    """
    Judge each variant by its own figures; the reasons.

    One that fails the bundle's own rule never answers. One that holds it and fails the rule in
    force here would: a predictor knows the bundle, not the gate.
    """
    reasons = []
    for variant in offered.of_model(artifact):
        own = offered.refusal(artifact, variant, artifact.model.rule)
        here = offered.refusal(artifact, variant, clinical_rule)
        if here and not own:
            raise GateRefused(
                f"not promoted: variant {variant.name!r} would answer, and {here}. Export the run "
                "again without it; the model stays the same one",
                {"variant": variant.name, "rule": clinical_rule.model_dump()},
            )
        reasons.append(f"variant {variant.name} {f'does not serve: {own}' if own else 'holds'}")
    return reasons


def _drops(artifact: Artifact, clinical_rule: ClinicalRule, most: MostDrop) -> list[str]:
    """Hold every other site's figures against the bounds; the reasons, site by site."""
    if not most.bounds:
        return []
    sites = [each for each in external(artifact) if _counts(each, artifact, clinical_rule)]
    if not sites:
        raise GateRefused(
            f"the gate bounds the drop of {sorted(most.bounds)} at other sites, and "
            f"{str(artifact.path)!r} has no such evidence of this model, on films searched for "
            f"those it was trained on, with {clinical_rule.confidence:.0%} intervals or wider: run "
            "python jobs/evaluate.py configs/evaluate/external.yaml with trained_on first",
            {},
        )
    judged = {
        f"{site['data']['name']} {site['data']['digest'][:12]}": drop.judge(
            most, drop.read(site["drop"])
        )
        for site in sites
    }
    reasons = [f"at {name}: {reason}" for name, (_, said) in judged.items() for reason in said]
    if not all(held for held, _ in judged.values()):
        raise GateRefused(
            "not promoted: " + "; ".join(reasons),
            {
                "reasons": reasons,
                "drops": {site["data"]["digest"]: site["drop"] for site in sites},
                "most_drop": most.bounds,
            },
        )
    return reasons


def external(artifact: Artifact) -> list[dict[str, Any]]:
    """The evidence on other tables that is sealed into a bundle, whatever model it is of."""
    return artifact.external()


def _counts(site: dict[str, Any], artifact: Artifact, clinical_rule: ClinicalRule) -> bool:
    """Of this model, on films that it is known not to have seen, with intervals wide enough."""
    return bool(
        site["model"]["digest"] == artifact.model_digest
        and site["unseen"]["searched"]
        and site["rule"]["confidence"] >= clinical_rule.confidence
    )
