"""Each item of the checklist, met and missed."""

import json
import re
import shutil
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
from tests.lucency.release.conftest import Built, git, junit


def _missing(config: ReleaseConfig) -> dict[str, str]:
    findings = checklist.check(pipeline._subject(config))
    return {finding.item: finding.said for finding in findings if not finding.met}


def test_nothing_is_missing(built: Built) -> None:
    """A release that was made by the book meets every item, and says where tests were run."""
    findings = checklist.check(pipeline._subject(built()))

    assert checklist.missing(findings) == []
    (tests,) = [each for each in findings if each.item == "tests"]
    assert tests.said.endswith("a report made elsewhere says")


@pytest.mark.parametrize(
    ("changes", "item", "said"),
    [
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


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "does not say which revision"),
        ({"revision": "a" * 40, "dirty": True}, "was changed when it trained"),
    ],
)
def test_code_that_nobody_can_come_to_again(
    built: Built, code: dict[str, Any] | None, said: str
) -> None:
    """Nor can any test be of it, so none is run."""
    missing = _missing(built(code=code))

    assert list(missing) == ["code", "tests"]
    assert said in missing["code"]
    assert "not known which revision trained the run" in missing["tests"]


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


def _edited(root: Path) -> None:
    (root / "tests" / "test_right.py").write_text("def test_right():\n    assert 1\n")


def _enlarged(root: Path) -> None:
    (root / "tests" / "conftest.py").write_text("")


def _gone_on(root: Path) -> None:
    _edited(root)
    git(root, "commit", "-q", "-a", "-m", "later")


def _unpacked(root: Path) -> None:
    shutil.rmtree(root / ".git")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_edited, r"holds 1 changed or new file\(s\), tests/test_right.py; .* git worktree add"),
        (_enlarged, r"holds 1 changed or new file\(s\), tests/conftest.py"),
        (_gone_on, "is at revision '.{12}'; what is tested has to be what was trained, revision"),
        (_unpacked, r"git does not know .*unpacked archive.* \(root=CLONE\)"),
    ],
)
def test_tests_of_other_code_do_not_count(
    built: Built, tree: Path, tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    """What is tested has to be what was trained: found, expected and what to do are told."""
    root = Path(shutil.copytree(tree, tmp_path / "tree", symlinks=True))
    config = built().model_copy(update={"root": root})
    change(root)

    missing = _missing(config)

    assert list(missing) == ["tests"]
    assert re.search(said, missing["tests"])


def test_clone_of_a_tag_is_the_same_code(
    built: Built, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A release is made from a shallow clone of its tag, too, and its tests, run there, leave nothing.
    """
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    git(tree, "tag", "--force", "v1")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", "--branch=v1", tree.as_uri(), str(clone))

    config = built().model_copy(update={"root": clone, "junit": None, "run_tests": True})

    findings = checklist.check(pipeline._subject(config))

    assert checklist.missing(findings) == []
    (tests,) = [each for each in findings if each.item == "tests"]
    assert tests.said.endswith("which trained the run")
    assert git(clone, "status", "--porcelain") == ""


def test_edit_made_while_the_tests_run_is_found(built: Built, tree: Path, tmp_path: Path) -> None:
    """The tree is looked at again when they have passed."""
    root = Path(shutil.copytree(tree, tmp_path / "tree", symlinks=True))
    (root / "tests" / "test_right.py").write_text(
        "from pathlib import Path\n\ndef test_right():\n    Path('new.py').touch()\n"
    )
    git(root, "commit", "-q", "-a", "-m", "meddling")
    code = {"revision": git(root, "rev-parse", "HEAD"), "dirty": False}

    config = built(code=code).model_copy(update={"root": root, "junit": None, "run_tests": True})

    assert "holds 1 changed or new file(s), new.py" in _missing(config)["tests"]


def test_what_the_system_refuses_is_that_items_answer(built: Built) -> None:
    """A file that is gone is told under its item, and the others are asked all the same."""
    config = built()
    subject = pipeline._subject(config)
    (config.run / "recipe.yaml").unlink()

    findings = checklist.check(subject)

    assert [each.item for each in findings if not each.met] == ["recipe"]
    assert len(findings) == len(checklist.ITEMS)


def test_each_item_is_told_as_it_is_asked(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name before the work begins, and then what it came to: one may take minutes."""
    findings = checklist.check(pipeline._subject(built()))

    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if line.startswith("==>")] == [
        f"==> {item}" for item in checklist.ITEMS
    ]
    for asked, answer, finding in zip(told[::2], told[1::2], findings, strict=True):
        assert asked == f"==> {finding.item}"
        assert answer.startswith(f"    met     {finding.item}: {finding.said} (")
