"""What OpenAPI says of the service, and ``/docs``: the same as a page that loads nothing."""

import base64
import hashlib
import html
import http
import json
import re
from copy import deepcopy
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from lucency.bundle.artifact import Artifact
from lucency.config.serve import SITE, VIEW

from . import problems
from .bodies import FIELD
from .origin import SITE_HEADER, VIEW_HEADER
from .recorder import PATIENT_HEADER
from .roles import need_of

DESCRIPTION = (
    "Sends back the calibrated probability that a film shows the positive label, or which of "
    "several labels it shows. Not a medical device; for research use."
)
_BINARY = {"type": "string", "format": "binary"}
_FILM = {**_BINARY, "minLength": 1}


def _header(name: str, text: str, example: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string", **schema},
        "description": text,
        "example": example,
    }


_KEY = _header(
    "Idempotency-Key",
    "Send the same one when you send a film again: the answer has the same id, and logs and "
    "labels count it once.",
    "3f1c6a0e-9a51-4c9e-8f57-2f6f6f0d7c11",
    minLength=1,
    maxLength=255,
)
_ORIGIN = [
    _header(
        SITE_HEADER,
        "Where the film was taken. Drift is told for each site on the service's list, and for all "
        "others together; the log has the name as it is given.",
        "ward 3",
        pattern=f"^({SITE})?$",
    ),
    _header(
        VIEW_HEADER,
        "The film's view in DICOM's words, on a list of its own.",
        "PA",
        pattern=f"^({VIEW})?$".replace("A-Z", "A-Za-z"),
    ),
]
_PATIENT = _header(
    PATIENT_HEADER,
    "While two models are tried, all films under one name have the same model. It is hashed, and "
    "written nowhere.",
    "0815",
)


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: schema}},
    }


TENSORS: dict[str, Any] = {"parameters": [_KEY, *_ORIGIN]}
ONE_FILM: dict[str, Any] = {
    "parameters": [_KEY, *_ORIGIN, _PATIENT],
    "requestBody": {
        "required": True,
        "description": "The type is told by the film's first bytes, whatever is declared.",
        "content": {
            **{
                kind: {"schema": _FILM} for kind in ("image/jpeg", "image/png", "application/dicom")
            },
            "multipart/form-data": _form(_FILM),
        },
    },
}


def several_films(most: int) -> dict[str, Any]:
    """What a batch is asked with; an empty film among others has its own problem."""
    films = {"type": "array", "items": _BINARY, "minItems": 1, "maxItems": most}
    return {
        "parameters": ONE_FILM["parameters"],
        "requestBody": {"required": True, "content": {"multipart/form-data": _form(films)}},
    }


_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "a key or a token (JWT)"},
}
_SEND = 'curl $URL{path} -H "Authorization: Bearer $KEY"'
_CURL = {
    "/v1/predict": f"{_SEND} --data-binary @film.dcm",
    "/v1/predict:batch": f"{_SEND} -F image=@a.jpeg -F image=@b.dcm",
    "/v1/explain": f"{_SEND} --data-binary @film.png -o map.png",
    "/v1/labels": f'{_SEND} --json \'{{{{"prediction": "ID", "label": "LABEL"}}}}\'',
    "/v2/models/{name}/infer": _SEND
    + ' --json \'{{"inputs": [{{"name": "image", "datatype": "BYTES", "shape": [1], '
    '"data": ["BASE64"]}}]}}\'',
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c2733;background:#fff}h1{font-size:1.6rem;margin-bottom:.2rem}"
    "h2{font-size:1.05rem;margin:2rem 0 .2rem;border-top:1px solid #d8dee4;padding-top:1rem;"
    "font-family:ui-monospace,monospace}h2 b{display:inline-block;min-width:3.6rem;color:#0b6b53}"
    "p{margin:.3rem 0}pre{background:#f3f5f7;padding:.7rem;overflow:auto;border-radius:4px;"
    "font-size:.82rem;line-height:1.4}.need{color:#59636e;font-size:.9rem}"
    "@media(prefers-color-scheme:dark){body{color:#d7dee6;background:#12171d}pre{background:"
    "#1c232b}h2{border-color:#333d47}h2 b{color:#56c3a3}.need{color:#96a1ac}}"
)
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PATH = "/docs"
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'"


