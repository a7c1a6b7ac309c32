"""The bodies on the wire: the same words on both sides, and no platform behind them."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

from lucency import wire
from lucency.bundle.quality import Warned
from lucency.evaluation.conformal import Reason

ROOT = Path(__file__).parent.parent.parent


def test_reasons_and_warnings_are_the_platforms() -> None:
    """What a model may say is what a client may read."""
    assert set(get_args(wire.Reason)) == set(get_args(Reason))
    assert set(get_args(wire.Warned)) == set(get_args(Warned))


def test_client_brings_nothing_along() -> None:
    """Neither arrays nor runtimes nor Ray are loaded for a program that only asks."""
    code = (
        "import sys, lucency.client; "
        "print({'numpy', 'cv2', 'ray', 'torch', 'onnxruntime', 'fastapi'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "platform"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "set()"


def test_service_needs_no_client() -> None:
    """The bodies are written without the client's HTTP library."""
    code = "import sys, lucency.wire; print('httpx' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "platform"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "False"


def test_answer_of_a_newer_service_is_read() -> None:
    """Members that this version does not know are no error."""
    name = wire.ModelName.model_validate({"name": "a", "version": "b", "new": 1})

    assert name.name == "a"
