"""Published files: where they lie, and whether they are the bytes that were published."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from lucency.errors import DataError


def folder(root: Path, names: Iterable[str], *, below: str) -> Path:
    """
    The folder that holds the files: ``root`` itself, or ``below`` in it.

    Raises:
        DataError: neither holds any of them; what is there is named.
    """
    expected = sorted(names)
    if not root.is_dir():
        raise DataError(f"folder {str(root)!r} does not exist; give the one with {expected}")
    for candidate in (root, root / below):
        if any((candidate / name).is_file() for name in expected):
            return candidate
    found = sorted(path.name for path in root.iterdir())[:6]
    raise DataError(f"folder {str(root)!r} holds {found}; expected {expected}, here or in {below}/")


def read(path: Path, md5: str | None) -> bytes:
    """
    The bytes of a file.

    Args:
        md5: What the published file has; None takes whatever is there.

    Raises:
        DataError: the file is missing, or is not the published one.
    """
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise DataError(f"{str(path)!r} can't be read ({cause.strerror}): fetch it") from cause
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5 is not None and found != md5:
        raise DataError(
            f"{str(path)!r} has MD5 {found!r}, the published file has {md5!r}. It is damaged or "
            "of another set: fetch it again, or set verify to false if you made it on purpose"
        )
    return data
