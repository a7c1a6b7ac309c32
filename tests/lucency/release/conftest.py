"""A model whose release lacks nothing, made small: source tree, run, table, bundle, store."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lucency import files
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.config.release import ReleaseConfig
from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.evaluation import openings
from lucency.store.store import Store
from lucency.training import record

ROOT = Path(__file__).parents[3]
LOCK = """
[[package]]
name = "lucency"
version = "0.1.0"
dependencies = [{ name = "numpy" }]

[package.optional-dependencies]
train = [{ name = "scipy" }]

[package.dev-dependencies]
dev = [{ name = "not-installed-anywhere" }]

[[package]]
name = "numpy"
version = "2.0.0"
sdist = { url = "https://files.example/numpy.tar.gz", hash = "sha256:00ff" }

[[package]]
name = "scipy"
version = "1.14.0"
dependencies = [{ name = "numpy" }]

[[package]]
name = "not-installed-anywhere"
version = "1.0"
"""
Built = Callable[..., ReleaseConfig]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source tree, all of it committed: a lock, the documents and one test that passes."""
    root = tmp_path_factory.mktemp("tree")
    (root / "pyproject.toml").write_text('[project]\nname = "lucency"\n')
    (root / "uv.lock").write_text(LOCK)
    (root / "tests").mkdir()
    (root / "tests" / "test_right.py").write_text("def test_right():\n    assert True\n")
    for name in ("docs", "jobs", "configs", "serve", "platform", "k8s"):
        (root / name).symlink_to(ROOT / name)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "all")
    return root


def git(root: Path, *arguments: str) -> str:
    """What git answers, as nobody in particular."""
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run_record(folder: Path, tree: Path, recipe: Recipe, table: Table, **changes: Any) -> Path:
    """A finished run as its record tells of it."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    environment = {
        "code": {"revision": git(tree, "rev-parse", "HEAD"), "dirty": False},
        "lock_digest": record.lock_digest([tree]),
        "recipe_digest": files.digest(recipe.learned),
        "seed": recipe.seed,
        **changes,
    }
    files.write_json(
        folder / "run.json",
        {
            "run": folder.name,
            "table": str(table.path),
            "data_digest": table.digest,
            "environment": environment,
        },
    )
    return folder


def evidence(bundle: Artifact, table: Table, opened: list[Any]) -> bytes:
    """Figures that hold any rule."""
    high = {"value": 0.99, "lower": 0.97, "upper": 1.0}
    return json.dumps(
        {
            "model": {"name": "test", "digest": bundle.model_digest},
            "data": {"name": "phantom", "digest": table.digest, "drawn": True},
            "rule": bundle.model.rule.model_dump(),
            "metrics": {"sensitivity": high, "specificity": high},
            "films": 9,
            "patients": 9,
            "openings": opened,
            "sites": {"unknown": {"films": 9}},
            "calibration": {},
        }
    ).encode()


@pytest.fixture
def built(tmp_path: Path, tree: Path, bundle: Artifact, table: Table, recipe: Recipe) -> Built:
    """Makes the parts of a release; what is given is changed in the run's record."""

    def make(**changes: Any) -> ReleaseConfig:
        copy = tmp_path / "data" / table.path.name
        copy.parent.mkdir()
        copy.write_bytes(table.path.read_bytes())
        run = run_record(tmp_path / "run-1", tree, recipe, Table.open(copy), **changes)
        opened = openings.opened(
            copy.parent, lineage="test", model=bundle.model_digest, data=table.digest
        )
        contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
        sealed = artifact.write(
            tmp_path / "bundle",
            {
                **contents,
                artifact.CONFIG: recipe.to_yaml().encode(),
                artifact.EVIDENCE: evidence(bundle, table, list(opened)),
            },
            name="test",
            versions={},
            data_digest=table.digest,
            config_digest=recipe.digest,
            run=run.name,
        )
        Store(tmp_path / "store").promote(sealed, "holds")
        return ReleaseConfig(
            bundle=sealed.path,
            store=tmp_path / "store",
            run=run,
            output=tmp_path / "release.tar",
            root=tree,
            tests=(Path("tests/test_right.py"),),
            junit=junit(tmp_path / "junit.xml", "2100-01-01T00:00:00+00:00"),
        )

    return make


def junit(path: Path, when: str, inside: str = "") -> Path:
    """A report of one test."""
    case = f'<testcase classname="tests.test_right" name="test_right">{inside}</testcase>'
    path.write_text(f'<testsuites><testsuite timestamp="{when}">{case}</testsuite></testsuites>')
    return path
