"""
Ours on uvicorn alone, for ``serving.py``: what is left of a request's cost without Ray Serve.

    BENCH_OURS=CONFIG.json uvicorn --app-dir bench serving_asgi:app

CONFIG.json holds the arguments that ``serve/app.py:build`` takes.
"""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry

from lucency.bundle.predictor import Predictor
from lucency.config.serve import ServeConfig
from lucency.store.store import Store
from serve import ingress
from serve.access import Guard
from serve.classifier import Classifier
from serve.exporters import PlainBackend
from serve.live import Live
from serve.recorder import Recorder
from serve.telemetry import Telemetry

_config = ServeConfig.from_file(Path(os.environ["BENCH_OURS"]))
_predictor = Predictor(
    Store(_config.store).path(_config.alias), threads=_config.threads, variant=_config.variant
)
_registry = CollectorRegistry()
_telemetry = Telemetry(PlainBackend(_registry), _predictor.artifact.version)
_live = Live(
    Classifier(_predictor, _telemetry, threads=_config.threads, drift_window=_config.drift_window)
)
app = ingress.create(
    _live,
    max_body_bytes=_config.max_body_bytes,
    guard=Guard(_config.access),
    hsts_s=_config.access.hsts_s,
    recorder=Recorder(_live, _config.logs),
    registry=_registry,
)
