"""The headers that every answer carries, for the browser that may show it."""

from collections.abc import Mapping

from starlette.types import Scope

from . import docs

Headers = list[tuple[bytes, bytes]]

_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# An answer is data: a browser that shows one loads and runs nothing.
_NOTHING = b"default-src 'none'; frame-ancestors 'none'"
_POLICIES: Mapping[str, bytes] = {docs.PATH: docs.POLICY.encode()}


def of(scope: Scope, path: str, *, hsts_s: int) -> Headers:
    """
    Headers of the answer to a request for ``path``.

    Args:
        hsts_s: How long a browser that came over https shall insist on it; 0 says nothing.
    """
    headers = [*_ALWAYS, (b"content-security-policy", _POLICIES.get(path, _NOTHING))]
    if hsts_s and _encrypted(scope):
        headers.append((b"strict-transport-security", b"max-age=%d" % hsts_s))
    return headers


def _encrypted(scope: Scope) -> bool:
    # Whoever lies in this header only tells his own browser to insist on https.
    forwarded = dict(scope["headers"]).get(b"x-forwarded-proto", b"")
    return scope.get("scheme") == "https" or forwarded.strip() == b"https"
