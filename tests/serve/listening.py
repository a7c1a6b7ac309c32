"""The application behind uvicorn, in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from tests.processes import free_port, wait_until


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """Its address, ``127.0.0.1:PORT``, inside the block."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, 30, "uvicorn")
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
