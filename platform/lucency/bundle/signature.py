"""
Who sealed a bundle: Ed25519 signatures (RFC 8032) over its digest.

Digests tell a damaged bundle from a whole one; only a signature tells one's own from one that
somebody else made, evidence included.
"""

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lucency import files
from lucency.errors import ArtifactError

# Files in PEM form, as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write them.
SIGNING_KEY = "LUCENCY_SIGNING_KEY"
# Where this is set no bundle without a signature by one of these keys is loaded; several files
# are separated as in PATH.
TRUSTED_KEYS = "LUCENCY_TRUSTED_KEYS"

# So that a signature of ours can't be presented as one over something else.
_CONTEXT = b"lucency bundle v1\n"


def sign(digest: str) -> bytes | None:
    """
    The signature of a bundle's digest, base64; None where no key is set.

    Raises:
        ArtifactError: the key can't be read.
    """
    path = os.environ.get(SIGNING_KEY)
    if not path:
        return None
    key = _read(SIGNING_KEY, Path(path), private=True)
    assert isinstance(key, Ed25519PrivateKey)
    return base64.b64encode(key.sign(_CONTEXT + digest.encode())) + b"\n"


def check(path: Path, digest: str) -> str | None:
    """
    Hold a signature against the trusted keys, where there are any.

    Args:
        path: The signature's file, which may be missing.

    Returns:
        Fingerprint of the key that signed; None where no signature is required.

    Raises:
        ArtifactError: it is missing, damaged, or by none of the keys; or a key can't be read.
    """
    named = os.environ.get(TRUSTED_KEYS)
    if not named:
        return None
    keys = [_read(TRUSTED_KEYS, Path(each), private=False) for each in named.split(os.pathsep)]
    if not path.is_file():
        raise ArtifactError(
            f"{str(path.parent)!r} is not signed, and {TRUSTED_KEYS} asks for a signature: export "
            f"it where {SIGNING_KEY} names a key"
        )
    try:
        signed = base64.b64decode(path.read_bytes(), validate=False)
    except binascii.Error:
        signed = b""
    for key in keys:
        assert isinstance(key, Ed25519PublicKey)
        try:
            key.verify(signed, _CONTEXT + digest.encode())
        except InvalidSignature:
            continue
        return fingerprint(key)
    raise ArtifactError(
        f"the signature of {str(path.parent)!r} is by none of the {len(keys)} key(s) that "
        f"{TRUSTED_KEYS} names ({', '.join(fingerprint(key) for key in keys)}): it was sealed by "
        "somebody else, or changed since"
    )


def fingerprint(key: Ed25519PublicKey | Ed25519PrivateKey) -> str:
    """Short name of a key: the first 16 digits of the SHA-256 of its public half."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return files.sha256(
        public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    )[:16]


def _read(variable: str, path: Path, *, private: bool) -> Ed25519PrivateKey | Ed25519PublicKey:
    try:
        data = path.read_bytes()
        key = (
            serialization.load_pem_private_key(data, password=None)
            if private
            else serialization.load_pem_public_key(data)
        )
    except (OSError, ValueError, TypeError) as cause:
        raise ArtifactError(
            f"{variable} names {str(path)!r}, which can't be read as a key in PEM form: {cause}"
        ) from cause
    if not isinstance(key, Ed25519PrivateKey if private else Ed25519PublicKey):
        raise ArtifactError(
            f"{variable} names {str(path)!r}, which holds a {type(key).__name__}: an Ed25519 key "
            "is needed, as from openssl genpkey -algorithm ed25519"
        )
    return key