def install(app: FastAPI, artifact: Artifact, *, guarded: bool) -> None:
    """Give the application its document and its page; call it when all routes are there."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, artifact, guarded)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI documents it

    @app.get(PATH, include_in_schema=False)
    async def page() -> Response:
        return Response(_page(described()), media_type="text/html")


def example(artifact: Artifact) -> dict[str, Any]:
    """An answer of this model as it may look."""
    labels = artifact.model.labels
    two = artifact.model.threshold is not None
    rest = round(0.06 / (len(labels) - 1), 4)
    return {
        "id": "0b0f9a3c-5c1f-4b7e-9f0e-3a6f2f1d7e55",
        "model": {"name": artifact.manifest.name, "version": artifact.version},
        "label": labels[-1],
        "probability": 0.94,
        "probabilities": {**dict.fromkeys(labels[:-1], rest), labels[-1]: 0.94},
        "threshold": artifact.model.threshold,
        "decision": "positive" if two else labels[-1],
        "reason": "clear",
        "labels": [labels[-1]],
        "warnings": [],
        "timings_ms": {"decode": 1.9, "infer": 11.2, "total": 13.6},
        "map_png": None,
    }


def _document(app: FastAPI, artifact: Artifact, guarded: bool) -> dict[str, Any]:
    labels = artifact.model.labels
    kind = (
        f"Two labels: `probability` is that of {labels[1]!r}, `decision` is positive, negative or "
        "uncertain."
        if artifact.model.threshold is not None
        else f"{len(labels)} labels: `probability` is that of the label called, `decision` is that "
        "label or uncertain; there is no threshold."
    )
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=f"{DESCRIPTION}\n\n{kind}",
        routes=app.routes,
    )
    shown = example(artifact)
    batch = {
        "results": [
            {"index": 0, "answer": shown, "problem": None},
            {"index": 1, "answer": None, "problem": _problem()},
        ]
    }
    for path, body in (("/v1/predict", shown), ("/v1/predict:batch", batch)):
        answers = document["paths"][path]["post"]["responses"]
        answers["200"]["content"]["application/json"]["example"] = body
    late = document["components"]["schemas"].get("LateLabel")
    if late is not None:
        late["properties"]["label"]["enum"] = list(labels)
    _mend(document)
    if guarded:
        _close(document)
    for operation in _operations(document):
        for status, answer in operation["responses"].items():
            for content in answer.get("content", {}).items():
                if content[0] == "application/problem+json":
                    content[1].setdefault("example", _problem(int(status)))
    return document


def _mend(document: dict[str, Any]) -> None:
    """Take out the 422 that FastAPI tells of: ours is a problem, and stands where it can occur."""
    for operation in _operations(document):
        if "application/json" in operation["responses"].get("422", {}).get("content", {}):
            del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def _close(document: dict[str, Any]) -> None:
    """Tell of the guard: its schemes and its refusals, on every path that is not open to all."""
    document["components"]["securitySchemes"] = _SCHEMES
    for path, methods in document["paths"].items():
        for operation in methods.values():
            operation["security"] = []
            if need_of(path) != "nobody":
                operation["security"] = [{name: []} for name in _SCHEMES]
                for status, refusal in problems.REFUSALS.items():
                    told = {"description": http.HTTPStatus(int(status)).phrase, **refusal}
                    operation["responses"].setdefault(str(status), deepcopy(told))


def _problem(status: int = 415) -> dict[str, Any]:
    if status == 415:
        return {
            "type": "urn:lucency:unsupported_type",
            "title": "Unsupported Media Type",
            "status": 415,
            "detail": "the body is neither JPEG nor PNG nor DICOM with its preamble, by its first "
            "bytes; send one of these",
        }
    return {
        "type": "about:blank",
        "title": "what the status says",
        "status": status,
        "detail": "what was found, what was expected, what to do",
    }


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for methods in document["paths"].values() for each in methods.values()]


def _page(document: dict[str, Any]) -> str:
    sections = [
        _section(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    lead = "".join(
        f"<p>{html.escape(p)}</p>" for p in document["info"]["description"].split("\n\n")
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Lucency</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><h1>Lucency</h1>{lead}"
        '<p>Errors are <a href="https://www.rfc-editor.org/rfc/rfc9457">RFC 9457</a> problem '
        'details. All of it for programs: <a href="openapi.json">openapi.json</a>.</p>'
        f"{''.join(sections)}</html>"
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    need = need_of(path)
    who = {"nobody": "open to all", None: "any known caller"}.get(need, f"role {need}")
    said = _text(operation.get("description", ""))
    command = _CURL.get(path, _SEND).format(path=path)
    ok: dict[str, Any] = next(
        (a for s, a in operation["responses"].items() if s.startswith("2")), {}
    )
    shown = ok.get("content", {}).get("application/json", {}).get("example")
    answer = f"<pre>{html.escape(json.dumps(shown, indent=2))}</pre>" if shown else ""
    return (
        f"<h2><b>{method}</b> {html.escape(path)}</h2><p>{said}</p>"
        f'<p class="need">{html.escape(who)}</p><pre>{html.escape(command)}</pre>{answer}'
    )


def _text(marked: str) -> str:
    """Prose of a docstring: what stands between backticks is code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", html.escape(marked))
