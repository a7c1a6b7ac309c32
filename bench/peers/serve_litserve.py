"""The same in LitServe: python serve_litserve.py PORT WORKERS"""

import sys
from typing import Any

import litserve
from fastapi import Request
from serve_loop import Loop


class Api(litserve.LitAPI):
    """A JPEG in the form's field ``image``; LitServe takes forms and JSON, nothing raw."""

    def setup(self, device: str) -> None:
        """Once a worker."""
        self._loop = Loop()

    def decode_request(self, request: Request) -> bytes:
        """The film."""
        return request["image"].file.read()

    def predict(self, x: bytes) -> float:
        """The answer."""
        return self._loop(x)

    def encode_response(self, output: float) -> dict[str, Any]:
        """What is sent."""
        return {"logit": output}


if __name__ == "__main__":
    port, workers = map(int, sys.argv[1:])
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=workers)
    server.run(port=port, host="127.0.0.1", log_level="warning", generate_client_file=False)
