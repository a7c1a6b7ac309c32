"""Bearer tokens: what counts, and every known way to forge one."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from lucency.config.serve import Tokens
from serve.problems import Unauthenticated
from serve.tokens import TokenCheck

ISSUER = "https://id.example"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
PEM = {
    name: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, key in KEYS.items()
}


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a good token, changed; None leaves one out."""
    good = {
        "iss": ISSUER,
        "aud": "lucency",
        "sub": "nurse@ward.example",
        "exp": int(time.time()) + 300,
        "roles": ["predict", "admin"],
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def signed(algorithm: str = "RS256", kid: str | None = None, **changes: Any) -> str:
    """A token of the issuer."""
    headers = {"kid": kid} if kid else None
    return jwt.encode(claims(**changes), KEYS[algorithm], algorithm, headers)


def check(folder: Path, algorithm: str = "RS256", **settings: Any) -> TokenCheck:
    """A check with the public key of that algorithm, from a PEM file."""
    file = folder / "key.pem"
    file.write_bytes(PEM[algorithm])
    values = {"issuer": ISSUER, "audience": "lucency", "jwks": str(file), **settings}
    return TokenCheck(Tokens.from_mapping(values, "tokens"))


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_token_of_the_issuer_counts(tmp_path: Path, algorithm: str) -> None:
    """Signed with the issuer's key by an allowed algorithm, it names a caller and known roles."""
    checked = check(tmp_path, algorithm, subject="plain")

    found = asyncio.run(checked.subject(signed(algorithm)))

    assert found == ("nurse@ward.example", frozenset({"predict"}))


def test_caller_is_a_hash_unless_told_otherwise(tmp_path: Path) -> None:
    """The name is the same each time, another for another subject, and nobody's address."""
    checked = check(tmp_path)

    first, again, other = (
        asyncio.run(checked.subject(signed(sub=subject)))[0] for subject in ("a@b", "a@b", "c@b")
    )

    assert first == again != other
    assert first == hashlib.sha256(b"https://id.example\na@b").hexdigest()[:16]


def _unsigned(header: dict[str, Any]) -> str:
    parts = (json.dumps(each).encode() for each in (header, claims()))
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts).decode()


def _with_public_key_as_secret() -> str:
    unsigned = _unsigned({"alg": "HS256", "typ": "JWT"})
    digest = hmac.new(PEM["RS256"], unsigned.encode(), "sha256").digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _with_a_key_of_its_own() -> str:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = RSAAlgorithm.to_jwk(own.public_key(), as_dict=True)
    return jwt.encode(claims(), own, "RS256", {"jwk": jwk, "jku": "https://evil.example/keys"})


def _changed() -> str:
    head, _, signature = signed().split(".")
    body = json.dumps(claims(roles=["operate"])).encode()
    return f"{head}.{base64.urlsafe_b64encode(body).rstrip(b'=').decode()}.{signature}"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (lambda: _unsigned({"alg": "none"}) + ".", "InvalidAlgorithmError"),
        (_with_public_key_as_secret, "InvalidAlgorithmError"),
        (_with_a_key_of_its_own, "InvalidSignatureError"),
        (_changed, "InvalidSignatureError"),
        (lambda: jwt.encode(claims(), KEYS["RS256"], "RS512"), "InvalidAlgorithmError"),
        (lambda: signed("ES256"), "InvalidAlgorithmError"),
        (lambda: signed(exp=int(time.time()) - 60), "the token has expired"),
        (lambda: signed(nbf=int(time.time()) + 90), "ImmatureSignatureError"),
        (lambda: signed(aud="another"), "InvalidAudienceError"),
        (lambda: signed(iss="https://id.example/"), "InvalidIssuerError"),
        (lambda: signed(exp=None), "MissingRequiredClaimError"),
        (lambda: signed(aud=None), "MissingRequiredClaimError"),
        (lambda: signed(iss=None), "MissingRequiredClaimError"),
        (lambda: signed(sub=None), "MissingRequiredClaimError"),
        (lambda: "", "neither a key nor a token"),
        (lambda: "a.b.c", "neither a key nor a token"),
        (lambda: "ä.b.c", "neither a key nor a token"),
    ],
)
def test_forged_or_foreign_token_is_refused(
    tmp_path: Path, token: Callable[[], str], said: str
) -> None:
    """No signature, another's, one by a public key, another time, audience or issuer: refused."""
    checked = check(tmp_path)

    with pytest.raises(Unauthenticated, match=said) as caught:
        asyncio.run(checked.subject(token()))

    assert "nurse" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "sent", "roles"),
    [
        ("scope", {"scope": "openid label predict"}, {"label", "predict"}),
        ("realm_access.roles", {"realm_access": {"roles": ["operate"]}}, {"operate"}),
        ("https://lucency.example/roles", {"https://lucency.example/roles": ["label"]}, {"label"}),
        ("roles", {"roles": {"predict": True}}, set()),
        ("roles", {"roles": "predictor"}, set()),
        ("roles.deep", {"roles": ["predict"]}, set()),
        ("groups", {}, set()),
    ],
)
def test_roles_are_where_the_provider_puts_them(
    tmp_path: Path, path: str, sent: dict[str, Any], roles: set[str]
) -> None:
    """As a list, as words, or deep in objects; what is something else gives no role."""
    checked = check(tmp_path, roles_claim=path)

    assert asyncio.run(checked.subject(signed(**sent)))[1] == roles
