"""The HTTP surface: routes, and reading a film from a request."""

import time
import uuid
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from starlette.datastructures import UploadFile
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lucency.bundle.artifact import Artifact

from . import headers, problems
from .access import Guard, Guarded
from .bodies import Limited
from .classifier import Classifier
from .problems import BadForm, NoMap
from .roles import path_of
from .schemas import Answer, Described, Health, ModelName

_FIELD = "image"
_DESCRIPTION = (
    "Sends back the calibrated probability that a film shows the positive label. "
    "Not a medical device; for research use."
)
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [_FIELD],
                    "properties": {_FIELD: {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


def create(
    classifier: Classifier, *, max_body_bytes: int, guard: Guard | None = None, hsts_s: int = 0
) -> FastAPI:
    """
    The application over a classifier; it knows nothing of Ray.

    Args:
        guard: None asks nobody who he is: for a caller in this process, never for a listener.
        hsts_s: Seconds for which browsers that came over https shall insist on it.
    """
    artifact = classifier.predictor.artifact
    name = ModelName(name=artifact.manifest.name, version=artifact.version)
    app = FastAPI(title="Lucency", description=_DESCRIPTION, version="1")
    problems.install(app)
    app.add_middleware(Limited, max_body_bytes=max_body_bytes)
    if guard is not None:
        app.add_middleware(Guarded, guard=guard)
    # The outer one: it sees refusals too.
    app.add_middleware(_Observed, classifier=classifier, hsts_s=hsts_s)

    @app.post("/v1/predict", responses=problems.RESPONSES, openapi_extra=_BODY)
    async def predict(request: Request) -> Answer:
        """Probability and decision for one JPEG or PNG film, raw or as the field ``image``."""
        began = time.perf_counter()
        timed = await classifier.classify(await read_film(request))
        found = timed.prediction
        return Answer(
            id=str(uuid.uuid4()),
            model=name,
            label=found.label,
            probability=found.probability,
            probabilities=dict(zip(artifact.model.labels, found.probabilities, strict=True)),
            threshold=artifact.model.threshold,
            decision=found.decision,
            reason=found.reason,
            labels=found.labels,
            timings_ms={
                "decode": round(timed.decode_s * 1e3, 3),
                "infer": round(timed.infer_s * 1e3, 3),
                "total": round((time.perf_counter() - began) * 1e3, 3),
            },
        )

    @app.post(
        "/v1/explain",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}, **problems.NO_MAP, **problems.RESPONSES},
        openapi_extra=_BODY,
    )
    async def explain(request: Request) -> Response:
        """The film with the class-activation map over it, PNG."""
        # Read first: a client that is still sending would see a reset instead of the reason.
        data = await read_film(request)
        if not classifier.predictor.explains:
            raise NoMap(
                f"model {name.name!r} has no class-activation map: its head is not a pooled one"
            )
        found = (await classifier.classify(data)).prediction
        picture = await classifier.overlay(data, found)
        return Response(
            picture,
            media_type="image/png",
            headers={
                "Lucency-Probability": f"{found.probability:.6f}",
                # Class names may have letters that a header can't: percent-encoded UTF-8.
                "Lucency-Decision": quote(found.decision),
                "Lucency-Model": name.version,
            },
        )

    @app.get("/v1/model")
    async def model() -> Described:
        """The model in force and what it was proven on."""
        return _described(artifact, name, explains=classifier.predictor.explains)

    @app.get("/healthz")
    async def healthz() -> Health:
        """The process lives."""
        return Health(status="ok")

    @app.get("/readyz")
    async def readyz() -> Health:
        """The model is loaded and its golden films gave the promised logits."""
        return Health(status="ready")

    return app


async def read_film(request: Request) -> bytes:
    """
    The film's bytes from a raw body or from the multipart field ``image``.

    Raises:
        BodyTooLarge: over the limit, declared or counted.
        BadForm: a form without a file in that field.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await request.body()
    async with request.form(max_files=1, max_fields=8) as form:
        part = form.get(_FIELD)
        if not isinstance(part, UploadFile):
            raise BadForm(
                f"the form has fields {sorted(form)}; expected one file in field {_FIELD!r}"
            )
        return await part.read()


def _described(artifact: Artifact, name: ModelName, *, explains: bool) -> Described:
    evidence = artifact.evidence
    return Described(
        model=name,
        labels=artifact.model.labels,
        input_size=artifact.model.preprocess.size,
        explains=explains,
        threshold=artifact.model.threshold,
        temperature=artifact.model.temperature,
        created=artifact.manifest.created,
        data_digest=artifact.manifest.data_digest,
        drawn_films=evidence["data"]["drawn"] if evidence else None,
        metrics=evidence["metrics"] if evidence else None,
    )


class _Observed:
    """Times every request of a known route and sets the headers that every answer carries."""

    def __init__(self, app: ASGIApp, classifier: Classifier, hsts_s: int) -> None:
        self._app = app
        self._telemetry = classifier.telemetry
        self._hsts_s = hsts_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

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
            self._telemetry.request(route, status, time.perf_counter() - began)
