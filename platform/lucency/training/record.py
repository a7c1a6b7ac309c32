"""What it takes to come to a run's figures again, and what they cost."""

import json
import subprocess
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lucency
from lucency import environment, files
from lucency.training.identity import IDENTITY

Row = dict[str, float]

_PACKAGE = Path(lucency.__file__).parent
_GIT_PATIENCE_S = 10.0


def of_run(
    folder: Path,
    rows: Sequence[Row],
    *,
    seed: int,
    workers: Sequence[int],
    nodes: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """
    The record of one finished run: no names of hosts or users, no paths.

    Args:
        folder: Of the run; holds its identity.
        rows: Its history.
        workers: The fewest and the most that it was given.
        nodes: Their hardware, as the preflight found it.
    """
    identity = json.loads((folder / IDENTITY).read_text())
    ended = datetime.now(UTC)
    begun = datetime.fromisoformat(identity["begun"])
    return {
        "code": code(_PACKAGE),
        "lock_digest": lock_digest([_PACKAGE.parent.parent, Path.cwd()]),
        "versions": environment.versions(),
        "data_digest": identity["data_digest"],
        "recipe_digest": identity["recipe_digest"],
        "seed": seed,
        "workers": _one_or_both(workers),
        "nodes": list(nodes),
        "begun": identity["begun"],
        "ended": ended.isoformat(timespec="seconds"),
        # With start-ups and whatever lay between interruptions; the epochs' own is ``seconds``.
        "wall_s": round((ended - begun).total_seconds(), 1),
        **cost(rows),
    }


def cost(rows: Sequence[Row]) -> dict[str, float]:
    """Seconds of the epochs, films learned from a second over all of them, and energy."""
    found = {
        "seconds": sum(row["seconds"] for row in rows),
        "images_per_s": len(rows) / sum(1 / row["images_per_s"] for row in rows),
    }
    used_j = [row["gpu_energy_j"] for row in rows if "gpu_energy_j" in row]
    # A sum over some of the epochs would look like the whole.
    return {**found, "gpu_energy_j": sum(used_j)} if len(used_j) == len(rows) else found


def code(package: Path) -> dict[str, Any] | None:
    """
    Revision of the work tree that a package is tracked in, and whether anything differs from it.

    None where there is no such tree, as in an installed package or a job's copy, or no git.
    """
    # An environment inside of somebody else's repository is not this code's work tree.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    revision = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain")
    if revision is None or changes is None:
        return None
    return {"revision": revision, "dirty": bool(changes)}


def lock_digest(roots: Sequence[Path]) -> str | None:
    """SHA-256 of the first ``uv.lock`` that is Lucency's own."""
    for root in roots:
        project = root / "pyproject.toml"
        if (root / "uv.lock").is_file() and project.is_file():
            named = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
            if named.get("name") == "lucency":
                return files.sha256_file(root / "uv.lock")
    return None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git answers; None where there is no git, no work tree or no leave to read it."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _one_or_both(workers: Sequence[int]) -> int | list[int]:
    fewest, most = workers
    return fewest if fewest == most else [fewest, most]
