"""The folder that a job writes to at its end, asked for before minutes of work."""

import tempfile
from pathlib import Path


def ready(folder: Path) -> None:
    """
    Make a folder and see that files can be made in it.

    Raises:
        OSError: the system refuses; ``command.run`` tells a person which path, and why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
