"""The moves of a store's aliases as a job makes them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.config.promote import PromoteConfig
from lucency.errors import GateRefused, StoreError
from lucency.evaluation.rule import ClinicalRule
from lucency.pipeline.promote import promote
from lucency.store import gate
from lucency.store.store import Store

LAX = ClinicalRule(sensitivity_floor=0.5, specificity_floor=0.5)


@pytest.fixture
def candidates(bundle: Artifact, tmp_path: Path) -> list[Artifact]:
    """Two bundles whose evidence holds a lax rule, and not a strict one."""
    found = []
    for number in range(2):
        path = tmp_path / f"candidate_{number}"
        shutil.copytree(bundle.path, path)
        interval = {"value": 0.8, "lower": 0.7, "upper": 0.9}
        evidence = {
            "model": {"digest": bundle.model_digest},
            "rule": LAX.model_dump(),
            "metrics": {"sensitivity": interval, "specificity": interval},
        }
        added = {artifact.EVIDENCE: json.dumps(evidence).encode(), "n.txt": bytes([number])}
        found.append(artifact.with_files(Artifact.load(path), added))
    return found


def move(store: Path, **asked: Any) -> dict[str, Any]:
    """One call of the job."""
    return promote(PromoteConfig(**{"store": store, "rule": LAX, **asked}))


def test_challenger_passes_the_same_gate(candidates: list[Artifact], tmp_path: Path) -> None:
    """A bundle that may not be the champion may not be tried on patients' films either."""
    store = tmp_path / "store"
    move(store, bundle=candidates[0].path)

    strict = ClinicalRule(sensitivity_floor=0.9, specificity_floor=0.9)
    with pytest.raises(GateRefused, match="not promoted"):
        move(store, bundle=candidates[1].path, as_challenger=True, rule=strict)
    told = move(store, bundle=candidates[1].path, as_challenger=True)

    versions = [each.version for each in candidates]
    assert told["aliases"] == {"champion": versions[0], "challenger": versions[1]}
    assert told["champion"] == versions[0]
    assert told["reasons"]


def test_challenger_is_judged_again_before_it_answers_all(
    candidates: list[Artifact], tmp_path: Path
) -> None:
    """A rule that was made stricter since holds for it too."""
    store = tmp_path / "store"
    move(store, bundle=candidates[0].path)
    move(store, bundle=candidates[1].path, as_challenger=True)
    strict = ClinicalRule(sensitivity_floor=0.9, specificity_floor=0.9)

    with pytest.raises(GateRefused):
        move(store, promote_challenger=True, rule=strict)
    told = move(store, promote_challenger=True)
    back = move(store, rollback=True)

    old, new = (each.version for each in candidates)
    assert told["aliases"] == {"champion": new, "previous": old}
    assert back["aliases"] == {"champion": old, "previous": new}


def test_champion_that_changed_while_a_bundle_was_judged(
    candidates: list[Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was judged against one champion does not replace another in silence."""
    store = tmp_path / "store"
    check = gate.check

    def meanwhile(*given: Any) -> tuple[str, ...]:
        """Someone else promotes while the gate looks."""
        Store(store).promote(candidates[1], "meanwhile")
        return check(*given)

    monkeypatch.setattr(gate, "check", meanwhile)

    with pytest.raises(StoreError, match=r"champion went from None to .*meanwhile"):
        move(store, bundle=candidates[0].path)


def test_withdrawal_leaves_the_champion(candidates: list[Artifact], tmp_path: Path) -> None:
    """One command takes a challenger away."""
    store = tmp_path / "store"
    move(store, bundle=candidates[0].path)
    move(store, bundle=candidates[1].path, as_challenger=True)

    told = move(store, withdraw=True, reason="not now")

    assert told["aliases"] == {"champion": candidates[0].version}
    assert Store(store).history()[-1]["reason"] == "not now"
