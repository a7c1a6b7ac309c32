"""A run's folder goes on with what it was begun with, in one driver's hands at a time."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lucency.config.train import Recipe
from lucency.errors import TrainingError
from lucency.training import identity
from tests.processes import ROOT

DATA, OTHER_DATA = "a" * 64, "b" * 64


def changed(recipe: Recipe, **values: Any) -> Recipe:
    """The recipe with other values at its top level."""
    return Recipe.from_mapping(recipe.plain() | values, "test")


@pytest.fixture
def folder(recipe: Recipe, tmp_path: Path) -> Path:
    """Of a run that was begun."""
    identity.settle(tmp_path / "mine", recipe, DATA)
    return tmp_path / "mine"


def test_same_recipe_goes_on_with_other_workers(recipe: Recipe, folder: Path) -> None:
    """Scaling decides nothing that is learned."""
    identity.check(folder, changed(recipe, scaling={"workers": [1, 4]}), DATA)


def test_other_recipe_is_refused_with_both_values(recipe: Recipe, folder: Path) -> None:
    """Every key that differs is named by its path, with what it was and what it is now."""
    phases = [{"epochs": 2, "learning_rate": 0.5}]
    other = changed(recipe, batch_size=8, phases=phases, ema_decay=0.99)

    with pytest.raises(TrainingError) as caught:
        identity.check(folder, other, OTHER_DATA)

    said = str(caught.value)
    assert f"data={DATA[:12]}, now {OTHER_DATA[:12]}" in said
    assert "recipe.batch_size=16, now 8" in said
    assert "recipe.phases.0.learning_rate=0.003, now 0.5" in said
    assert "recipe.ema_decay=nothing, now 0.99" in said
    assert said.count(", now ") == 4


def test_identity_is_written_once(recipe: Recipe, folder: Path) -> None:
    """The day that a run was begun stays, however often it goes on."""
    before = (folder / identity.IDENTITY).read_bytes()

    identity.settle(folder, recipe, DATA)

    assert (folder / identity.IDENTITY).read_bytes() == before
    assert json.loads(before)["recipe"] == recipe.learned


def test_folder_of_something_else_is_refused_and_kept(recipe: Recipe, tmp_path: Path) -> None:
    """A name that hits a folder with other files neither trains into it nor clears it."""
    (tmp_path / "thesis.pdf").write_text("three years")

    with pytest.raises(TrainingError, match=r"holds thesis\.pdf but no identity\.json"):
        identity.check(tmp_path, recipe, DATA)
    with pytest.raises(TrainingError, match="fresh won't delete it"):
        identity.clear(tmp_path)

    assert (tmp_path / "thesis.pdf").exists()


def test_fresh_empties_a_run_under_its_lock(folder: Path) -> None:
    """Checkpoints, folders and links go, the lock of the driver that clears stays."""
    (folder / "epoch_001").mkdir()
    (folder / "epoch_001" / "state.pt").write_bytes(b"x")
    (folder / "run.json").write_text("{}")

    with identity.owned(folder):
        identity.clear(folder)
        left = [path.name for path in folder.iterdir()]

    assert left == [identity.OWNER]
    assert list(folder.iterdir()) == []


def test_resume_of_what_was_not_begun_names_what_was(folder: Path) -> None:
    """A wrong name is answered with the names that are there."""
    identity.require_begun(folder)

    with pytest.raises(TrainingError, match=r"no run 'mime' was begun .*the runs there are mine"):
        identity.require_begun(folder.with_name("mime"))
    with pytest.raises(TrainingError, match="there are none yet"):
        identity.require_begun(folder / "runs" / "mine")


def test_second_driver_is_refused(folder: Path) -> None:
    """It is told whose process has the run; the lock is gone when that one is done."""
    with (
        identity.owned(folder),
        pytest.raises(TrainingError, match=f"'mine' is being trained by process {os.getpid()} on"),
        identity.owned(folder),
    ):
        pass

    with identity.owned(folder):
        assert (folder / identity.OWNER).exists()


def test_lock_of_a_killed_driver_blocks_nobody(folder: Path) -> None:
    """SIGKILL leaves the file behind, and its lock is free at once."""
    code = (
        "import sys, time; from pathlib import Path; from lucency.training import identity\n"
        "with identity.owned(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    paths = {**os.environ, "PYTHONPATH": f"{ROOT}/platform:{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, env=paths
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "held\n"
        with (
            pytest.raises(TrainingError, match=f"process {driver.pid} on host"),
            identity.owned(folder),
        ):
            pass
        os.kill(driver.pid, signal.SIGKILL)
    assert (folder / identity.OWNER).exists()

    with identity.owned(folder):
        assert json.loads((folder / identity.OWNER).read_text())["pid"] == os.getpid()


def test_storage_without_locks_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the system knows no locks the run goes on, and one line says what is missing."""

    def unsupported(stream: Any, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)

    with identity.owned(folder):
        assert (folder / identity.OWNER).exists()

    assert "knows no locks (Operation not supported)" in capsys.readouterr().err
