"""Errors -> HTTP statuses, as RFC 9457 problem details. No other module chooses a status."""

import http
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from lucency.errors import ImageError, LucencyError, ServiceError

from .roles import path_of
from .schemas import Problem

MEDIA_TYPE = "application/problem+json"
# The schema in place: FastAPI would put a ``model`` under application/json.
_RESPONSE = {"content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}}
RESPONSES: dict[int | str, dict[str, Any]] = dict.fromkeys(
    (400, 401, 403, 413, 415, 422, 429, 503), _RESPONSE
)
# Of the guard, on every path that is not open to all.
REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys((401, 403, 429, 503), _RESPONSE)
NO_MAP: dict[int | str, dict[str, Any]] = {404: _RESPONSE}
_IMAGE_STATUS = {
    "empty": 400,
    "unsupported_type": 415,
    "deflated": 415,
    "unknown_syntax": 415,
    "too_large": 413,
    "too_many_pixels": 413,
}
_UNUSABLE = 422


class BodyTooLarge(ServiceError):
    """The request's body passed the limit while it was read."""


class BadRequest(ServiceError):
    """What was asked can't be understood."""


class BadForm(BadRequest):
    """The multipart form has no file in its field ``image``, or too many."""


class UnknownModel(ServiceError):
    """There is no model of that name and version here."""


class NoMetrics(ServiceError):
    """This replica's numbers are to be had elsewhere."""


class NoMap(ServiceError):
    """The network in force gives no class-activation map."""


class UnknownLabel(ServiceError):
    """A late label is none of the labels of the model in force."""


class Refused(ServiceError):
    """
    The caller may not do this, or not now.

    Args:
        headers: What the status needs beside the problem.
    """

    def __init__(self, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message, headers)
        self.message = message
        self.headers = headers or {}

    def __str__(self) -> str:
        return self.message


class Unauthenticated(Refused):
    """No key or token, or none that counts."""


class Forbidden(Refused):
    """The caller is known and lacks a role, or the service is open to this machine alone."""


class TooOften(Refused):
    """The caller has used up its rate."""


class KeysUnreachable(Refused):
    """Tokens can't be checked, because their issuer's keys can't be had."""


class UnknownCoding(Refused):
    """The body is compressed, and what it would grow to has no limit."""


class NotLogged(Refused):
    """The log can't be written, and nothing may be answered unlogged."""


class NotDrawn(Refused):
    """No replica that draws heat maps has time for this one."""


_STATUS = {
    BodyTooLarge: 413,
    BadRequest: 400,
    BadForm: 400,
    UnknownModel: 404,
    NoMetrics: 404,
    NoMap: 404,
    Unauthenticated: 401,
    Forbidden: 403,
    TooOften: 429,
    KeysUnreachable: 503,
    UnknownCoding: 415,
    NotLogged: 503,
    NotDrawn: 503,
    UnknownLabel: 422,
}
_log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Answer every error of an application as problem details."""
    app.add_exception_handler(LucencyError, _expected)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unexpected)


class _Details(JSONResponse):
    """Problem details; on the paths of the Open Inference Protocol with its ``error`` as well."""

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.model_dump(), problem.status)
        self._problem = problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if path_of(scope).startswith("/v2"):
            # Its clients read this member alone.
            self.body = self.render({**self._problem.model_dump(), "error": self._problem.detail})
            self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def details(status: int, detail: str, kind: str = "about:blank") -> Problem:
    """Problem details with the status's own title."""
    return Problem(type=kind, title=http.HTTPStatus(status).phrase, status=status, detail=detail)


def answer(status: int, detail: str, kind: str = "about:blank") -> JSONResponse:
    """The answer that tells of a problem."""
    return _Details(details(status, detail, kind))


def refusal(error: Refused) -> JSONResponse:
    """The answer to a caller who is not let in, with its headers."""
    response = answer(status_of(error), str(error))
    response.headers.update(error.headers)
    return response


def status_of(error: Exception) -> int:
    """The status of an error that Lucency raises on purpose; 500 for any other."""
    if isinstance(error, ImageError):
        return _IMAGE_STATUS.get(error.reason, _UNUSABLE)
    return _STATUS.get(type(error), 500)


async def _expected(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Refused):  # its reason is meant for the caller, whatever the status
        return refusal(error)
    assert isinstance(error, LucencyError)
    return _Details(of(error))


def of(error: LucencyError) -> Problem:
    """What is said of an error that Lucency raises on purpose; of our own faults nothing."""
    kind = f"urn:lucency:{error.reason}" if isinstance(error, ImageError) else "about:blank"
    status = status_of(error)
    return details(status, str(error) if status < 500 else "internal error", kind)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = answer(error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _gone(request: Request, error: Exception) -> JSONResponse:
    # Nobody reads this; the status keeps a client that hangs up out of the service's own errors.
    return answer(400, "the client closed the connection before the body's end")


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return answer(422, "; ".join(f"{_place(e)}: {e['msg']}" for e in error.errors()))


def _place(error: Mapping[str, Any]) -> str:
    """Where in the request; a field's name that we never heard of may be a patient's."""
    known = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    return ".".join(map(str, known))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    # The message may quote the film's bytes: the type alone is logged.
    _log.error("unexpected %s at %s", type(error).__name__, request.url.path)
    return answer(500, "internal error")
