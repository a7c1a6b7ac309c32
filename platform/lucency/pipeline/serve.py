"""Champion -> HTTP, on the Ray cluster at hand, and one prediction through it as a client."""

import importlib
import json
import logging
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray import serve

from lucency import cluster, files
from lucency.config.pipeline import Deployment
from lucency.config.serve import Access, ServeConfig
from lucency.errors import ClusterError, ConfigError

APPLICATION = "lucency"
_ANSWER_TIMEOUT_S = 30.0


@contextmanager
def serving(deployment: Deployment, store: Path) -> Iterator[str]:
    """
    The store's champion answers at the URL inside the block.

    Raises:
        ClusterError: the port is taken by another program.
        ConfigError: ``deployment.app`` can't be imported.
    """
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    with cluster.connected():
        alone = not _serves()
        if alone:
            refuse_taken_port(deployment.host, deployment.port)
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": deployment.host, "port": deployment.port},
            logging_config={"log_level": "ERROR", "enable_access_log": False},
        )
        config = ServeConfig(
            store=store.absolute(),
            access=Access(open=True),  # on loopback alone, as Deployment makes sure of
            **{
                key: getattr(deployment.service, key)
                for key in type(deployment.service).model_fields
            },
        )
        application = _builder(deployment.app)(config)
        try:
            serve.run(application, name=APPLICATION, route_prefix="/")
        except RuntimeError as cause:
            last = str(cause).strip().splitlines()[-1]
            raise ClusterError(f"the application did not start: {last}") from cause
        url = f"http://{deployment.host}:{deployment.port}"
        try:
            _wait_until_ready(url)
            yield url
        finally:
            if not deployment.keep:
                serve.delete(APPLICATION)
            # A cluster of our own ends with us anyway; elsewhere Serve must not stay for nothing,
            # and what was there before us must.
            if not deployment.keep and alone and cluster.shared():
                serve.shutdown()


def try_out(url: str, film: bytes, folder: Path) -> dict[str, Any]:
    """
    Send one film as a client would; the answer, and the path of its heat map or None where the
    network has none.
    """
    answer: dict[str, Any] = json.loads(_post(f"{url}/v1/predict", film))
    heat_map = folder / "heat_map.png"
    explains = json.loads(_send(urllib.request.Request(f"{url}/v1/model")))["explains"]
    if explains:
        with files.atomic_file(heat_map) as temporary:
            temporary.write_bytes(_post(f"{url}/v1/explain", film))
    # Last: who waits for this file finds the other one.
    with files.atomic_file(folder / "film.jpeg") as temporary:
        temporary.write_bytes(film)
    return {"answer": answer, "heat_map": str(heat_map) if explains else None}


def refuse_taken_port(host: str, port: int) -> None:
    """
    Raises:
        ClusterError: something listens there already.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as cause:
            raise ClusterError(
                f"port {port} on {host} is in use ({cause.strerror}): stop what listens there, or "
                "choose another with serve.port=PORT"
            ) from cause


def _post(url: str, body: bytes) -> bytes:
    return _send(urllib.request.Request(url, body, {"Content-Type": "application/octet-stream"}))


def _send(request: urllib.request.Request) -> bytes:
    # A proxy in the environment must not stand between us and this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_ANSWER_TIMEOUT_S) as response:
        content: bytes = response.read()
    return content


def _wait_until_ready(url: str) -> None:
    end = time.monotonic() + _ANSWER_TIMEOUT_S
    while True:
        try:
            _send(urllib.request.Request(f"{url}/readyz"))
        except OSError as cause:
            if time.monotonic() > end:
                raise ClusterError(
                    f"{url}/readyz does not answer ({cause}). A cluster that serves already keeps "
                    "the port it was started with: give that one with serve.port=PORT"
                ) from cause
            time.sleep(0.2)
        else:
            return


def _serves() -> bool:
    """True when this cluster serves already: then the port is taken by its own proxy."""
    return bool(serve.status().proxies)


def _builder(path: str) -> Any:
    module, _, name = path.partition(":")
    # The application lies at the root of the checkout, beside jobs/.
    root = str(Path.cwd())
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as cause:
        raise ConfigError(f"serve.app: {path!r} can't be imported ({cause})") from cause
