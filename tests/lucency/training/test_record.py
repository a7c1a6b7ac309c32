"""What a run's record says of where its figures come from."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lucency import files
from lucency.config.train import Recipe
from lucency.training import identity, record

NODES = [{"cpu": "a", "cores": 2, "memory_gib": 8.0, "gpus": [], "nodes": 1}]
ROWS = [
    {"seconds": 4.0, "images_per_s": 100.0, "gpu_energy_j": 50.0},
    {"seconds": 2.0, "images_per_s": 300.0, "gpu_energy_j": 30.0},
]


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody, without the settings of this machine."""
    done = subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a work tree with one commit."""
    folder = tmp_path / "tree" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    git(folder, "init", "-q", str(tmp_path / "tree"))
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_revision_and_whether_it_is_all(package: Path) -> None:
    """The commit is named, and any change or new file since makes it dirty."""
    revision = git(package, "rev-parse", "HEAD")
    assert record.code(package) == {"revision": revision, "dirty": False}

    (package / "new.py").write_text("x = 1")

    assert record.code(package) == {"revision": revision, "dirty": True}


def test_package_that_a_tree_does_not_hold_has_no_revision(package: Path) -> None:
    """An environment inside of another project's tree is not that project."""
    installed = package.parent / "site-packages" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")

    assert record.code(installed) is None


@pytest.mark.parametrize("lacking", ["tree", "git", "commit"])
def test_what_git_can_not_say_is_none(
    package: Path, tmp_path: Path, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without git, a work tree or a commit there is no revision, and no error."""
    if lacking == "git":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif lacking == "tree":
        package = tmp_path / "apart"
        package.mkdir()
    else:
        git(package, "update-ref", "-d", "HEAD")

    assert record.code(package) is None


def test_lock_is_our_own_one(tmp_path: Path) -> None:
    """The first folder whose project is Lucency; another project's lock says nothing of us."""
    other, ours = tmp_path / "other", tmp_path / "ours"
    for folder, name in ((other, "thesis"), (ours, "lucency")):
        folder.mkdir()
        (folder / "uv.lock").write_text(name)
        (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')

    assert record.lock_digest([tmp_path, other, ours]) == files.sha256(b"lucency")
    assert record.lock_digest([tmp_path, other]) is None


def test_cost_is_of_all_epochs() -> None:
    """Speed is films over time, so a slow epoch counts for more; half an energy is none."""
    found = record.cost(ROWS)

    assert found == {"seconds": 6.0, "images_per_s": pytest.approx(150.0), "gpu_energy_j": 80.0}
    assert "gpu_energy_j" not in record.cost([ROWS[0], {"seconds": 1.0, "images_per_s": 9.0}])


@pytest.mark.parametrize(("given", "expected"), [((2, 2), 2), ((1, 4), [1, 4])])
def test_record_is_whole_and_names_nobody(
    recipe: Recipe, tmp_path: Path, given: tuple[int, int], expected: Any
) -> None:
    """All that a repetition needs, in plain JSON, without this folder, host or user."""
    identity.settle(tmp_path, recipe, "a" * 64)

    found = record.of_run(tmp_path, ROWS, seed=7, workers=given, nodes=NODES)

    text = json.dumps(found)
    assert found["data_digest"] == "a" * 64
    assert found["recipe_digest"] == files.digest(recipe.learned)
    assert found["seed"] == 7
    assert found["workers"] == expected
    assert found["nodes"] == NODES
    assert {"python", "lucency", "torch", "ray", "numpy"} <= set(found["versions"])
    assert found["wall_s"] >= 0
    assert found["begun"] <= found["ended"]
    assert str(tmp_path) not in text
    assert "/home" not in text
