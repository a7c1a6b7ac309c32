"""Bearer tokens of an identity provider (OIDC): who sends one, checked with its public keys."""

import hashlib
from collections.abc import Mapping
from typing import Any, get_args

import jwt

from lucency.config.serve import Role, Tokens

from .issuer import PublicKeys, issuer
from .problems import Unauthenticated

_LEEWAY_S = 30


class TokenCheck:
    """
    Says whose token it is, or refuses it.

    Raises:
        ConfigError: the file of the issuer's keys can't be used.
    """

    def __init__(self, config: Tokens) -> None:
        self._config = config
        self._issuer = issuer(config)

    async def subject(self, token: str) -> tuple[str, frozenset[Role]]:
        """
        The caller's name and roles.

        Raises:
            Unauthenticated: no token of that issuer for this audience, or not now.
            KeysUnreachable: the issuer's keys were never fetched.
        """
        try:
            named = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError:
            raise Unauthenticated("the bearer credential is neither a key nor a token") from None
        key = _chosen(await self._issuer.current(), named)
        if key is None:
            key = _chosen(await self._issuer.newer(), named)
        if key is None:
            raise Unauthenticated("the token is signed with a key that its issuer does not list")
        claims = self._claims(token, key)
        return self._name(claims["sub"]), _roles(claims, self._config.roles_claim)

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],  # of the key: the token's word is not taken for it
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired") from None
        except jwt.PyJWTError as cause:
            # The class alone: messages may quote claims.
            raise Unauthenticated(f"the token is refused ({type(cause).__name__})") from None

    def _name(self, subject: str) -> str:
        if self._config.subject == "plain":
            return subject
        # With the issuer, for two may give out the same subject.
        return hashlib.sha256(f"{self._config.issuer}\n{subject}".encode()).hexdigest()[:16]


def _chosen(keys: PublicKeys, named: str | None) -> jwt.PyJWK | None:
    """The key of that name; a lone key without a name signs every token."""
    if len(keys) == 1 and keys[0].key_id is None:
        return keys[0]
    return next((key for key in keys if named is not None and key.key_id == named), None)


def _roles(claims: Mapping[str, Any], path: str) -> frozenset[Role]:
    found: Any = claims.get(path)  # whole first: a name may be an address with dots
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    words = found.split() if isinstance(found, str) else found
    named = words if isinstance(words, list) else []
    return frozenset(role for role in get_args(Role) if role in named)
