"""The tune job as a person meets it: stopped in any way, the same command goes on."""

import json
import os
import signal
from pathlib import Path

import pytest
import yaml

from lucency.config.train import TrainConfig
from lucency.datasets.table import Table
from tests.conftest import SMALL
from tests.processes import ROOT, alive, descendants, ending, run_job, start_job, wait_until


def _config(folder: Path, data: Path) -> Path:
    recipe = {**SMALL, "phases": [{"epochs": 3, "learning_rate": 0.003}]}
    # As in the shipped configurations: from where the job was started, wherever workers work.
    table = os.path.relpath(data, ROOT)
    base = {"table": table, "runs": f"{folder}/runs", "recipe": recipe}
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    search = {
        "train": f"{folder}/base.yaml",
        "space": {"recipe.phases.0.learning_rate": {"log_uniform": [0.001, 0.01]}},
        "trials": 3,
        "confirm_seeds": 1,
        "output": f"{folder}/out",
    }
    path = folder / "tune.yaml"
    path.write_text(yaml.safe_dump(search))
    return path


def test_wrong_space_is_one_clear_line(tmp_path: Path) -> None:
    """A path that no recipe has ends the job with status 2 before anything starts."""
    done = run_job("tune", str(_config(tmp_path, tmp_path)), "space.recipe.modle.width.int=[8, 16]")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "did you mean 'model'?" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_search_goes_on_without_repeating(table: Table, tmp_path: Path) -> None:
    """
    After kill -9 of the driver the same command leaves finished trials as they are, ends the rest
    and confirms the winner, whose configuration the train job takes.
    """
    config, trials = _config(tmp_path, table.path.parent), tmp_path / "out" / "trials"
    with ending(start_job("tune", str(config))) as job:
        wait_until(lambda: bool(list(trials.glob("*/run.json"))), 400, "a finished trial")
        below = list(descendants(job.pid))
        os.kill(job.pid, signal.SIGKILL)
        for number in alive(below):
            os.kill(number, signal.SIGKILL)
        wait_until(lambda: not alive(below), 30, "all processes to end")
    finished = {path: path.stat().st_mtime_ns for path in trials.glob("*/run.json")}

    with ending(start_job("tune", str(config))) as job:
        out, err = job.communicate(timeout=400)

    found = json.loads(out.splitlines()[-1])
    assert job.returncode == 0, err
    assert 1 <= len(finished) < 3
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert sorted(path.name for path in trials.iterdir()) == ["trial_000", "trial_001", "trial_002"]
    assert (found["trials"], found["failed"]) == (3, 0)
    assert found["score"]["lower"] <= found["score"]["value"] <= found["score"]["upper"]
    assert found["epochs_run"] + found["epochs_saved"] == 9
    assert len(found["confirmed"]["values"]) == 1
    assert Path(found["report"]).is_file()
    assert TrainConfig.from_file(Path(found["config"])).recipe.phases[0].learning_rate > 0.001
