"""
A run as a run of MLflow, through its small client.

Which run of MLflow a run is stands in ``mlflow.json`` in its folder; what is logged already is
asked of MLflow itself, so an answer that got lost leads to no second copy.
"""

import importlib
import json
import logging
import os
import time
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from lucency import files
from lucency.errors import ConfigError
from lucency.training.identity import IDENTITY

STATE = "mlflow.json"

_SETTINGS = {
    # Who configures file:FOLDER means it; MLflow prefers a database.
    "MLFLOW_ALLOW_FILE_STORE": "true",
    # By default a server that is gone is tried for minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_SCHEMES = ("", "file", *_DATABASES, "http", "https", "databricks")
# Longer values are an error of servers before MLflow 2.
_MOST_CHARACTERS = 500
_MOST_PARAMETERS = 100


class MlflowRun:
    """
    One run of an experiment, made when first written to.

    Raises:
        ConfigError: no such kind of store, or a package for it is missing, or the URI has a
            password.
    """

    name = "MLflow"

    def __init__(
        self,
        uri: str,
        experiment: str,
        run_name: str,
        recipe_plain: Mapping[str, Any],
        folder: Path,
    ) -> None:
        _require(uri)
        for key, value in _SETTINGS.items():
            os.environ.setdefault(key, value)
        # It announces every table that it makes, and repeats what is said here once.
        logging.getLogger("mlflow").setLevel(logging.CRITICAL)
        self._uri = uri
        self._experiment = experiment
        self._run_name = run_name
        self._recipe_plain = recipe_plain
        self._folder = folder
        self._open: _Open | None = None

    def row(self, epoch: int, figures: Mapping[str, float]) -> None:
        opened = self._opened()
        now = int(time.time() * 1000)
        metrics = [
            Metric(key, value, now, epoch)
            for key, value in figures.items()
            if epoch > opened.logged.get(key, 0)
        ]
        if metrics:
            opened.client.log_batch(opened.run_id, metrics=metrics)
        opened.logged.update({metric.key: epoch for metric in metrics})

    def finish(self, status: str, record: Mapping[str, Any] | None) -> None:
        opened = self._opened()
        tags = [RunTag(key, value) for key, value in _origin(record or {}).items()]
        if tags:
            opened.client.log_batch(opened.run_id, tags=tags)
        opened.client.set_terminated(opened.run_id, status)

    def drop(self) -> None:
        self._open = None

    def _opened(self) -> "_Open":
        if self._open is None:
            client = MlflowClient(self._uri, self._uri)
            run_id = self._known(client) or self._created(client)
            self._open = _Open(client, run_id)
            self._open.add_parameters(flattened(self._recipe_plain))
        return self._open

    def _known(self, client: MlflowClient) -> str | None:
        """The run that an earlier process began there, now going on."""
        state = self._folder / STATE
        if not state.is_file():
            return None
        known = json.loads(state.read_text())
        if (known["uri"], known["experiment"]) != (self._uri, self._experiment):
            return None
        try:
            client.update_run(known["run_id"], status="RUNNING")
        except MlflowException as failure:
            if failure.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return str(known["run_id"])

    def _created(self, client: MlflowClient) -> str:
        tags = _digests(self._recipe_plain, self._folder)
        run = client.create_run(
            _experiment(client, self._experiment), run_name=self._run_name, tags=tags
        )
        known = {"uri": self._uri, "experiment": self._experiment, "run_id": run.info.run_id}
        files.write_json(self._folder / STATE, known)
        return str(run.info.run_id)


class _Open:
    """
    A run that MLflow answers for.

    Attributes:
        logged: The last epoch of each metric that is there.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id
        self._data = client.get_run(run_id).data
        self.logged = {
            key: max(metric.step for metric in client.get_metric_history(run_id, key))
            for key in self._data.metrics
        }

    def add_parameters(self, values: Mapping[str, str]) -> None:
        """Those that are not there: MLflow takes a parameter once, and scaling may have changed."""
        missing = [
            Param(key, value) for key, value in values.items() if key not in self._data.params
        ]
        for start in range(0, len(missing), _MOST_PARAMETERS):
            some = missing[start : start + _MOST_PARAMETERS]
            self.client.log_batch(self.run_id, params=some)


def flattened(value: Any, path: str = "") -> dict[str, str]:
    """
    Nested plain values as text by dotted path, ``phases.0.learning_rate``; long ones are cut.

    A list of single values stays one entry.
    """
    if isinstance(value, Mapping):
        parts = {str(key): part for key, part in value.items()}
    elif isinstance(value, list | tuple) and any(isinstance(part, Mapping) for part in value):
        parts = {str(index): part for index, part in enumerate(value)}
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        return {path: text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"}
    found: dict[str, str] = {}
    for key, part in parts.items():
        found |= flattened(part, f"{path}.{key}" if path else key)
    return found


def _require(uri: str) -> None:
    parts = urllib.parse.urlsplit(uri)
    kind = parts.scheme.split("+")[0]
    if kind not in _SCHEMES:
        raise ConfigError(
            f"tracking.mlflow: found a URI of kind {kind!r}, expected file:FOLDER, "
            "sqlite:///FILE, another database's, or a server's http(s)://HOST:PORT"
        )
    if parts.password is not None:
        # It would be written down with every run.
        raise ConfigError(
            "tracking.mlflow holds a password: leave it out and set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD for a server, or what the database's own client reads "
            "(PGPASSWORD, ~/.my.cnf)"
        )
    if kind in _DATABASES:
        _require_packages(uri, kind)


def _require_packages(uri: str, kind: str) -> None:
    """The small client brings none for databases."""
    try:
        importlib.import_module("alembic")
        engine = importlib.import_module("sqlalchemy.engine")
        engine.make_url(uri).get_dialect().import_dbapi()
    except ModuleNotFoundError as cause:
        raise ConfigError(
            f"tracking.mlflow: a store of kind {kind!r} needs the package {cause.name!r}, which "
            "is not installed: pip install sqlalchemy alembic 'mlflow-skinny[db]', or track to a "
            "server or to file:FOLDER"
        ) from cause


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name)
        except MlflowException as failure:
            # Another trial of the same search was faster.
            found = client.get_experiment_by_name(name)
            if failure.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
                raise
    return str(found.experiment_id)


def _digests(recipe_plain: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Tags that tell the same experiment from another one, as soon as the run is there."""
    learned = {key: value for key, value in recipe_plain.items() if key != "scaling"}
    found = {"lucency.recipe_digest": files.digest(learned)}
    if (folder / IDENTITY).is_file():
        identity = json.loads((folder / IDENTITY).read_text())
        found["lucency.data_digest"] = identity["data_digest"]
    return found


def _origin(record: Mapping[str, Any]) -> dict[str, str]:
    """Tags that are known at the end: the code, and why the run was stopped if it was."""
    values = flattened(record)
    code = {key.rpartition("code.")[2]: value for key, value in values.items() if "code." in key}
    found = {
        # The name that MLflow's own pages link to the code by.
        "mlflow.source.git.commit": code.get("revision"),
        "lucency.code_dirty": code.get("dirty"),
        "lucency.stopped": values.get("stopped.reason"),
    }
    return {key: value for key, value in found.items() if value is not None}
