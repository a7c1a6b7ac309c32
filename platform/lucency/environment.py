"""
Settings that libraries read from the environment while they are imported.

Importing this module makes them, so it stands first in whatever starts a process. What a
person has set already is left alone.
"""

import getpass
import importlib.metadata
import os
import platform
import secrets

_DEFAULTS = {
    # Nothing calls home, nothing is downloaded.
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "true",
    # It writes a device's id under the home folder while it is imported.
    "ORT_DISABLE_TELEMETRY": "1",
    # A report waits for the controller's next look; at the default of 2 s a short epoch waits
    # longer than it trains.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # How long elastic workers are waited for on a node that died and is not known to have: at the
    # default of 60 s a run stands still for more than a minute.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "15",
    # A worker without a GPU would otherwise be warned about in every process.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_DECIDING = (
    "lucency",
    "torch",
    "onnxruntime",
    "openvino",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "ray",
)


def prepare() -> None:
    """Fill in what is not set; a cluster of our own gets a token that only its processes know."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    # Ray's ports listen on all interfaces, whatever address it is given.
    if "RAY_ADDRESS" not in os.environ and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def user() -> str:
    """Who runs this, for records; a container may run as a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def versions() -> dict[str, str]:
    """Of what decides how bytes become a number."""
    found = {"python": platform.python_version()}
    for package in _DECIDING:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            # A cluster gets lucency as py_modules; others are optional.
            found[package] = "from source" if package == "lucency" else "not installed"
    return found


prepare()
