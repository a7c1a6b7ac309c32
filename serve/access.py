"""
Who may do what: callers by key or token, rates by caller, roles by path (``roles.py``).

All is decided from the request's head, before a byte of the body is read.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from starlette.types import ASGIApp, Receive, Scope, Send

from lucency.config.serve import Access, Role, is_loopback
from lucency.errors import ConfigError

from . import bodies, keyring, problems
from .keyring import Keyring
from .problems import Forbidden, Refused, TooOften, Unauthenticated
from .rates import Rates
from .roles import need_of, path_of
from .tokens import TokenCheck

KEYS_VARIABLE = "LUCENCY_API_KEYS"
_REALM = 'Bearer realm="lucency"'
# Of a refused request's body, thrown away so that the refusal arrives.
_DRAINED_BYTES = 32 * 2**20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """
    Who calls; ``scope["state"]["caller"]`` holds it for what comes after, as the audit log.

    Attributes:
        id: ``key:<its id>``, ``token:<subject, hashed or plain>`` or ``anyone``; never a secret.
        rate: Of this caller alone; null for the service's.
    """

    id: str
    roles: frozenset[Role]
    rate: str | None = None


class Guard:
    """
    Admits a request, or refuses it.

    Raises:
        ConfigError: nobody could ever call, or a file of keys can't be used.
    """

    def __init__(self, config: Access, environment: Mapping[str, str] = os.environ) -> None:
        file = config.keys or environment.get(KEYS_VARIABLE)
        self._open = config.open
        self._rate = config.rate
        self._keys = Keyring(Path(file)) if file and not config.open else None
        self._tokens = TokenCheck(config.tokens) if config.tokens else None
        self._rates = Rates(config.rates_storage)
        if not (self._open or self._keys or self._tokens):
            raise ConfigError(
                f"nobody may call: found neither access.keys (or {KEYS_VARIABLE}) nor "
                "access.tokens. Make a key with `python -m serve.keys new`, or, for a service on "
                "loopback alone, set access: {open: true}"
            )

    async def admit(self, scope: Scope) -> Caller | None:
        """
        Who calls; None for a path that is open to all.

        Raises:
            Refused: which of its kinds says why.
        """
        needed = need_of(path_of(scope))
        if needed == "nobody":
            return None
        if self._open:
            _refuse_strangers(scope)
            return Caller("anyone", frozenset(get_args(Role)))
        caller = await self._caller(_credential(scope))
        # Before the role: knocking at closed doors counts as well.
        if over := await self._rates.exceeded(caller.id, caller.rate or self._rate):
            raise TooOften(
                f"more than {over.calls} requests in {over.window_s} s; "
                f"try again in {over.retry_after_s} s",
                over.headers(),
            )
        if needed is not None and needed not in caller.roles:
            raise Forbidden(
                f"this path needs the role {needed!r}, the caller has {sorted(caller.roles)}",
                {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{needed}"'},
            )
        return caller

    async def _caller(self, credential: str) -> Caller:
        if credential.startswith(keyring.PREFIX):
            key = self._keys.owner(credential.encode("latin-1")) if self._keys else None
            if key is None:
                raise Unauthenticated("the key is unknown, revoked or expired")
            return Caller(f"key:{key.id}", frozenset(key.roles), key.rate)
        if self._tokens is None:
            raise Unauthenticated("the credential is no key of this service")
        subject, roles = await self._tokens.subject(credential)
        return Caller(f"token:{subject}", roles)


class Guarded:
    """Lets through what the guard admits."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no route speaks anything else: what nobody checks is shut
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            caller = await self._guard.admit(scope)
        except Refused as refusal:
            await _refuse(refusal, scope, receive, send)
            return
        if caller is not None:
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


async def _refuse(refusal: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    _log.info("refused %d: %s", problems.status_of(refusal), refusal)
    if bodies.declared_length(scope) <= _DRAINED_BYTES:
        await bodies.drain(receive, _DRAINED_BYTES)
    if isinstance(refusal, Unauthenticated):
        refusal.headers.setdefault("WWW-Authenticate", _REALM)
    await problems.refusal(refusal)(scope, receive, send)


def _credential(scope: Scope) -> str:
    """The one key or token that the head holds; two would leave open whose request it is."""
    found: list[str] = []
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            found.append(value.decode("latin-1").strip())
        elif name == b"authorization":
            scheme, _, rest = value.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthenticated("the scheme of Authorization must be Bearer")
            found.append(rest.strip())
    if len(found) != 1:
        raise Unauthenticated(
            f"found {len(found)} credentials, expected one: Authorization: Bearer KEY_OR_TOKEN, "
            "or X-API-Key: KEY"
        )
    return found[0]


def _refuse_strangers(scope: Scope) -> None:
    """
    An open service answers this machine's own programs, not a page that its browser shows.

    A name that was made to point to loopback (DNS rebinding) and a form sent from another site
    reach the port as well, and both say so.
    """
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1")
    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    if not is_loopback(name.strip("[]")):
        raise Forbidden(
            f"a service with access.open answers on loopback alone, this request is for {host!r}: "
            "give it keys"
        )
    if headers.get(b"sec-fetch-site") == b"cross-site":
        raise Forbidden("another site's page may not call a service with access.open")
