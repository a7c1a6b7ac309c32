"""API keys: what is stored of them, and who sends one."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from lucency.config.node import Node
from lucency.config.serve import Rate, Role
from lucency.errors import ConfigError

from .watched import Watched

PREFIX = "lk_"
_SECRET_BYTES = 32


class Key(Node):
    """
    One line of the file. The key itself is not in it.

    SHA-256 without salt or stretching is enough, unlike for passwords: a key is 256 random bits,
    so there is no dictionary to try, and a slow hash would be paid in every request.

    Attributes:
        id: Who uses it, for the audit log; no secret and no name of a patient.
        sha256: Of the whole key as it is sent, prefix included.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    rate: Rate | None = None
    created: AwareDatetime | None = None
    expires: AwareDatetime | None = None

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= now


class Keyring:
    """The keys of a file that may change while the service runs."""

    def __init__(self, path: Path, *, every_s: float = 1.0) -> None:
        self._keys = Watched(path, parse, every_s=every_s)

    def owner(self, secret: bytes) -> Key | None:
        """Whose key this is; None for an unknown or expired one."""
        digest = digest_of(secret)
        found = None
        # Every line is compared, and in constant time: how long it takes says nothing.
        for key in self._keys.value():
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return None if found is None or found.expired(datetime.now(UTC)) else found


def generate() -> str:
    """A new key, 256 random bits."""
    return PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: bytes) -> str:
    """What is stored of a key."""
    return hashlib.sha256(secret).hexdigest()


def parse(data: bytes) -> tuple[Key, ...]:
    """
    The keys of a JSON-lines file; empty lines and those that begin with # are skipped.

    Raises:
        ConfigError: it names line and field but quotes no value, for a key put by mistake where
            its hash belongs must not reach a log.
    """
    keys = [
        _line(number, line)
        for number, line in enumerate(data.splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith(b"#")
    ]
    _refuse_twice("id", [key.id for key in keys])
    _refuse_twice("sha256", [key.sha256 for key in keys])
    return tuple(keys)


def _line(number: int, line: bytes) -> Key:
    try:
        return Key.model_validate_json(line)
    except ValidationError as cause:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'][:1])) or 'line'}: {each['msg']}"
            for each in cause.errors(include_input=False, include_url=False)
        )
    raise ConfigError(f"line {number}: {wrong}")


def _refuse_twice(field: str, values: Sequence[str]) -> None:
    if len(set(values)) < len(values):
        raise ConfigError(f"two keys have the same {field}; each needs its own")
