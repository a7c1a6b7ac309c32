"""
Names that say nothing: the same for the same patient under one key, unlinkable under another.

HMAC-SHA256. A plain hash would not do, since the numbers of a hospital can all be tried.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from lucency import progress
from lucency.errors import DataError

VARIABLE = "LUCENCY_DICOM_KEY"
_MIN_CHARACTERS = 16
_DIGITS = 20


class Salt:
    """
    A secret key, and the names that it gives.

    Args:
        key: At least 16 bytes that nobody can guess.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < _MIN_CHARACTERS:
            raise DataError(
                f"the key for patients' names has {len(key)} bytes, expected {_MIN_CHARACTERS} or "
                "more; make one with python -c 'import secrets; print(secrets.token_hex())'"
            )
        self._key = key

    def __repr__(self) -> str:
        return "Salt(...)"

    def name(self, kind: str, text: str) -> str:
        """``kind`` and 80 bits; spaces around and letter case of the text make no difference."""
        digest = self._digest(kind, text.strip(" \0").casefold())
        return f"{kind}-{digest.hex()[:_DIGITS]}"

    def uid(self, uid: str) -> str:
        """A UID in the place of another, always the same one (PS3.5 B.2: below 2.25)."""
        digest = self._digest("uid", uid.strip(" \0"))
        return f"2.25.{int.from_bytes(digest[:16])}"

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.digest(
            self._key, f"{kind}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256
        )


def load(key_file: Path | None) -> Salt:
    """
    The key of the environment variable LUCENCY_DICOM_KEY, else of the file, made if absent.

    Raises:
        DataError: there is neither, or the key is too short to be secret.
    """
    if key := os.environ.get(VARIABLE):
        return Salt(key.encode())
    if key_file is None:
        raise DataError(
            f"patients' names need a secret key: set {VARIABLE}, or give key_file a path outside "
            "of the data set, where a key is made at first use"
        )
    if not key_file.exists():
        _make(key_file)
    try:
        return Salt(key_file.read_bytes().strip())
    except OSError as cause:
        raise DataError(f"key file {str(key_file)!r} can't be read ({cause.strerror})") from cause


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return  # another process was first
    except OSError as cause:
        raise DataError(f"key file {str(path)!r} can't be made ({cause.strerror})") from cause
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secrets.token_hex(32) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    progress.say(
        f"made a new key in {path}: keep it, and keep it secret. Only with it does the same "
        "patient get the same name again"
    )
