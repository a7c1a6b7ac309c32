"""The public keys of a token's issuer: from a file or behind https, read again as they change."""

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from lucency.config.serve import Tokens
from lucency.errors import ConfigError

from .problems import KeysUnreachable
from .watched import Watched

# None that takes a shared secret: with one, a public key would do to sign.
ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
_MIN_RSA_BITS = 2048
_FETCH_TIMEOUT_S = 5.0
# Between two fetches for the sake of an unknown key, which anyone can name.
_COOLDOWN_S = 30.0

PublicKeys = tuple[jwt.PyJWK, ...]
_log = logging.getLogger(__name__)


class Issuer(Protocol):
    """Where an issuer's keys come from."""

    async def current(self) -> PublicKeys:
        """The keys, not older than the configuration allows."""

    async def newer(self) -> PublicKeys:
        """The same, asked for because a token names a key that is not among them."""


def issuer(config: Tokens) -> Issuer:
    """
    The source that a configuration names.

    Raises:
        ConfigError: the file can't be used. An address is first asked when a token comes.
    """
    if config.jwks.startswith("https://"):
        return _Address(config.jwks, config.refresh_s)
    return _File(Path(config.jwks))


class _File:
    """Keys of a file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._watched = Watched(path, public_keys)

    async def current(self) -> PublicKeys:
        return self._watched.value()

    async def newer(self) -> PublicKeys:
        return self._watched.value()


class _Address:
    """Keys behind https: fetched when they are old, kept when a fetch fails."""

    def __init__(self, url: str, refresh_s: float) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=_FETCH_TIMEOUT_S)
        self._refresh_s = refresh_s
        self._keys: PublicKeys = ()
        self._asked = -float("inf")
        self._lock = asyncio.Lock()

    async def current(self) -> PublicKeys:
        return await self._not_older_than(self._refresh_s)

    async def newer(self) -> PublicKeys:
        return await self._not_older_than(_COOLDOWN_S)

    async def _not_older_than(self, seconds: float) -> PublicKeys:
        async with self._lock:  # one fetch, however many wait for it
            # Without any keys a service would stay deaf for the whole time: ask sooner.
            if time.monotonic() - self._asked > (seconds if self._keys else _FETCH_TIMEOUT_S):
                self._asked = time.monotonic()
                await self._fetch()
        if not self._keys:
            raise KeysUnreachable(
                "the keys of the token's issuer can't be fetched; try again", {"Retry-After": "5"}
            )
        return self._keys

    async def _fetch(self) -> None:
        try:
            found = await asyncio.to_thread(self._client.fetch_data)
            self._keys = public_keys(json.dumps(found).encode())
        except (jwt.PyJWTError, OSError, ValueError, ConfigError) as error:
            _log.error("no keys from %s: %s", self._client.uri, error)


def public_keys(data: bytes) -> PublicKeys:
    """
    Keys of a JWKS, or the one of a PEM file.

    Raises:
        ConfigError: it is neither, or holds no key that may sign here.
    """
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            entries = [_entry_of_pem(data)]
        else:
            entries = json.loads(data)["keys"]
        usable = tuple(key for entry in entries if (key := _key(entry)) is not None)
    except (ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm) as cause:
        raise ConfigError(
            f"neither a JWKS nor a public key in PEM ({type(cause).__name__})"
        ) from None
    if not usable:
        raise ConfigError(
            f"found no key for {sorted(ALGORITHMS)}, RSA from {_MIN_RSA_BITS} bits: such a one is "
            "needed to check tokens"
        )
    return usable


def _entry_of_pem(data: bytes) -> dict[str, Any]:
    key = load_pem_public_key(data)
    if isinstance(key, RSAPublicKey):
        return RSAAlgorithm.to_jwk(key, as_dict=True)
    if isinstance(key, EllipticCurvePublicKey):
        return ECAlgorithm.to_jwk(key, as_dict=True)
    if isinstance(key, Ed25519PublicKey):
        return OKPAlgorithm.to_jwk(key, as_dict=True)
    raise ValueError(type(key).__name__)


def _key(entry: dict[str, Any]) -> jwt.PyJWK | None:
    """The entry as a key; None for one that may not sign here, which other services may need."""
    if entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK.from_dict(entry)
    except jwt.PyJWTError:
        return None
    weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < _MIN_RSA_BITS
    return key if key.algorithm_name in ALGORITHMS and not weak else None
