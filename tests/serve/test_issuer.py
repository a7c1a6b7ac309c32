"""Where the keys of a token's issuer come from: files, and an address behind real https."""

import asyncio
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from lucency.config.serve import Tokens
from lucency.errors import ConfigError
from serve import issuer
from serve.problems import KeysUnreachable, Unauthenticated
from serve.tokens import TokenCheck
from tests.serve.test_tokens import ISSUER, KEYS, PEM, signed


def entry(algorithm: str, kid: str, **more: Any) -> dict[str, Any]:
    """A line of a JWKS."""
    makers: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm}
    public = KEYS[algorithm].public_key()
    return {**makers[algorithm].to_jwk(public, as_dict=True), "kid": kid, **more}


def jwks(*entries: dict[str, Any]) -> bytes:
    """A JWKS document."""
    return json.dumps({"keys": entries}).encode()


def certificate(folder: Path) -> Path:
    """Certificate and key of 127.0.0.1, signed by itself, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "certificate.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return file


class Provider:
    """An identity provider's key address: what it answers, and how often it was asked."""

    def __init__(self) -> None:
        self.document: bytes | None = None
        self.asked = 0
        self.url = ""


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A server that speaks https on loopback, whose certificate this process trusts."""
    state = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            self.send_response(200 if state.document is not None else 500)
            self.end_headers()
            self.wfile.write(state.document or b"")

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    state.url = f"https://127.0.0.1:{server.server_port}/keys"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def check(source: str) -> TokenCheck:
    """A check that takes keys from there."""
    return TokenCheck(Tokens(issuer=ISSUER, audience="lucency", jwks=source))


async def _tried(checked: TokenCheck, *tokens: str) -> list[str]:
    found = []
    for token in tokens:
        try:
            await checked.subject(token)
            found.append("in")
        except (Unauthenticated, KeysUnreachable) as refusal:
            found.append(str(refusal))
    return found


def test_key_is_chosen_by_its_name(tmp_path: Path) -> None:
    """Of several keys the token's kid says which; an unknown or missing kid is refused."""
    file = tmp_path / "keys.json"
    file.write_bytes(jwks(entry("RS256", "a"), entry("ES256", "b")))

    tokens = signed("RS256", "a"), signed("ES256", "b"), signed("RS256", "c"), signed("RS256")
    found = asyncio.run(_tried(check(str(file)), *tokens))

    assert found[:2] == ["in", "in"]
    assert all("a key that its issuer does not list" in each for each in found[2:])


def test_lone_key_with_a_name_signs_only_for_it(tmp_path: Path) -> None:
    """A token that names another key or none is refused, although there is but one to try."""
    file = tmp_path / "keys.json"
    file.write_bytes(jwks(entry("RS256", "a")))

    tokens = signed("RS256", "a"), signed("RS256", "b"), signed("RS256")
    first, *others = asyncio.run(_tried(check(str(file)), *tokens))

    assert first == "in"
    assert all("does not list" in other for other in others)


@pytest.mark.parametrize(
    "unfit",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x", "alg": "HS256"},
        entry("RS256", "x", alg="RS512"),
        entry("RS256", "x", use="enc"),
        {"kty": "RSA", "kid": "x"},
        RSAAlgorithm.to_jwk(
            rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key(),
            as_dict=True,
        ),
        ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True),
    ],
)
def test_key_that_may_not_sign_is_left_out(unfit: dict[str, Any]) -> None:
    """Shared secrets, short keys, other algorithms and uses are left out, alone or in company."""
    good = entry("ES256", "b")

    assert [key.key_id for key in issuer.public_keys(jwks(unfit, good))] == ["b"]
    with pytest.raises(ConfigError, match="found no key for"):
        issuer.public_keys(jwks(unfit))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys": 3}',
        b'{"keys": ["x"]}',
        b"-----BEGIN PUBLIC KEY-----\nx",
        KEYS["ES256"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
)
def test_what_holds_no_public_keys_is_refused(data: bytes) -> None:
    """A file of another kind, a private key among them, is told from a set of keys."""
    with pytest.raises(ConfigError, match="neither a JWKS nor a public key in PEM"):
        issuer.public_keys(data)


def test_pem_of_each_kind_is_read() -> None:
    """The key of a PEM file has the algorithm of its kind."""
    found = {name: issuer.public_keys(data)[0].algorithm_name for name, data in PEM.items()}

    assert found == {name: name for name in PEM}


def test_address_is_asked_once(provider: Provider) -> None:
    """Keys are fetched when the first token comes and serve those that follow."""
    provider.document = jwks(entry("RS256", "a"))
    checked = check(provider.url)
    assert provider.asked == 0

    assert asyncio.run(_tried(checked, *[signed("RS256", "a")] * 3)) == ["in"] * 3
    assert provider.asked == 1


def test_new_key_is_fetched_for(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token with a new kid has the keys fetched again, and unknown ones not time after time."""

    async def rotated() -> list[str]:
        provider.document = jwks(entry("RS256", "a"))
        checked = check(provider.url)
        before = await _tried(checked, signed("RS256", "a"))
        provider.document = jwks(entry("ES256", "b"))
        monkeypatch.setattr(issuer, "_COOLDOWN_S", 0)
        after = await _tried(checked, signed("ES256", "b"))
        monkeypatch.setattr(issuer, "_COOLDOWN_S", 30)
        return before + after + await _tried(checked, *[signed("ES256", "c")] * 5)

    assert asyncio.run(rotated())[:2] == ["in", "in"]
    assert provider.asked == 2


def test_lost_provider_keeps_its_keys(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the address fails, tokens are checked with the keys that it gave last."""

    async def lost() -> list[str]:
        provider.document = jwks(entry("RS256", "a"))
        checked = check(provider.url)
        first = await _tried(checked, signed("RS256", "a"))
        provider.document = None
        monkeypatch.setattr(checked._issuer, "_refresh_s", 0)
        return first + await _tried(checked, signed("RS256", "a"))

    assert asyncio.run(lost()) == ["in", "in"]
    assert provider.asked == 2
    assert f"no keys from {provider.url}" in caplog.text


@pytest.mark.parametrize("document", [None, b"<html>", b'{"keys": []}'])
def test_provider_that_never_answered_is_no_fault_of_the_caller(
    provider: Provider, document: bytes | None
) -> None:
    """Without any keys the refusal is 503, not 401, and a flood asks the address once."""
    provider.document = document

    found = asyncio.run(_tried(check(provider.url), *[signed("RS256", "a")] * 3))

    assert found == ["the keys of the token's issuer can't be fetched; try again"] * 3
    assert provider.asked == 1


def test_address_with_another_certificate_is_not_believed(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys of a server that can't prove who it is are not taken."""
    provider.document = jwks(entry("RS256", "a"))
    monkeypatch.delenv("SSL_CERT_FILE")

    (found,) = asyncio.run(_tried(check(provider.url), signed("RS256", "a")))

    assert "can't be fetched" in found
    assert provider.asked == 0


def test_plain_http_is_refused() -> None:
    """Keys that anyone on the way could swap are none."""
    with pytest.raises(ConfigError, match="expected a file or an https:// address"):
        Tokens.from_mapping(
            {"issuer": ISSUER, "audience": "a", "jwks": "http://id.example/keys"}, "tokens"
        )
