"""The shape of the house: what may shadow what, and who may import whom outside of lucency."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_nothing_shadows_the_standard_library() -> None:
    """A platform/__init__.py or a job named like a stdlib module would break ``import ray``."""
    jobs = {path.stem for path in (ROOT / "jobs").glob("*.py")}

    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not (ROOT / "platform.py").exists()
    assert not (ROOT / "serve" / "__init__.py").exists()
    assert not jobs & sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.py")), ids=lambda path: path.name)
def test_job_is_thin(path: Path) -> None:
    """A job parses, calls one function and reports: no loop, no branch, forty lines at most."""
    tree = ast.parse(path.read_text())

    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While | ast.Try)]
    assert not loops
    assert len(path.read_text().splitlines()) <= 40
    assert ast.get_docstring(tree)


def test_serving_imports_no_torch() -> None:
    """The application's modules load without torch, which would cost ten times the memory."""
    code = "import serve.app, sys; print('torch' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}/platform:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "False"


def test_package_does_not_import_its_users() -> None:
    """Nothing in lucency imports the application in serve/ or a job."""
    for path in (ROOT / "platform" / "lucency").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            roots = {str(name).split(".")[0] for name in names}
            assert not roots & {"serve", "jobs", "tests"}, path


def test_every_module_says_what_it_is() -> None:
    """Each module has a docstring."""
    folders = ("platform", "serve", "jobs", "tests")
    modules = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]

    silent = [path for path in modules if not ast.get_docstring(ast.parse(path.read_text()))]

    assert not silent
