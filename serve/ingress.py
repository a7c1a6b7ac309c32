"""The HTTP surface: routes of films and of what answers them."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lucency.bundle.artifact import Artifact
from lucency.errors import ImageError

from . import answers, bodies, docs, headers, labels, openinference, problems
from .access import Guard, Guarded
from .bodies import Limited
from .classifier import Classifier, Timed
from .live import Live
from .problems import NoMap, NoMetrics
from .recorder import Recorder
from .roles import path_of
from .schemas import Answer, Described, Health, Models, Result, Results

MAX_BATCH_FILMS = 16


def create(
    classifier: Classifier | Live,
    *,
    max_body_bytes: int,
    max_batch_films: int = MAX_BATCH_FILMS,
    guard: Guard | None = None,
    hsts_s: int = 0,
    recorder: Recorder | None = None,
    registry: CollectorRegistry | None = None,
) -> FastAPI:
    """
    The application over the model in force; it knows nothing of Ray.

    Args:
        max_batch_films: In one request; their bytes together keep to ``max_body_bytes``.
        guard: None asks nobody who he is: for a caller in this process, never for a listener.
        hsts_s: Seconds for which browsers that came over https shall insist on it.
        recorder: Writes answers down and takes late labels; None does neither.
        registry: What ``/metrics`` shows; None where another process shows it.
    """
    classifier = Live.over(classifier)
    recorder = recorder or Recorder(classifier)
    app = FastAPI(
        title="Lucency", description=docs.DESCRIPTION, version="1", docs_url=None, redoc_url=None
    )
    problems.install(app)
    app.add_middleware(Limited, max_body_bytes=max_body_bytes)
    if guard is not None:
        app.add_middleware(Guarded, guard=guard)
    # The outer one: it sees refusals too.
    app.add_middleware(_Observed, classifier=classifier, hsts_s=hsts_s)
    _add_films(app, classifier, recorder, max_batch_films)
    _add_models(app, classifier)
    if recorder.takes_labels:
        app.include_router(labels.router(recorder, classifier.predictor.artifact.model.labels))
    app.include_router(openinference.router(classifier, recorder, max_films=max_batch_films))
    _add_operation(app, registry)
    docs.install(app, classifier.predictor.artifact, guarded=guard is not None)
    return app


def _add_films(app: FastAPI, classifier: Live, recorder: Recorder, most: int) -> None:
    # Written out by pydantic itself: FastAPI would check the answer and copy it once more.
    router = APIRouter(route_class=_Unasked)

    @router.post(
        "/v1/predict",
        response_model=Answer,
        responses=problems.RESPONSES,
        openapi_extra=docs.ONE_FILM,
    )
    async def predict(
        request: Request,
        explain: Annotated[bool, Query(description="with the heat map, map_png")] = False,
    ) -> Response:
        """Probability and decision for one JPEG, PNG or DICOM film, raw or as field ``image``."""
        began = time.perf_counter()
        data = await bodies.read_film(request)
        if explain:
            _refuse_without_map(classifier.champion)
        identity, timed = await recorder.classify(request.scope, data)
        answer = answers.body(identity, timed, began)
        if explain:
            picture = await _overlay(data, timed)
            answer = answers.with_map(answer, picture)
        return _json(answer.model_dump_json())

    @router.post(
        "/v1/predict:batch",
        response_model=Results,
        responses=problems.RESPONSES,
        openapi_extra=docs.several_films(most),
    )
    async def predict_batch(request: Request) -> Response:
        """Several films as parts ``image`` of one form: to each its answer or its problem."""
        began = time.perf_counter()
        films = await bodies.read_films(request, most=most)

        async def one(index: int, data: bytes) -> Result:
            try:
                identity, timed = await recorder.classify(request.scope, data)
            except ImageError as refusal:
                return Result(index=index, problem=problems.of(refusal))
            answer = answers.body(identity, timed, began)
            return Result(index=index, answer=answer)

        # All at once: they share runs of the graph, with one another and with other requests.
        found = await asyncio.gather(*(one(index, data) for index, data in enumerate(films)))
        return _json(Results(results=tuple(found)).model_dump_json())

    @router.post(
        "/v1/explain",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}, **problems.NO_MAP, **problems.RESPONSES},
        openapi_extra=docs.ONE_FILM,
    )
    async def explain(request: Request) -> Response:
        """The film with the class-activation map over it, PNG."""
        # Read first: a client that is still sending would see a reset instead of the reason.
        data = await bodies.read_film(request)
        _refuse_without_map(classifier.champion)
        identity, timed = await recorder.classify(request.scope, data)
        found = timed.prediction
        picture = await _overlay(data, timed)
        return Response(
            picture,
            media_type="image/png",
            headers={
                "Lucency-Prediction": identity,
                "Lucency-Probability": f"{found.probability:.6f}",
                # Class names may have letters that a header can't: percent-encoded UTF-8.
                "Lucency-Decision": quote(found.decision),
                "Lucency-Model": timed.classifier.predictor.artifact.version,
            },
        )

    app.include_router(router)


def _add_models(app: FastAPI, classifier: Live) -> None:
    @app.get("/v1/models")
    async def models() -> Models:
        """The models that this replica answers with."""
        return Models(models=tuple(map(answers.model_name, classifier.artifacts)))

    @app.get("/v1/model")
    async def model() -> Described:
        """The model in force and what it was proven on."""
        champion = classifier.predictor  # once: it may be another at the next look
        return _described(champion.artifact, explains=champion.explains)


def _add_operation(app: FastAPI, registry: CollectorRegistry | None) -> None:
    @app.get("/healthz")
    async def healthz() -> Health:
        """The process lives."""
        return Health(status="ok")

    @app.get("/readyz")
    async def readyz() -> Health:
        """The model is loaded and its golden films gave the promised logits."""
        return Health(status="ready")

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **problems.NO_MAP},
    )
    async def metrics() -> Response:
        """This process's numbers for Prometheus; inside Ray each node has them for all of its."""
        if registry is None:
            raise NoMetrics(
                "inside Ray every node exports the numbers of all its replicas: scrape the port "
                "of `ray start --metrics-export-port`, or let Prometheus find the nodes by the "
                "head's prom_metrics_service_discovery.json"
            )
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


