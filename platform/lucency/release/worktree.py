"""
Which revision a source tree is at, and what in it is not of that revision.

The run's record leaves out what git can't say; a release is refused for it, so here it is told why.
"""

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lucency.errors import DataError

_PATIENCE_S = 60.0
# A file that every revision of the project holds.
_OURS = "uv.lock"


@dataclass(frozen=True)
class Worktree:
    """
    A source tree as git sees it.

    Attributes:
        made: When the revision was committed.
        changes: Paths whose content the revision does not have, new ones among them.
    """

    revision: str
    made: datetime
    changes: tuple[str, ...]


def read(root: Path, apart: Path | None = None) -> Worktree:
    """
    Ask git of a source tree.

    Args:
        apart: A file that is no part of the tree's state, wherever it lies.

    Raises:
        DataError: git is not there, does not answer, or does not hold this tree.
    """
    # Inside of somebody else's repository the revision would be theirs.
    _git(root, "ls-files", "--error-unmatch", _OURS)
    made, revision = _git(root, "rev-list", "--max-count=1", "--timestamp", "HEAD").split()
    status = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    changed = _git(root, *status, "--", *_without(root, apart))
    return Worktree(
        revision=revision,
        made=datetime.fromtimestamp(int(made), UTC),
        # Two letters of state and a space stand before each path.
        changes=tuple(entry[3:] for entry in changed.split("\0") if entry),
    )


def _without(root: Path, apart: Path | None) -> list[str]:
    if apart is None or not apart.resolve().is_relative_to(root.resolve()):
        return []
    return [f":(exclude,literal){apart.resolve().relative_to(root.resolve())}"]


def _git(root: Path, *arguments: str) -> str:
    # Without its optional locks: somebody may be committing in this tree.
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True
        )
    except FileNotFoundError as cause:
        raise DataError(
            f"git is not installed, and nothing else knows the revision of {str(root)!r}: install "
            "it, or release from a machine that has it"
        ) from cause
    except subprocess.TimeoutExpired as cause:
        raise DataError(
            f"git gave no answer on {str(root)!r} within {_PATIENCE_S:.0f} s: release from a clone "
            "on a local disk (root=CLONE)"
        ) from cause
    except subprocess.CalledProcessError as cause:
        said = next(iter(cause.stderr.splitlines()), f"status {cause.returncode}")
        raise DataError(
            f"git does not know {str(root)!r} ({said}), so nobody can tell its files from those of "
            "a revision, as with an unpacked archive: clone the repository, check out the revision "
            "that trained the run, and release from there (root=CLONE)"
        ) from cause
    return done.stdout
