"""A request's body: limits while it is read, and the films in it."""

import asyncio

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import problems
from .problems import BadForm, BodyTooLarge

FIELD = "image"
_MOST_FIELDS = 8
# A form is kept in memory whole, as a raw body is: a film of a patient is not for a disk.
_SPOOLED_BYTES = 2**40

# Times the limit that are read and thrown away, for the sake of an answer that arrives.
_DRAINED = 4
_DRAIN_TIMEOUT_S = 10.0


class Limited:
    """
    Refuses a body by its declared length, and counts the bytes because lengths can lie.

    A client that is still sending when the answer comes sees a reset connection instead of a
    reason, so what is not much too long is read to its end and thrown away first.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._most = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = declared_length(scope)
        if declared > self._most:
            if declared <= _DRAINED * self._most:
                await drain(receive, _DRAINED * self._most)
            await problems.answer(413, self._message(declared))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most:
                if message.get("more_body", False):
                    await drain(receive, _DRAINED * self._most - received)
                raise BodyTooLarge(self._message(received))
            return message

        await self._app(scope, counted, send)

    def _message(self, found: int) -> str:
        return f"the body has {found} bytes or more; the limit is {self._most}"


def declared_length(scope: Scope) -> int:
    """The Content-Length; 0 where none is said."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    return int(declared) if declared.isdigit() else 0


async def drain(receive: Receive, most: int) -> None:
    """Read a body and throw it away, until its end, ``most`` bytes or a patience's end."""
    try:
        async with asyncio.timeout(_DRAIN_TIMEOUT_S):
            received = 0
            while received <= most:
                message = await receive()
                received += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


async def read_film(request: Request) -> bytes:
    """
    The film's bytes from a raw body or from the multipart field ``image``.

    Raises:
        BodyTooLarge: over the limit, declared or counted.
        BadForm: a form without a file in that field.
    """
    if not _is_form(request):
        return await request.body()
    return (await _films(request, most=1))[0]


async def read_films(request: Request, *, most: int) -> list[bytes]:
    """
    The films of a form, one a part ``image``, in its order.

    Raises:
        BodyTooLarge: over the limit for all of them, declared or counted.
        BadForm: no form, no film in it or more than ``most``.
    """
    if not _is_form(request):
        raise BadForm(f"expected multipart/form-data with 1 to {most} files in field {FIELD!r}")
    return await _films(request, most=most)


async def _films(request: Request, *, most: int) -> list[bytes]:
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=most, max_fields=_MOST_FIELDS
    )
    parser.spool_max_size = _SPOOLED_BYTES
    try:
        form = await parser.parse()
    except MultiPartException as cause:
        raise BadForm(f"the form can't be read: {cause.message}") from None
    try:
        parts = [part for part in form.getlist(FIELD) if isinstance(part, UploadFile)]
        if not parts:
            # Names of fields are not repeated: anything may stand in them.
            raise BadForm(f"the form has no file in field {FIELD!r}, in {len(form)} fields")
        return [await part.read() for part in parts]
    finally:
        await form.close()


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").lower()
    return kind.startswith("multipart/form-data")
