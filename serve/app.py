"""
The Ray Serve application: ``serve run configs/serve/default.yaml``.

One deployment holds HTTP and model together: between two of them a request would cross the
network twice, which costs more than a small network's inference.
"""

from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.config import AutoscalingConfig, BackpressureConfig

from lucency.bundle.predictor import Input, Prediction, Predictor
from lucency.config.serve import ServeConfig
from lucency.store.store import Store

from . import ingress
from .access import Guard
from .classifier import Classifier
from .telemetry import RayBackend, Telemetry

_HEALTH_TIMEOUT_S = 10.0


@serve.deployment(name="classifier")
@serve.ingress()
class Endpoint:
    """A replica: it loads the bundle behind an alias once and answers until it is replaced."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._guard = Guard(config.access)  # first: a replica that nobody may call need not load
        predictor = Predictor(
            Store(config.store).path(config.alias),
            threads=config.threads,
            max_pixels=config.max_pixels,
        )
        self._classifier = Classifier(
            predictor,
            Telemetry(RayBackend(), predictor.artifact.version),
            threads=config.threads,
            drift_window=config.drift_window,
        )
        batched: Any = self._infer  # the decorator's setters have no types
        batched.set_max_batch_size(config.batching.max_batch_size)
        batched.set_batch_wait_timeout_s(config.batching.wait_s)
        self._classifier.infer = batched

    def __serve_build_asgi_app__(self) -> FastAPI:
        return ingress.create(
            self._classifier,
            max_body_bytes=self._config.max_body_bytes,
            guard=self._guard,
            hsts_s=self._config.access.hsts_s,
        )

    async def check_health(self) -> None:
        """Ray calls this; raising three times has the replica replaced."""
        await self._classifier.check(_HEALTH_TIMEOUT_S)

    @serve.batch
    async def _infer(self, inputs: list[Input]) -> list[Prediction]:
        return await self._classifier.run(inputs)


def build(config: ServeConfig) -> serve.Application:
    """The application that serves a store's alias; nothing is read from the store here."""
    scaling = config.scaling
    deployment: serve.Deployment = Endpoint.options(  # type: ignore[attr-defined]
        autoscaling_config=AutoscalingConfig(
            min_replicas=scaling.min_replicas,
            max_replicas=scaling.max_replicas,
            target_ongoing_requests=scaling.target_ongoing_requests,
        ),
        max_ongoing_requests=scaling.max_ongoing_requests,
        max_queued_requests=scaling.max_queued_requests,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        ray_actor_options={"num_cpus": scaling.cpus},
        health_check_timeout_s=2 * _HEALTH_TIMEOUT_S,
    )
    return deployment.bind(config)
