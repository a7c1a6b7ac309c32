"""What the decoder's two processes send each other: JSON, then bytes. Nothing is ever unpickled."""

import json
import struct
from typing import IO, Any

_START = struct.Struct(">IQ")


def send(stream: IO[bytes], head: dict[str, Any], body: bytes) -> None:
    """Write one message."""
    text = json.dumps(head).encode()
    stream.write(_START.pack(len(text), len(body)) + text)
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Read one message; None where the stream ends before its end."""
    start = stream.read(_START.size)
    if len(start) < _START.size:
        return None
    text_bytes, body_bytes = _START.unpack(start)
    text, body = stream.read(text_bytes), stream.read(body_bytes)
    if len(text) < text_bytes or len(body) < body_bytes:
        return None
    return json.loads(text), body
