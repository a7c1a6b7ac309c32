"""What git says of a source tree, and what is told where it says nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lucency.errors import DataError
from lucency.release import worktree
from tests.lucency.release.conftest import git


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source tree with one commit."""
    root = tmp_path / "tree"
    root.mkdir()
    for name in ("uv.lock", "code.py", "other.py"):
        (root / name).write_text(name)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_revision_and_its_time(root: Path) -> None:
    """The commit that is checked out, made just now, and nothing that differs from it."""
    found = worktree.read(root)

    assert found.revision == git(root, "rev-parse", "HEAD")
    assert abs(datetime.now(UTC) - found.made) < timedelta(minutes=5)
    assert found.changes == ()


def test_every_kind_of_change_is_named(root: Path) -> None:
    """Edited, deleted, staged under another name, and new: whatever git is set to show."""
    git(root, "config", "status.showUntrackedFiles", "no")
    git(root, "mv", "other.py", "moved.py")
    (root / "code.py").write_text("changed")
    (root / "uv.lock").unlink()
    (root / "folder").mkdir()
    (root / "folder" / "new name.py").write_text("")

    found = worktree.read(root)

    assert sorted(found.changes) == [
        *("code.py", "folder/new name.py", "moved.py", "other.py", "uv.lock")
    ]


def test_file_that_is_no_part_of_it(root: Path, tmp_path: Path) -> None:
    """It alone is left out, also where its name would be a pattern, and one elsewhere is none."""
    pack = root / "packs" / "*.tar"
    pack.parent.mkdir()
    pack.touch()
    (root / "packs" / "x.tar").touch()

    assert worktree.read(root, pack).changes == ("packs/x.tar",)
    assert len(worktree.read(root, tmp_path / "release.tar").changes) == 2


def test_tree_inside_of_another_repository_is_not_known(root: Path) -> None:
    """An unpacked archive in somebody's work tree would be given that one's revision."""
    inside = root / "unpacked"
    inside.mkdir()
    (inside / "uv.lock").write_text("lock")

    with pytest.raises(DataError, match=r"git does not know .*unpacked.*did not match"):
        worktree.read(inside)


def test_tree_without_a_commit_has_no_revision(root: Path) -> None:
    """What git says of it is told."""
    git(root, "update-ref", "-d", "HEAD")

    with pytest.raises(DataError, match=r"git does not know .* \(fatal: .*HEAD"):
        worktree.read(root)


def test_machine_without_git(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out is told, no traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(DataError, match=r"git is not installed, .*: install it, or release from"):
        worktree.read(root)


def test_git_that_does_not_answer(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network folder that hangs: it is not waited for without end."""
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(worktree, "_PATIENCE_S", 0.2)

    with pytest.raises(DataError, match=r"no answer .* clone on a local disk"):
        worktree.read(root)
