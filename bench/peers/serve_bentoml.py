"""The same in BentoML: bentoml serve serve_bentoml:Films"""

import os
from pathlib import Path

import bentoml
from serve_loop import Loop


@bentoml.service(workers=int(os.environ.get("BENCH_WORKERS", "1")), metrics={"enabled": False})
class Films:
    """A JPEG in the form's field ``image``."""

    def __init__(self) -> None:
        self._loop = Loop()

    @bentoml.api
    def predict(self, image: Path) -> dict[str, float]:
        """BentoML hands files over on disk."""
        return {"logit": self._loop(image.read_bytes())}
