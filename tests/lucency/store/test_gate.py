"""The gate: no evidence, foreign evidence or figures under a floor, and nothing moves."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.errors import GateRefused
from lucency.evaluation import drop
from lucency.evaluation.drop import MostDrop
from lucency.evaluation.rule import ClinicalRule
from lucency.store import gate
from tests.offering import figures, offering, variant

RULE = ClinicalRule(sensitivity_floor=0.9, specificity_floor=0.7)


@pytest.fixture
def candidate(bundle: Artifact, tmp_path: Path) -> Artifact:
    """A bundle without evidence that a test may add to."""
    shutil.copytree(bundle.path, tmp_path / "bundle")
    return Artifact.load(tmp_path / "bundle")


def proven(
    candidate: Artifact,
    *,
    lower: float | None = 0.93,
    specificity: float | None = 0.8,
    digest: str = "",
    confidence: float = 0.95,
) -> Artifact:
    """The bundle with evidence of the given figures."""
    evidence: dict[str, Any] = {
        "model": {"name": "test", "digest": digest or candidate.model_digest},
        "rule": {**RULE.model_dump(), "confidence": confidence},
        "metrics": {
            "sensitivity": {"value": 0.96, "lower": lower, "upper": 0.99},
            "specificity": {"value": specificity, "lower": 0.75, "upper": 0.85},
        },
    }
    return artifact.with_files(candidate, {artifact.EVIDENCE: json.dumps(evidence).encode()})


def test_bundle_over_both_floors_passes(candidate: Artifact) -> None:
    """The reasons with figures are handed back for the history."""
    reasons = gate.check(proven(candidate), RULE)

    assert reasons == (
        "sensitivity 0.9600, lower 95% bound by patient 0.9300, not under the floor 0.9",
        "specificity 0.8000, not under the floor 0.7",
    )


def test_bundle_without_golden_films_is_refused(candidate: Artifact) -> None:
    """Nothing would notice a machine on which it answers otherwise."""
    emptied = artifact.with_files(proven(candidate), {artifact.GOLDEN: b"[]"})

    with pytest.raises(GateRefused, match="no golden films"):
        gate.check(emptied, RULE)


def test_bundle_without_evidence_is_refused(candidate: Artifact) -> None:
    """A model that nobody tested is not promoted, and the message says how to test it."""
    with pytest.raises(GateRefused, match=r"no test evidence.*jobs/evaluate\.py") as refused:
        gate.check(candidate, RULE)

    assert refused.value.figures == {}


def test_evidence_of_another_model_is_refused(candidate: Artifact) -> None:
    """Figures do not pass from one model to another, however good they are."""
    foreign = proven(candidate, digest="f" * 64)

    with pytest.raises(GateRefused, match=r"is of model 'ffffffffffff'.*evaluate it again"):
        gate.check(foreign, RULE)


def test_evidence_stays_behind_when_the_model_changes(candidate: Artifact) -> None:
    """A threshold that is moved after the test makes another model, without evidence."""
    tested = proven(candidate)
    moved = tested.model.model_copy(update={"threshold": 0.1})
    changed = artifact.with_files(tested, {artifact.MODEL: moved.model_dump_json().encode()})

    with pytest.raises(GateRefused, match="evaluate it again"):
        gate.check(changed, RULE)


@pytest.mark.parametrize(
    ("figures", "found"),
    [
        ({"lower": 0.8999}, "bound by patient 0.8999, under the floor 0.9"),
        ({"specificity": 0.69}, "specificity 0.6900, under the floor 0.7"),
        ({"lower": None}, "bound by patient nan, under the floor 0.9"),
        ({"specificity": None}, "specificity nan, under the floor 0.7"),
    ],
)
def test_figures_under_a_floor_are_refused(
    candidate: Artifact, figures: dict[str, float | None], found: str
) -> None:
    """The refusal says the figure and the floor, for people and for programs."""
    weak = proven(candidate, **figures)  # type: ignore[arg-type]

    with pytest.raises(GateRefused, match=f"not promoted.*{found}") as refused:
        gate.check(weak, RULE)

    assert refused.value.figures["rule"] == RULE.model_dump()
    assert refused.value.figures["metrics"]["sensitivity"]["value"] == 0.96
    assert len(refused.value.figures["reasons"]) == 2


def test_rule_in_force_decides_not_the_bundles_own(candidate: Artifact) -> None:
    """A bundle made under lower floors is judged by those of the place it is promoted in."""
    tested = proven(candidate)
    stricter = ClinicalRule(sensitivity_floor=0.95, specificity_floor=0.7)

    with pytest.raises(GateRefused, match=r"under the floor 0\.95"):
        gate.check(tested, stricter)


def test_narrower_intervals_than_asked_for_are_refused(candidate: Artifact) -> None:
    """Bounds of 90 % can't answer a rule of 95 %; wider ones than asked for can."""
    with pytest.raises(GateRefused, match="has 90% intervals, the gate asks for 95%"):
        gate.check(proven(candidate, confidence=0.9), RULE)

    assert gate.check(proven(candidate, confidence=0.99), RULE)


