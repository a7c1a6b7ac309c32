"""Which films are whose: a place in [0, 1) that a key has on every machine, at every time."""

import hashlib

_DIGITS = 2**64


def place(key: bytes, purpose: str = "") -> float:
    """
    A key's place, spread evenly.

    A patient stays with one model while shares grow: whoever is under 0.05 is under 0.25.

    Args:
        purpose: Two of them give places that know nothing of each other. With the challenger's
            version, not the same patients come first in every trial.
    """
    digest = hashlib.sha256(purpose.encode() + b"\0" + key).digest()
    return int.from_bytes(digest[:8], "big") / _DIGITS
