"""
The secret of the logs: hashes of films and of readers' names, and the chains of the journals.

A plain SHA-256 of a film would tell whoever has the film that it was sent; under a key it tells
only the key's holder.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from lucency.errors import ConfigError

VARIABLE = "LUCENCY_LOG_KEY"
FILE = ".key"
_MIN_BYTES = 16
_DIGITS = 20


class Key:
    """
    One secret, and a key of its own derived from it for each use.

    Args:
        secret: At least 16 bytes that nobody can guess.

    Raises:
        ConfigError: it is shorter.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _MIN_BYTES:
            raise ConfigError(
                f"the key of the logs has {len(secret)} bytes, expected {_MIN_BYTES} or more; make "
                "one with python -c 'import secrets; print(secrets.token_hex())'"
            )
        self._film = _derived(secret, "film")
        self._name = _derived(secret, "name")
        self.chain = _derived(secret, "chain")
        self.id = _derived(secret, "id").hex()[:8]

    def __repr__(self) -> str:
        return f"Key({self.id})"

    def film(self, data: bytes) -> str:
        """The same for the same bytes, 64 hexadecimal digits; says nothing without the key."""
        return hmac.digest(self._film, data, hashlib.sha256).hex()

    def name(self, kind: str, text: str) -> str:
        """``kind`` and 80 bits in place of a name; spaces around it and letter case don't count."""
        data = f"{kind}\0{text.strip().casefold()}".encode("utf-8", "surrogateescape")
        return f"{kind}-{hmac.digest(self._name, data, hashlib.sha256).hex()[:_DIGITS]}"


def load(folder: Path, file: Path | None = None, *, make: bool = True) -> Key:
    """
    The key of LUCENCY_LOG_KEY, else of ``file``, else of a file in the logs' own folder.

    The last is convenient and the weakest: who may write the logs may read it too. Replicas that
    start together on a shared folder all get the one that was made first.

    Args:
        make: Make the file where there is none; one who only reads must not.

    Raises:
        ConfigError: there is none, it is too short, or its file can't be read or made.
    """
    if secret := os.environ.get(VARIABLE):
        return Key(secret.encode())
    path = file or folder / FILE
    try:
        if make and not path.exists():
            _make(path)
        return Key(path.read_bytes().strip())
    except OSError as cause:
        raise ConfigError(
            f"the logs' key {str(path)!r} can't be had ({cause.strerror}): set {VARIABLE}, or give "
            "the file of the service that wrote them"
        ) from cause


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_hex(32) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            # A link, not a rename: it fails where another was first, and appears whole.
            os.link(name, path)
        except FileExistsError:
            return
    finally:
        os.unlink(name)


def _derived(secret: bytes, use: str) -> bytes:
    return hmac.digest(secret, f"lucency log {use}".encode(), hashlib.sha256)
