"""Documents tell of what is there."""

import shutil
from pathlib import Path

import pytest

from lucency.release import documents

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The project's own tree, with documents that a test may change."""
    for name in ("jobs", "configs", "serve", "platform", "k8s"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path


def test_the_projects_own_documents_are_true() -> None:
    """Nothing that they name is missing."""
    assert documents.faults(ROOT) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("`jobs/nowhere.py`", "'jobs/nowhere.py' does not exist"),
        ("[more](nowhere.md)", "link 'nowhere.md' leads nowhere"),
        ("`no_such_setting_anywhere_here`".replace("here`", "`"), "stands nowhere in the source"),
        (
            "```sh\npython jobs/promote.py configs/promote/default.yaml bundel=B\n```",
            "did you mean 'bundle'",
        ),
        ("```sh\npython -m lucency.nowhere show\n```", "module 'lucency.nowhere' does not exist"),
        ("```sh\npython -m nowhere.at.all\n```", "module 'nowhere.at.all' does not exist"),
        (
            "```sh\npython jobs/promote.py configs/promote/default.yaml reason='so\n```",
            "is no command line: No closing quotation",
        ),
    ],
)
def test_what_is_not_there_is_found(tree: Path, text: str, fault: str) -> None:
    """A path, a link, a name, a key or a module that does not exist is told."""
    with (tree / "docs" / "normalisation.md").open("a") as stream:
        stream.write(f"\n{text}\n")

    (found,) = documents.faults(tree)

    assert found.startswith("docs/normalisation.md: ")
    assert fault in found


def test_a_missing_document_is_told(tree: Path) -> None:
    """All four are required."""
    (tree / "docs" / "intended-use.md").unlink()

    assert documents.faults(tree) == ["docs/intended-use.md is missing"]


def test_a_stub_is_no_document(tree: Path) -> None:
    """A heading alone does not count."""
    (tree / "docs" / "intended-use.md").write_text("# Intended use\n")

    assert documents.faults(tree) == ["docs/intended-use.md: it says next to nothing"]
