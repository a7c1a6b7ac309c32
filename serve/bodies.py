"""Limits while a request's body is read."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import problems
from .problems import BodyTooLarge

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
