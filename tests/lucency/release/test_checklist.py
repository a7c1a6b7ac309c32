"""Each item of the checklist, met and missed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lucency import files
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.config.release import ReleaseConfig
from lucency.evaluation import openings
from lucency.evaluation.rule import ClinicalRule
from lucency.ledger import Ledger
from lucency.pipeline import release as pipeline
from lucency.release import checklist
from lucency.store.store import Store
from tests.lucency.release.conftest import Built, junit


def _missing(config: ReleaseConfig) -> dict[str, str]:
    findings = checklist.check(pipeline._subject(config))
    return {finding.item: finding.said for finding in findings if not finding.met}


def test_nothing_is_missing(built: Built) -> None:
    """A release that was made by the book meets every item."""
    assert _missing(built()) == {}


@pytest.mark.parametrize(
    ("changes", "item", "said"),
    [
        ({"code": None}, "code", "does not say which revision"),
        ({"code": {"revision": "a" * 40, "dirty": True}}, "code", "was changed when it trained"),
        ({"lock_digest": "b" * 64}, "lock", "trained under lock 'bbbbbbbbbbbb'"),
        ({"recipe_digest": "b" * 64}, "recipe", "recipe on record"),
        ({"seed": 7}, "seed", "seed 0 against 7"),
    ],
)
def test_a_run_that_can_not_be_repeated(
    built: Built, changes: dict[str, Any], item: str, said: str
) -> None:
    """What the run's record lacks or contradicts is one item each."""
    missing = _missing(built(**changes))

    assert list(missing) == [item]
    assert said in missing[item]


def _no_opening(config: ReleaseConfig) -> None:
    (
        Path(json.loads((config.run / "run.json").read_text())["table"]).parent / openings.FILE
    ).unlink()


def _forged_opening(config: ReleaseConfig) -> None:
    path = Path(json.loads((config.run / "run.json").read_text())["table"]).parent / openings.FILE
    path.write_text(path.read_text().replace('"reason":""', '"reason":"why not"'))


def _other_recipe(config: ReleaseConfig) -> None:
    path = config.run / "recipe.yaml"
    path.write_text(path.read_text().replace("batch_size: 16", "batch_size: 32"))


def _never_promoted(config: ReleaseConfig) -> None:
    for path in Path(config.store).glob("*.jsonl"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "item", "said"),
    [
        (_no_opening, "test split", "has no opening for this model"),
        (_forged_opening, "test split", "does not go on from the lines before"),
        (_other_recipe, "recipe", "The bundle is not of this run"),
        (_never_promoted, "promoted", "does not know version"),
    ],
)
def test_what_was_spoilt_is_found(
    built: Built, spoil: Callable[[ReleaseConfig], None], item: str, said: str
) -> None:
    """The item looks at the thing itself, as it is now."""
    config = built()
    spoil(config)

    missing = _missing(config)

    assert item in missing
    assert said in missing[item]


def test_the_rule_in_force_decides(built: Built) -> None:
    """Evidence that a stricter rule does not pass is no evidence for a release under it."""
    strict = ClinicalRule(sensitivity_floor=0.98)

    missing = _missing(built().model_copy(update={"rule": strict}))

    assert list(missing) == ["gate"]


def test_another_opening_without_a_reason(built: Built) -> None:
    """A second model that saw the test split has to have a reason on record."""
    config = built()
    subject = pipeline._subject(config)
    entry = {
        **subject.bundle.evidence["openings"][0],  # type: ignore[index]
        "model": "c" * 64,
    }
    Ledger(subject.table.path.parent / openings.FILE).append(entry)

    assert "without a reason" in _missing(config)["test split"]


def test_a_version_that_no_longer_answers_has_no_way_back(built: Built) -> None:
    """Once rolled back, it is the other version's step back that the store would take."""
    config = built()
    other = pipeline._subject(config).bundle
    renamed = files.json_text({**json.loads((other.path / "evidence.json").read_bytes()), "x": 1})
    from_other = Path(config.output).parent / "other"
    _again(other.path, from_other, renamed)
    Store(config.store).promote(Artifact.load(from_other), "newer")

    missing = _missing(config)

    assert list(missing) == ["rollback"]
    assert "not this version" in missing["rollback"]


def _again(path: Path, target: Path, evidence: str) -> None:
    bundle = Artifact.load(path)
    contents = {name: (path / name).read_bytes() for name in bundle.manifest.files}
    contents[artifact.EVIDENCE] = evidence.encode()
    artifact.write(target, contents, **artifact.origin(bundle))


def test_tests_have_to_have_been_run(built: Built, tmp_path: Path) -> None:
    """Neither run nor reported, or reported before the revision: missing."""
    config = built()
    old = junit(tmp_path / "old.xml", "2001-01-01T00:00:00+00:00")

    unsaid = _missing(config.model_copy(update={"junit": None}))
    before = _missing(config.model_copy(update={"junit": old}))

    assert "give run_tests=true" in unsaid["tests"]
    assert "older than the code's revision" in before["tests"]
