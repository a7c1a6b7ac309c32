"""
The Ray Serve application: ``serve run configs/serve/default.yaml``.

One deployment holds HTTP and model together: between two of them a request would cross the
network twice, which costs more than a small network's inference. Heat maps are another matter: one
costs several predictions, and may be drawn by a second deployment.
"""

import secrets
import weakref
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.handle import DeploymentHandle

from lucency.bundle.predictor import Input, Prediction, Predictor
from lucency.config.serve import Batching, Replicas, ServeConfig
from lucency.store.store import Store

from . import ingress
from .access import Guard
from .classifier import Classifier, Infer
from .explainer import Explainer, drawn_by
from .exporters import RayBackend
from .live import Leaving, Live, Loading, Looks, Succession, Watcher
from .recorder import Recorder
from .rollout import Rollout, no_labels
from .sensitivity import Sensitivity
from .telemetry import Telemetry

_HEALTH_TIMEOUT_S = 10.0


@serve.deployment(name="classifier")
@serve.ingress()
class Endpoint:
    """A replica: it answers with the bundle behind an alias, wherever that moves."""

    def __init__(self, config: ServeConfig, explainer: DeploymentHandle[Any] | None = None) -> None:
        self._config = config
        self._explainer = explainer
        self._guard = Guard(config.access)  # first: a replica that nobody may call need not load
        store = Store(config.store)
        predictor = self._predictor(store.path(config.alias))
        self._telemetry = Telemetry(
            RayBackend(), predictor.artifact.version, sites=config.sites, views=config.views
        )
        self._live = Live(self._classifier(predictor, self._telemetry))
        loading = Loading(store, self._load, predictor.card.labels)
        told: list[Looks] = [Succession(self._live, loading, config.alias), Leaving(self._live)]
        late = _late(self._live, config)
        if config.rollout is not None:
            labels = late.counted if late else no_labels
            replica = secrets.token_hex(8)
            told.append(Rollout(self._live, store, loading, config.rollout, replica, labels=labels))
        if late:
            told.append(late)
        self._watcher = Watcher(store, told, every_s=config.watch_s)
        self._watcher.start()
        self._recorder = Recorder(self._live, config.logs)

    def __serve_build_asgi_app__(self) -> FastAPI:
        return ingress.create(
            self._live,
            max_body_bytes=self._config.max_body_bytes,
            max_batch_films=self._config.max_batch_films,
            guard=self._guard,
            hsts_s=self._config.access.hsts_s,
            recorder=self._recorder,
        )

    async def check_health(self) -> None:
        """Ray calls this; raising three times has the replica replaced."""
        await self._live.check(_HEALTH_TIMEOUT_S)

    def _load(self, path: Path) -> Classifier:
        predictor = self._predictor(path)
        return self._classifier(predictor, self._telemetry.of(predictor.artifact.version))

    def _predictor(self, path: Path) -> Predictor:
        config = self._config
        return Predictor(
            path, threads=config.threads, max_pixels=config.max_pixels, variant=config.variant
        )

    def _classifier(self, predictor: Predictor, telemetry: Telemetry) -> Classifier:
        config = self._config
        classifier = Classifier(
            predictor, telemetry, threads=config.threads, drift_window=config.drift_window
        )
        if config.batching.max_batch_size > 1:
            classifier.infer = _batched(classifier, config.batching)
        if self._explainer is not None and config.explain is not None:
            classifier.draw = drawn_by(self._explainer, config.explain.patience_s)
        return classifier


def _late(live: Live, config: ServeConfig) -> Sensitivity | None:
    """Who reads late labels; nobody where none are taken, or where no label is the one to find."""
    card = live.predictor.card
    if config.logs is None or card.threshold is None:
        return None
    return Sensitivity(live, config.logs, card.labels[1])


def _batched(classifier: Classifier, batching: Batching) -> Infer:
    """
    A queue of the classifier's own: films of two models never share a run of a graph.

    Ray keeps a queue's task for ever, so it must not keep the model: who waits for an answer does.
    """
    run = weakref.WeakMethod(classifier.run)

    @serve.batch(max_batch_size=batching.max_batch_size, batch_wait_timeout_s=batching.wait_s)
    async def infer(inputs: list[Input]) -> list[Prediction]:
        alive = run()
        assert alive is not None, "whoever asked holds the classifier"
        return await alive(inputs)

    return infer


def build(config: ServeConfig) -> serve.Application:
    """The application that serves a store's alias; nothing is read from the store here."""
    endpoint: serve.Deployment = Endpoint.options(  # type: ignore[attr-defined]
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        # The audit log tells more of each request, and this one would be paid for beside it.
        logging_config={"enable_access_log": False},
        **_scaled(config.scaling),
    )
    if config.explain is None:
        return endpoint.bind(config)
    explainer = serve.deployment(name="explainer", **_scaled(config.explain.scaling))(Explainer)
    return endpoint.bind(config, explainer.bind(config.max_pixels))


def _scaled(scaling: Replicas) -> dict[str, Any]:
    return {
        "autoscaling_config": AutoscalingConfig(
            min_replicas=scaling.min_replicas,
            max_replicas=scaling.max_replicas,
            target_ongoing_requests=scaling.target_ongoing_requests,
            upscale_delay_s=scaling.upscale_delay_s,
            downscale_delay_s=scaling.downscale_delay_s,
        ),
        "max_ongoing_requests": scaling.max_ongoing_requests,
        "max_queued_requests": scaling.max_queued_requests,
        "ray_actor_options": {"num_cpus": scaling.cpus},
        "health_check_timeout_s": 2 * _HEALTH_TIMEOUT_S,
    }
