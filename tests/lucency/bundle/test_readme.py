"""The model card of a bundle: the hub's form, and what stands in it."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, ModelCardData

from lucency.bundle import artifact, readme
from lucency.bundle.artifact import Artifact, Use
from tests.offering import figures, offering, variant

EVIDENCE: dict[str, Any] = {
    "data": {"name": "phantom", "digest": "ab" * 32, "drawn": True},
    "films": 1200,
    "patients": 800,
    "openings": [{"model": "x"}],
    "rule": {"confidence": 0.95},
    "verdict": {"passed": False, "reasons": ["specificity 0.6, under the floor 0.7"]},
    "metrics": {
        "auroc": {"value": 0.9708, "lower": 0.95, "upper": 0.98},
        "sensitivity": {"value": 0.99, "lower": 0.97, "upper": 1.0},
        "ppv": {"value": None, "lower": None, "upper": None},
    },
}


@pytest.fixture
def copied(bundle: Artifact, tmp_path: Path) -> Artifact:
    """A bundle of its own, with a card."""
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    return readme.write(tmp_path / "bundle", contents, **artifact.origin(bundle))


def card(bundle: Artifact) -> str:
    """The text that stands in the bundle."""
    return (bundle.path / artifact.README).read_text()


def hub(bundle: Artifact) -> ModelCardData:
    """What the hub's own library makes of the card."""
    data = ModelCard(card(bundle)).data
    assert isinstance(data, ModelCardData)
    return data


def proven(bundle: Artifact, **added: bytes) -> Artifact:
    """The bundle with evidence."""
    return readme.seal(bundle, {artifact.EVIDENCE: json.dumps(EVIDENCE).encode(), **added})


def test_hub_reads_the_figures(copied: Artifact) -> None:
    """The front matter has the test figures in the hub's own form, and no unknown one."""
    data = hub(proven(copied))

    assert data.model_name == "test"
    found = {each.metric_type: each.metric_value for each in data.eval_results or []}
    assert found == {"roc_auc": 0.9708, "recall": 0.99}


def test_without_evidence_it_says_so(copied: Artifact) -> None:
    """A model that was never tested does not look like one that was."""
    assert "None yet" in card(copied)
    assert hub(copied).eval_results is None


def test_calibration_is_told(copied: Artifact) -> None:
    """A reader learns how probabilities were made."""
    assert "calibrated on validation films: temperature 1.500." in card(copied)


def test_drawn_films_and_failed_floors_are_named(copied: Artifact) -> None:
    """What the figures do not mean, and the floors that do not hold, stand beside them."""
    found = card(proven(copied))

    assert "no clinical meaning" in found
    assert "on test films: specificity 0.6, under the floor 0.7" in found


def test_other_sites_have_their_table(copied: Artifact) -> None:
    """External evidence has a section of its own."""
    site = {**EVIDENCE, "data": {**EVIDENCE["data"], "name": "riverside"}, "films": 77}

    found = card(proven(copied, **{"external/abababababab.json": json.dumps(site).encode()}))

    assert "## Another site: riverside (abababababab)" in found
    assert "77 films" in found


def test_use_is_what_was_given(copied: Artifact) -> None:
    """Intended use, limits and contact are the exporter's words; the model stays the same."""
    use = Use(
        intended="Triage of adults.", limits=("never tried on children",), contact="a@b.example"
    )

    told = readme.seal(copied, {artifact.USE: use.model_dump_json().encode()})

    assert all(text in card(told) for text in ("Triage of adults.", "children", "a@b.example"))
    assert told.model_digest == copied.model_digest


def test_bundle_stays_whole(copied: Artifact) -> None:
    """The new card is sealed with the rest."""
    assert Artifact.load(proven(copied).path).evidence == EVIDENCE


def test_variants_have_their_own_lines(bundle: Artifact, tmp_path: Path) -> None:
    """Speed, loss and bound on validation films and, where they were opened, on test films."""
    made = offering(bundle, tmp_path / "bundle", variant(bundle))
    evidence = {**EVIDENCE, "variants": {"twin": figures(lower=0.91, lost=0.0021)}}

    found = card(readme.seal(made, {artifact.EVIDENCE: json.dumps(evidence).encode()}))

    assert "| twin | 2.00 (a CPU) | validation | 0.0000 | 0.9500 | holds |" in found
    site = {**evidence, "data": {**EVIDENCE["data"], "name": "riverside"}}
    added = {artifact.EVIDENCE: json.dumps(evidence), "external/ab.json": json.dumps(site)}
    abroad = card(readme.seal(made, {name: text.encode() for name, text in added.items()}))
    assert "| twin | 2.00 (a CPU) | of riverside | 0.0021 | 0.9100 | holds |" in abroad
    assert "| twin | 2.00 (a CPU) | test | 0.0021 | 0.9100 | holds |" in found
