"""A run of Lucency is one run of MLflow, from its first epoch to its last, however often begun."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow.telemetry.utils import is_telemetry_disabled
from mlflow.tracking import MlflowClient

from lucency import files
from lucency.config.train import Tracking
from lucency.errors import ConfigError
from lucency.training import tracking, tracking_mlflow
from lucency.training.identity import IDENTITY
from tests.processes import free_port

# MLflow asks SQLAlchemy for what it is about to lose; MLflow's to mend.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning")

RECIPE = {
    "model": {"name": "small", "width": 8},
    "phases": [{"epochs": 2, "learning_rate": 0.003}],
    "seed": 1,
    "scaling": {"workers": 2},
}


@pytest.fixture(params=["file", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that needs no server: a folder, a database."""
    return {"file": f"file:{tmp_path}/store", "sqlite": f"sqlite:///{tmp_path}/store.db"}[
        request.param
    ]


def track(
    store: str,
    folder: Path,
    epochs: range,
    *,
    recipe: Mapping[str, Any] = RECIPE,
    record: Mapping[str, Any] | None = None,
    left_by: type[BaseException] | None = None,
) -> None:
    """One process's part of a run."""
    with tracking.opened(Tracking(mlflow=store), "first-run", recipe, folder) as tracker:
        for epoch in epochs:
            tracker.row({"epoch": epoch, "score": epoch / 10, "train_loss": 1 / epoch})
        if left_by is not None:
            raise left_by
        tracker.finish(record)


def only_run(store: str) -> Any:
    """The one run that the experiment has."""
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("lucency")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def history(store: str, key: str = "score") -> list[tuple[int, float]]:
    """Step and value of a metric as MLflow has them."""
    found = MlflowClient(store).get_metric_history(only_run(store).info.run_id, key)
    return sorted((metric.step, metric.value) for metric in found)


def test_finished_run_is_read_back(store: str, tmp_path: Path) -> None:
    """Name, recipe, digests, code, curves and end are there."""
    files.write_json(tmp_path / IDENTITY, {"data_digest": "d" * 64})
    record = {"record": {"code": {"revision": "c0ffee", "dirty": False}}}

    track(store, tmp_path, range(1, 3), record=record)

    run = only_run(store)
    assert run.info.run_name == "first-run"
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "model.name": "small",
        "model.width": "8",
        "phases.0.epochs": "2",
        "phases.0.learning_rate": "0.003",
        "seed": "1",
        "scaling.workers": "2",
    }
    learned = {key: value for key, value in RECIPE.items() if key != "scaling"}
    assert run.data.tags["lucency.recipe_digest"] == files.digest(learned)
    assert run.data.tags["lucency.data_digest"] == "d" * 64
    assert run.data.tags["mlflow.source.git.commit"] == "c0ffee"
    assert run.data.tags["lucency.code_dirty"] == "false"
    assert history(store) == [(1, 0.1), (2, 0.2)]
    assert history(store, "train_loss") == [(1, 1.0), (2, 0.5)]


def test_resumed_run_is_the_same_one(store: str, tmp_path: Path) -> None:
    """
    A run that goes on, with other workers and with every epoch given again, has each epoch once.
    """
    track(store, tmp_path, range(1, 4))
    resumed = {**RECIPE, "scaling": {"workers": 1}}

    track(store, tmp_path, range(1, 6), recipe=resumed)

    assert history(store) == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)]
    assert only_run(store).data.params["scaling.workers"] == "2"


def test_figure_that_arrived_alone_is_not_repeated(tmp_path: Path) -> None:
    """Of an epoch that was cut off in between, only the rest is logged."""
    store = f"file:{tmp_path}/store"
    track(store, tmp_path, range(1, 2))
    MlflowClient(store).log_metric(only_run(store).info.run_id, "score", 0.2, step=2)

    track(store, tmp_path, range(1, 3))

    assert history(store) == [(1, 0.1), (2, 0.2)]
    assert history(store, "train_loss") == [(1, 1.0), (2, 0.5)]