MOST = MostDrop(auroc=0.05)


def validated(
    candidate: Artifact,
    *,
    upper: float | None = 0.03,
    digest: str = "",
    searched: bool = True,
    confidence: float = 0.95,
    site: str = "a" * 64,
) -> Artifact:
    """The bundle with evidence of another site, where AUROC fell by the given upper bound."""
    evidence = {
        "model": {"name": "test", "digest": digest or candidate.model_digest},
        "data": {"name": "elsewhere", "digest": site},
        "unseen": {"searched": searched},
        "rule": {**RULE.model_dump(), "confidence": confidence},
        "drop": {"auroc": {"value": 0.01, "lower": -0.01, "upper": upper}},
    }
    text = json.dumps(evidence).encode()
    return artifact.with_files(candidate, {drop.file_name(site): text})


def test_drop_within_its_bound_passes(candidate: Artifact) -> None:
    """The site's figures join the reasons; the seal of the evidence changes no model."""
    tested = validated(proven(candidate))

    reasons = gate.check(tested, RULE, MOST)

    assert tested.model_digest == candidate.model_digest
    assert reasons[-1] == (
        "at elsewhere aaaaaaaaaaaa: auroc falls by 0.0100 (-0.0100 to 0.0300), upper bound not "
        "over the 0.05 allowed"
    )


def test_without_a_bound_no_other_site_is_asked_for(candidate: Artifact) -> None:
    """Nor does a bad one keep a model back."""
    assert len(gate.check(validated(proven(candidate), upper=0.5), RULE)) == 2


@pytest.mark.parametrize("upper", [0.06, None])
def test_drop_over_its_bound_is_refused(candidate: Artifact, upper: float | None) -> None:
    """One site that may lose too much is enough, however many do not."""
    tested = validated(validated(proven(candidate)), upper=upper, site="b" * 64)

    with pytest.raises(GateRefused, match=r"at elsewhere bbbbbbbbbbbb: .*upper bound over") as no:
        gate.check(tested, RULE, MOST)

    assert no.value.figures["most_drop"] == {"auroc": 0.05}


@pytest.mark.parametrize(
    "changes", [None, {"digest": "f" * 64}, {"searched": False}, {"confidence": 0.9}]
)
def test_bound_needs_evidence_that_counts(
    candidate: Artifact, changes: dict[str, Any] | None
) -> None:
    """None, of another model, on films it may have been trained on, or with narrow intervals."""
    tested = proven(candidate)
    if changes is not None:
        tested = validated(tested, **changes)

    with pytest.raises(GateRefused, match=r"no such evidence.*external\.yaml with trained_on"):
        gate.check(tested, RULE, MOST)


def test_variant_is_judged_by_its_own_figures(bundle: Artifact, tmp_path: Path) -> None:
    """One that holds and one that does not serve are named; neither stops the model itself."""
    made = offering(
        bundle,
        tmp_path / "bundle",
        variant(bundle, "good"),
        variant(bundle, "bad"),
        tested={"good": figures(), "bad": figures(lower=0.5)},
    )

    *_, good, bad = gate.check(made, RULE)

    assert good == "variant good holds"
    assert bad.startswith("variant bad does not serve: on test films: sensitivity 0.9700, lower")


def test_variant_under_the_gates_own_floor_stops_the_bundle(
    bundle: Artifact, tmp_path: Path
) -> None:
    """It holds the rule in the bundle, so it would serve; the gate asks for more."""
    twin = variant(bundle)
    made = offering(bundle, tmp_path / "bundle", twin, tested={"twin": figures(lower=0.92)})
    assert gate.check(made, RULE)

    stricter = ClinicalRule(sensitivity_floor=0.93, specificity_floor=0.7)
    with pytest.raises(GateRefused, match=r"variant 'twin' would answer.*under the floor 0\.93"):
        gate.check(made, stricter)