async def _overlay(data: bytes, timed: Timed) -> bytes:
    """The heat map of the model that answered, whichever is in force by now."""
    _refuse_without_map(timed.classifier)
    return await timed.classifier.overlay(data, timed.prediction)


def _refuse_without_map(classifier: Classifier) -> None:
    if not classifier.predictor.explains:
        name = classifier.predictor.artifact.manifest.name
        raise NoMap(f"model {name!r} has no class-activation map: its head is not a pooled one")


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _described(artifact: Artifact, *, explains: bool) -> Described:
    evidence = artifact.evidence
    return Described(
        model=answers.model_name(artifact),
        labels=artifact.model.labels,
        input_size=artifact.model.preprocess.size,
        explains=explains,
        threshold=artifact.model.threshold,
        temperature=artifact.model.temperature,
        calibration=artifact.model.calibration.method,
        created=artifact.manifest.created,
        data_digest=artifact.manifest.data_digest,
        drawn_films=evidence["data"]["drawn"] if evidence else None,
        metrics=evidence["metrics"] if evidence else None,
    )


class _Unasked(APIRoute):
    """Its endpoint reads the film itself; without a query FastAPI has nothing to work out."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        worked_out = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if request.scope["query_string"]:
                return await worked_out(request)
            response: Response = await self.endpoint(request)
            return response

        return handle


class _Observed:
    """Times every request of a known route and sets the headers that every answer carries."""

    def __init__(self, app: ASGIApp, classifier: Live, hsts_s: int) -> None:
        self._app = app
        self._live = classifier
        self._hsts_s = hsts_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500
        telemetry = self._live.telemetry  # of the model in force now: what rises there falls there
        telemetry.in_flight(1)

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = headers.of(scope, path_of(scope), hsts_s=self._hsts_s)
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self._app(scope, receive, marked)
        finally:
            # The route's template, not the path: a scanner must not make new series.
            route = getattr(scope.get("route"), "path", "other")
            telemetry.in_flight(-1)
            telemetry.request(route, status, time.perf_counter() - began)
