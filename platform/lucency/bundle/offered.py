"""
A model's variants: the same network in other arithmetic, each with figures of its own.

``variants.json`` names them. What a variant may answer is decided here alone: it must hold the
card's rule and lose next to nothing against float32, first on validation films (then it is
offered), then on test films (then it may serve).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from lucency import files
from lucency.bundle import machine
from lucency.bundle.artifact import VARIANTS, Artifact, Golden
from lucency.bundle.machine import Precision, Runtime
from lucency.errors import ArtifactError
from lucency.evaluation import drop, rule
from lucency.evaluation.rule import ClinicalRule, Verdict

# The graph as it was exported: what the bundle's own evidence is about.
REFERENCE = "fp32"
AUTO = "auto"
# Of the AUROC, on the same films.
MOST_DROP = 0.005


class Speed(BaseModel):
    """
    CPU time of a film alone, one thread, the variant and float32 ONNX in turns.

    Attributes:
        ratio: Median over the turns of float32's time through the variant's.
        cpu: Where it was measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratio: float
    ms: float
    reference_ms: float
    cpu: str
    measured: str


class Variant(BaseModel):
    """
    One way to compute the model's answers.

    Attributes:
        files: In the bundle; the first one is what the runtime is given.
        model: Digest of the model that the figures are of.
        validation: Its figures on validation films, see ``lucency.bundle.variants.figures``.
        offered: Whether they hold; the files of one that is not are left out.
        golden: Films of the bundle with this variant's own logits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    runtime: Runtime
    precision: Precision
    files: tuple[str, ...]
    model: str
    speed: Speed
    validation: dict[str, Any]
    offered: bool
    golden: tuple[Golden, ...]

    def digest(self, artifact: Artifact) -> str:
        """Names what answers: model, runtime, precision and every byte of the variant's files."""
        held = artifact.manifest.files
        return files.digest(
            [self.model, self.runtime, self.precision, [held.get(name) for name in self.files]]
        )


_STORED = TypeAdapter(tuple[Variant, ...])


def read(artifact: Artifact) -> tuple[Variant, ...]:
    """
    All variants that a bundle knows of, offered or not.

    Raises:
        ArtifactError: ``variants.json`` is not what it must be.
    """
    if VARIANTS not in artifact.manifest.files:
        return ()
    try:
        return _STORED.validate_json((artifact.path / VARIANTS).read_bytes())
    except ValueError as cause:
        raise ArtifactError(
            f"{str(artifact.path / VARIANTS)!r} can't be read: {cause}; export the run again"
        ) from cause


def write(variants: tuple[Variant, ...]) -> bytes:
    """``variants.json``."""
    return json.dumps([each.model_dump(mode="json") for each in variants], indent=2).encode()


def of_model(artifact: Artifact) -> tuple[Variant, ...]:
    """Those that are offered for the very model in the bundle."""
    return tuple(
        each for each in read(artifact) if each.offered and each.model == artifact.model_digest
    )


def judge(clinical_rule: ClinicalRule, found: Mapping[str, Any]) -> Verdict:
    """Hold a variant's figures against the rule, and its AUROC against float32's."""
    metrics = found["metrics"]
    held = rule.judge(
        clinical_rule,
        drop.interval(metrics["sensitivity"]),
        drop.interval(metrics["specificity"]),
    )
    lost = found["auroc_drop"]
    # None, where a class is missing, is no proof of anything.
    kept = lost is not None and lost <= MOST_DROP
    return Verdict(held.passed and kept, (*held.reasons, _lost(lost)))


def _lost(drop: float | None) -> str:
    if drop is None:
        return "AUROC drop unknown"
    relation = "over" if drop > MOST_DROP else "not over"
    # A drop of next to nothing may be of either sign: no "-0.0000".
    return f"AUROC drop {round(drop, 4) + 0.0:.4f}, {relation} {MOST_DROP}"


def refusal(artifact: Artifact, variant: Variant, clinical_rule: ClinicalRule) -> str:
    """
    Why a variant must not answer by the bundle's evidence; empty where it may.

    By test films, and by those of every other site that it was judged on: there the floors are
    the gate's affair, and what it loses against float32 is its own.
    """
    evidence = artifact.evidence
    if evidence is None or evidence["model"]["digest"] != artifact.model_digest:
        return "the bundle has no test evidence of this model"
    found = evidence.get("variants", {}).get(variant.name)
    if found is None or found["digest"] != variant.digest(artifact):
        return "it was not measured when the test split was opened"
    verdict = judge(clinical_rule, found)
    if not verdict.passed:
        return "on test films: " + "; ".join(verdict.reasons)
    return "; ".join(_worse_elsewhere(artifact, variant))


def _worse_elsewhere(artifact: Artifact, variant: Variant) -> Iterator[str]:
    for site in artifact.external():
        found = site.get("variants", {}).get(variant.name)
        if found is not None and found["digest"] == variant.digest(artifact):
            lost = found["auroc_drop"]
            if lost is not None and lost > MOST_DROP:
                yield f"on films of {site['data']['name']}: {_lost(lost)}"


def named(artifact: Artifact, name: str) -> Variant:
    """
    The variant of that name, if it is offered.

    Raises:
        ArtifactError: there is none, or it did not hold on validation films.
    """
    found = {each.name: each for each in of_model(artifact)}
    if name not in found:
        known = {each.name: each for each in read(artifact)}
        why = "; ".join(known[name].validation["verdict"]["reasons"]) if name in known else ""
        raise ArtifactError(
            f"{str(artifact.path)!r} offers no variant {name!r}, it has "
            f"{[REFERENCE, *found]}" + (f"; on validation films: {why}" if why else "")
        )
    return found[name]


def servable(
    artifact: Artifact, available: frozenset[str] | None = None
) -> Iterator[tuple[Variant, str]]:
    """
    All that are offered, fastest first, each with why it must not or can't answer here.

    Args:
        available: Instruction sets of the CPU; this machine's if left out.
    """
    for each in sorted(of_model(artifact), key=lambda each: -each.speed.ratio):
        slower = "" if each.speed.ratio > 1 else f"{each.speed.ratio:.2f} times as fast as fp32"
        yield (
            each,
            slower
            or refusal(artifact, each, artifact.model.rule)
            or machine.lacks(each.runtime, each.precision, available),
        )


def lines(artifact: Artifact) -> Iterator[str]:
    """For people: what each variant is worth, and whether it may answer."""
    for each in read(artifact):
        yield (
            f"{each.name}, {each.speed.ratio:.2f} times as fast on {each.speed.cpu}; "
            f"{state(artifact, each)}"
        )


def state(artifact: Artifact, variant: Variant) -> str:
    """Whether a variant may answer, and why not."""
    if variant.model != artifact.model_digest:
        return "not offered: it was measured of another model"
    if not variant.offered:
        reasons = variant.validation["verdict"]["reasons"]
        return "not offered: on validation films " + "; ".join(reasons)
    why = refusal(artifact, variant, artifact.model.rule)
    return f"does not serve: {why}" if why else "may serve"