@pytest.mark.parametrize(
    ("left_by", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_run_says_how_it_was_left(
    tmp_path: Path, left_by: type[BaseException], status: str
) -> None:
    """An error leaves a failed run, an interrupt a killed one; going on, it runs again."""
    store = f"file:{tmp_path}/store"
    with pytest.raises(left_by):
        track(store, tmp_path, range(1, 2), left_by=left_by)
    seen = [only_run(store).info.status]
    with tracking.opened(Tracking(mlflow=store), "first-run", RECIPE, tmp_path) as tracker:
        tracker.row({"epoch": 2, "score": 0.2})
        seen.append(only_run(store).info.status)
        tracker.finish({"stopped": {"epoch": 2, "reason": "under the leader"}})

    assert seen == [status, "RUNNING"]
    assert only_run(store).info.status == "FINISHED"
    assert only_run(store).data.tags["lucency.stopped"] == "under the leader"


def test_run_that_nobody_finished_is_not_called_finished(tmp_path: Path) -> None:
    """Only ``finish`` makes a run a finished one."""
    store = f"file:{tmp_path}/store"

    with tracking.opened(Tracking(mlflow=store), "first-run", RECIPE, tmp_path) as tracker:
        tracker.row({"epoch": 1, "score": 0.1})

    assert only_run(store).info.status == "FAILED"


def test_other_store_gets_a_run_of_its_own(tmp_path: Path) -> None:
    """A run that moves to another store is there as a whole."""
    first, second = f"file:{tmp_path}/one", f"file:{tmp_path}/two"
    track(first, tmp_path, range(1, 3))

    track(second, tmp_path, range(1, 4))

    assert history(first) == [(1, 0.1), (2, 0.2)]
    assert history(second) == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_store_that_forgot_the_run_gets_a_new_one(tmp_path: Path) -> None:
    """A run that somebody deleted for good is written as a whole again."""
    store = f"file:{tmp_path}/store"
    track(store, tmp_path, range(1, 3))
    run = only_run(store).info
    shutil.rmtree(tmp_path / "store" / run.experiment_id / run.run_id)

    track(store, tmp_path, range(1, 4))

    assert history(store) == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_server_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a server the run goes on, and says so once."""
    track(f"http://127.0.0.1:{free_port()}", tmp_path, range(1, 3))

    said = capsys.readouterr().err
    assert said.count("MLflow can't be written to") == 1
    assert "epochs missing there: 1, 2." in said


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("ftp://host/runs", "'ftp'"),
        ("https://user:secret@host", "MLFLOW_TRACKING_PASSWORD"),
        ("mssql://host/runs", "pyodbc"),
    ],
)
def test_store_that_can_not_work_is_refused(tmp_path: Path, uri: str, word: str) -> None:
    """An unknown kind, a password and a missing package are errors before anything starts."""
    with pytest.raises(ConfigError, match=word) as raised:
        track(uri, tmp_path, range(1, 2))

    assert "secret" not in str(raised.value)


def test_database_without_its_packages_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the small client has no SQLAlchemy, the error names what to install."""
    monkeypatch.setitem(sys.modules, "sqlalchemy.engine", None)

    with pytest.raises(ConfigError, match=r"'sqlalchemy.engine'.* pip install sqlalchemy alembic"):
        track(f"sqlite:///{tmp_path}/store.db", tmp_path, range(1, 2))


def test_values_are_flat_and_bounded() -> None:
    """Nested values get dotted names, lists of single values stay, long texts are cut."""
    found = tracking_mlflow.flattened({"a": {"mean": [0.5, 0.1], "b": None}, "text": "x" * 9000})

    assert found["a.mean"] == "[0.5, 0.1]"
    assert found["a.b"] == "null"
    assert len(found["text"]) == 500
    assert found["text"].endswith("x…")


def test_recipe_of_many_values_is_logged_whole(tmp_path: Path) -> None:
    """MLflow takes a hundred parameters at once; a recipe may have more."""
    store = f"file:{tmp_path}/store"
    recipe = {f"key{number}": number for number in range(230)}

    track(store, tmp_path, range(1, 2), recipe=recipe)

    assert len(only_run(store).data.params) == 230


def test_nothing_calls_home() -> None:
    """The telemetry of MLflow is off."""
    assert is_telemetry_disabled()
