"""The settings that importing ``lucency.environment`` makes, and those it leaves alone."""

import json
import subprocess
import sys

from lucency import environment

CODE = "import lucency.environment, json, os; print(json.dumps(dict(os.environ)))"


def imported(**given: str) -> dict[str, str]:
    """The environment of a fresh process after the import; it starts with ``given`` alone."""
    paths = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=paths | given,
        capture_output=True,
        text=True,
        check=True,
    )
    environment: dict[str, str] = json.loads(done.stdout)
    return environment


def test_own_cluster_gets_a_token() -> None:
    """Where nothing is set, Ray asks for a token of 256 bits that only this process tree knows."""
    one, other = imported(), imported()

    assert one["RAY_AUTH_MODE"] == "token"
    assert len(bytes.fromhex(one["RAY_AUTH_TOKEN"])) == 32
    assert one["RAY_AUTH_TOKEN"] != other["RAY_AUTH_TOKEN"]


def test_given_token_is_kept() -> None:
    """A token that a parent process passed on is the one that is used."""
    assert imported(RAY_AUTH_TOKEN="mine")["RAY_AUTH_TOKEN"] == "mine"


def test_foreign_cluster_is_left_alone() -> None:
    """With an address, the mode is the cluster's own business."""
    environment = imported(RAY_ADDRESS="ray://head:10001")

    assert "RAY_AUTH_MODE" not in environment
    assert "RAY_AUTH_TOKEN" not in environment


def test_chosen_mode_is_left_alone() -> None:
    """With a mode of the user's, no token is made up."""
    environment = imported(RAY_AUTH_MODE="disabled")

    assert environment["RAY_AUTH_MODE"] == "disabled"
    assert "RAY_AUTH_TOKEN" not in environment


def test_nothing_calls_home() -> None:
    """Usage statistics, update checks and model hubs are off unless a person set them."""
    environment = imported(HF_HUB_OFFLINE="0")

    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert environment["NO_ALBUMENTATIONS_UPDATE"] == "1"
    assert environment["HF_HUB_OFFLINE"] == "0"


def test_versions_name_what_decides_an_answer() -> None:
    """Decoder, runtime and array library are there, each with a version."""
    found = environment.versions()

    assert {"python", "pillow", "opencv-python-headless", "onnxruntime", "numpy"} <= set(found)
    assert all(found.values())
