"""What the service may be told: ``serve/app.py:build`` takes this as its arguments."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from lucency.config.node import Node
from lucency.images import MAX_PIXELS


class Batching(Node):
    """How many films share one run of the graph, and how long the first waits for others."""

    max_batch_size: Annotated[int, Field(ge=1)] = 8
    wait_s: Annotated[float, Field(ge=0, le=1)] = 0.005


class Replicas(Node):
    """
    Autoscaling and queues.

    Attributes:
        max_ongoing_requests: In one replica at a time; less than a batch would never fill it.
        max_queued_requests: Waiting in front of all replicas; more are answered 503.
    """

    min_replicas: Annotated[int, Field(ge=1)] = 1
    max_replicas: Annotated[int, Field(ge=1)] = 2
    target_ongoing_requests: Annotated[float, Field(gt=0)] = 4
    max_ongoing_requests: Annotated[int, Field(ge=1)] = 32
    max_queued_requests: Annotated[int, Field(ge=1)] = 64
    cpus: Annotated[float, Field(gt=0)] = 1

    @model_validator(mode="after")
    def _ordered(self) -> "Replicas":
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas {self.min_replicas} is over max_replicas {self.max_replicas}"
            )
        return self


class Service(Node):
    """
    How films are answered, wherever the models are.

    Attributes:
        max_body_bytes: A larger request is refused while it is being read.
        max_pixels: A larger film is refused by its header.
        threads: Inference threads of a replica.
        drift_window: Films whose distance to the reference is shown.
    """

    max_body_bytes: Annotated[int, Field(ge=1024)] = 20 * 2**20
    max_pixels: Annotated[int, Field(ge=1024)] = MAX_PIXELS
    batching: Batching = Batching()
    scaling: Replicas = Replicas()
    threads: Annotated[int, Field(ge=1)] = 1
    drift_window: Annotated[int, Field(ge=100)] = 500

    @model_validator(mode="after")
    def _batch_can_fill(self) -> "Service":
        if self.scaling.max_ongoing_requests < self.batching.max_batch_size:
            raise ValueError(
                f"scaling.max_ongoing_requests {self.scaling.max_ongoing_requests} is under "
                f"batching.max_batch_size {self.batching.max_batch_size}: a batch could never fill"
            )
        return self


class ServeConfig(Service):
    """A service and the store whose alias it answers with."""

    store: Path
    alias: str = "champion"
