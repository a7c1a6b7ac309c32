"""The only way to promotion: the clinical rule on test evidence that travels in the bundle."""

from typing import Any

from lucency.bundle.artifact import Artifact
from lucency.errors import GateRefused
from lucency.evaluation import rule
from lucency.evaluation.intervals import Interval
from lucency.evaluation.rule import ClinicalRule


def check(artifact: Artifact, clinical_rule: ClinicalRule) -> tuple[str, ...]:
    """
    Judge a bundle by its evidence and the rule in force here, not the one it was made under.

    Returns:
        The reasons, with figures, for the store's history.

    Raises:
        GateRefused: no golden films, no evidence, evidence of another model, or figures under
            a floor.
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
        clinical_rule, _interval(metrics["sensitivity"]), _interval(metrics["specificity"])
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
    return verdict.reasons


def _interval(figure: dict[str, Any]) -> Interval:
    values = {name: float("nan") if x is None else float(x) for name, x in figure.items()}
    return Interval(**values)
