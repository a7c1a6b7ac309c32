"""What ``jobs/pipeline.py`` may be told: the whole life of a model."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from lucency.config.export import Packing
from lucency.config.node import Node
from lucency.config.serve import Service, is_loopback
from lucency.config.train import Recipe
from lucency.datasets.base import datasets
from lucency.datasets.clean import Checks
from lucency.datasets.gate import LeakGate
from lucency.datasets.splits import SplitPlan
from lucency.registry import Options


class Deployment(Node):
    """
    Where the champion answers once it is promoted.

    Attributes:
        app: Import path of the application builder, as in a Ray Serve configuration.
        keep: Go on answering until Ctrl-C; otherwise stop after one prediction.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    app: str = "serve.app:build"
    keep: bool = False
    service: Service = Service()

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        if not is_loopback(host):
            raise ValueError(
                f"{host!r} is not loopback, and this service asks nobody for a key: give "
                "127.0.0.1, or serve others by configs/serve/network.yaml"
            )
        return host


class PipelineConfig(Node):
    """
    One model from films to answers.

    Attributes:
        work: Folder for table, runs, bundle and report.
        store: Folder of versions and aliases.
        export: Calibration, abstention and variants of the bundle.
        serve: Left out (null) where something else serves the store, as on Kubernetes.
        fresh: Throw away this recipe's earlier run and start anew.
        reason: Why the test split is opened for another model of this name.
    """

    name: str = "pneumonia"
    work: Path
    store: Path
    dataset: Annotated[Options, datasets.field()]
    checks: Checks = Checks()
    splits: SplitPlan = SplitPlan()
    leaks: LeakGate = LeakGate()
    recipe: Recipe
    export: Packing = Packing()
    serve: Deployment | None = Deployment()
    fresh: bool = False
    reason: str = ""
