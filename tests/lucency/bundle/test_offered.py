"""Which variant may answer: by its own figures, on its own bytes, on a machine that can."""

import json
from pathlib import Path
from typing import Any

import pytest

from lucency.bundle import artifact, offered
from lucency.bundle.artifact import Artifact
from lucency.errors import ArtifactError
from lucency.evaluation.rule import ClinicalRule
from tests.offering import figures, offering, variant

RULE = ClinicalRule(sensitivity_floor=0.9, specificity_floor=0.7)


@pytest.mark.parametrize(
    ("found", "passed"),
    [
        ({}, True),
        ({"lower": 0.9}, True),
        ({"lower": 0.8999}, False),
        ({"lost": -0.1}, True),
        ({"lost": 0.005}, True),
        ({"lost": 0.0051}, False),
        ({"lost": None}, False),
    ],
)
def test_rule_and_loss_are_judged(found: dict[str, Any], passed: bool) -> None:
    """The floors hold at the bound, the AUROC may fall by 0.005, and what is unknown fails."""
    verdict = offered.judge(RULE, figures(**found))

    assert verdict.passed == passed
    assert "AUROC drop" in verdict.reasons[-1]


@pytest.mark.parametrize(
    ("tested", "why"),
    [
        (None, ""),
        ({}, "it was not measured when the test split was opened"),
        ({"twin": figures(lower=0.89)}, "lower 95% bound by patient 0.8900, under the floor 0.9"),
        ({"twin": figures(lost=0.006)}, "AUROC drop 0.0060, over 0.005"),
    ],
)
def test_test_films_decide(
    bundle: Artifact, tmp_path: Path, tested: dict[str, Any] | None, why: str
) -> None:
    """A variant without test figures, or with bad ones, must not answer."""
    made = offering(bundle, tmp_path / "bundle", variant(bundle), tested=tested)

    said = offered.refusal(made, offered.named(made, "twin"), RULE)

    assert why in said
    assert bool(why) == bool(said)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"lost": 0.0}, ""),
        ({"lower": 0.1}, ""),
        ({"lost": None}, ""),
        ({"lost": 0.006}, "on films of riverside: AUROC drop 0.0060, over 0.005"),
    ],
)
def test_what_is_lost_at_another_site_counts_too(
    bundle: Artifact, tmp_path: Path, found: dict[str, Any], why: str
) -> None:
    """Against float32 on the same films; whether the model holds there is the gate's affair."""
    made = offering(bundle, tmp_path / "bundle", variant(bundle))
    digest = offered.named(made, "twin").digest(made)
    site = {
        "model": {"digest": made.model_digest},
        "data": {"name": "riverside"},
        "variants": {"twin": {**figures(**found), "digest": digest}},
    }

    abroad = artifact.with_files(made, {"external/ab.json": json.dumps(site).encode()})

    assert offered.refusal(abroad, offered.named(abroad, "twin"), RULE) == why


def test_site_says_nothing_of_other_bytes(bundle: Artifact, tmp_path: Path) -> None:
    """Evidence at another site is of the variant whose digest it names."""
    made = offering(bundle, tmp_path / "bundle", variant(bundle))
    found = {**figures(lost=0.006), "digest": "f" * 64}
    site = {"data": {"name": "riverside"}, "variants": {"twin": found}}

    abroad = artifact.with_files(made, {"external/ab.json": json.dumps(site).encode()})

    assert offered.refusal(abroad, offered.named(abroad, "twin"), RULE) == ""


def test_other_bytes_need_figures_of_their_own(bundle: Artifact, tmp_path: Path) -> None:
    """A variant whose file was changed after the test split was opened does not answer."""
    made = offering(bundle, tmp_path / "bundle", variant(bundle))
    (file,) = offered.named(made, "twin").files

    changed = artifact.with_files(made, {file: b"another graph"})

    assert changed.model_digest == made.model_digest
    assert "not measured" in offered.refusal(changed, offered.named(changed, "twin"), RULE)


def test_evidence_of_another_model_counts_for_nothing(bundle: Artifact, tmp_path: Path) -> None:
    """Neither does that of a bundle without any."""
    made = offering(bundle, tmp_path / "bundle", variant(bundle))
    evidence = json.loads((made.path / artifact.EVIDENCE).read_bytes())
    evidence["model"]["digest"] = "f" * 64

    foreign = artifact.with_files(made, {artifact.EVIDENCE: json.dumps(evidence).encode()})

    assert "no test evidence" in offered.refusal(foreign, variant(bundle), RULE)
    assert "no test evidence" in offered.refusal(bundle, variant(bundle), RULE)


def test_variant_of_another_model_is_not_offered(bundle: Artifact, tmp_path: Path) -> None:
    """A bundle calibrated anew keeps the files, not the figures; one that failed stays out too."""
    made = offering(
        bundle,
        tmp_path / "bundle",
        variant(bundle, "before", model="f" * 64),
        variant(bundle, "failed", offered=False),
        variant(bundle, "good"),
    )

    assert [each.name for each in offered.of_model(made)] == ["good"]
    for name in ("before", "failed", "none"):
        with pytest.raises(ArtifactError, match=rf"no variant '{name}', it has \['fp32', 'good'\]"):
            offered.named(made, name)


def test_fastest_that_can_comes_first(bundle: Artifact, tmp_path: Path) -> None:
    """By measured speed; each that can't answer says why, one slower than float32 too."""
    made = offering(
        bundle,
        tmp_path / "bundle",
        variant(bundle, "slow", ratio=0.8),
        variant(bundle, "good", ratio=1.5),
        variant(bundle, "bad", ratio=4.0),
        variant(bundle, "exotic", ratio=3.0, precision="bf16"),
        tested={name: figures() for name in ("slow", "good", "exotic")},
    )

    found = {each.name: why for each, why in offered.servable(made, frozenset({"avx2"}))}

    assert list(found) == ["bad", "exotic", "good", "slow"]
    assert found["good"] == ""
    assert "not measured" in found["bad"]
    assert "the CPU has none of" in found["exotic"]
    assert "0.80 times as fast" in found["slow"]


def test_bundle_without_variants_offers_none(bundle: Artifact) -> None:
    """Those made before there were any are read as they are."""
    assert offered.read(bundle) == ()
    assert list(offered.servable(bundle)) == []


def test_unreadable_list_is_an_error_to_act_on(bundle: Artifact, tmp_path: Path) -> None:
    """Sealed or not, what is no list of variants is refused with the file's name."""
    made = offering(bundle, tmp_path / "bundle", variant(bundle))
    broken = artifact.with_files(made, {artifact.VARIANTS: b'[{"name": 3}]'})

    with pytest.raises(ArtifactError, match=r"(?s)variants\.json.*export the run again"):
        offered.read(broken)


def test_people_are_told(bundle: Artifact, tmp_path: Path) -> None:
    """One line a variant: its speed, and whether it may serve."""
    made = offering(
        bundle,
        tmp_path / "bundle",
        variant(bundle, "good"),
        variant(bundle, "failed", offered=False),
        variant(bundle, "unproven"),
        tested={"good": figures()},
    )

    good, failed, unproven = offered.lines(made)

    assert "2.00 times as fast on a CPU; may serve" in good
    assert "not offered" in failed
    assert "does not serve: it was not measured" in unproven
