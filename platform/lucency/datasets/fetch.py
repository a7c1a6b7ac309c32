"""
A published file, brought here over HTTP: only on request, within bounds, and checked.

The standard library's urllib, because preparation needs no HTTP client for anything else. Its
usual opener also reads ``file:`` and ``ftp:``; the one here speaks HTTP alone, through whatever
proxy the environment names.
"""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn
from urllib.parse import urljoin, urlsplit

from lucency import files, progress
from lucency.errors import DataError

_PIECE_BYTES = 1 << 16
_SILENCE_S = 30.0
_SCHEMES = ("https", "http")
# What a server may say while it is busy; anything else from 400 on is its last word.
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_RANGE_REFUSED = 416
_SLOW = "try again with a faster connection, or put the file there by hand"


@dataclass(frozen=True)
class Remote:
    """
    A file as its authors publish it.

    Attributes:
        url: ``https:``, or ``http:`` where the person who configured it says so: the digest
            below is what proves the bytes.
        md5: As published.
        max_bytes: The published size where it is known, a bound where it is not.
        sha256: Of the same bytes, where it is known; empty: only the MD5 is compared.
    """

    url: str
    md5: str
    max_bytes: int
    sha256: str = ""


class _Interrupted(Exception):
    """The connection failed in a way that a second try may mend."""


class _Restart(_Interrupted):
    """And what there is of the file is of no use to that."""


def fetch(
    remote: Remote,
    path: Path,
    *,
    timeout_s: float = 3600.0,
    attempts: int = 4,
    pause_s: float = 1.0,
) -> None:
    """
    Bring a file to ``path``; on any error nothing is left there.

    A connection that breaks is taken up again where it broke, if the server can do that.

    Args:
        timeout_s: For all attempts together.
        pause_s: Before the second attempt; twice as long before each one after it.

    Raises:
        DataError: the server refuses, sends too much or something else, or the time is over.
    """
    _refuse_scheme(remote.url)
    progress.say(f"    fetching {remote.url}")
    end = time.monotonic() + timeout_s
    with new_folders(path.parent), files.atomic_file(path) as temporary:
        label = f"fetched {path.name}"
        with (
            temporary.open("r+b") as stream,
            progress.meter(label, remote.max_bytes, "bytes") as bar,
        ):
            for attempt in range(attempts):
                try:
                    _receive(remote, stream, bar, end)
                    break
                except _Interrupted as cause:
                    if attempt + 1 == attempts:
                        raise DataError(
                            f"{remote.url!r} could not be fetched in {attempts} attempts "
                            f"({cause}); try again later, or put the file at {str(path)!r}"
                        ) from cause
                    if isinstance(cause, _Restart):
                        stream.truncate(0)
                    time.sleep(min(pause_s * 2**attempt, max(end - time.monotonic(), 0.0)))
        _compare(remote, temporary)


def _receive(remote: Remote, stream: BinaryIO, bar: Any, end: float) -> None:
    """Append to what is there already, until the answer ends."""
    have = stream.seek(0, 2)
    with _answer(remote.url, have, end) as answer:
        if have and not _continues(answer, have):
            stream.truncate(have := stream.seek(0))
        expected = _length(answer, remote, have)
        bar.total = expected
        bar.update(have - bar.n)
        while expected is None or have < expected:
            if time.monotonic() > end:
                raise DataError(
                    f"{remote.url!r} gave {have} bytes in the time that it had; {_SLOW}"
                )
            if not (piece := _piece(answer)):
                break
            have += len(piece)
            if have > remote.max_bytes:
                raise DataError(
                    f"{remote.url!r} sends more than the {remote.max_bytes} bytes that are "
                    "expected; it is another file: check the mirror"
                )
            stream.write(piece)
            bar.update(len(piece))
    if expected is not None and have < expected:
        raise _Interrupted(f"it ended after {have} of {expected} bytes")


@contextmanager
def _answer(url: str, have: int, end: float) -> Iterator[http.client.HTTPResponse]:
    headers = {"User-Agent": "lucency", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    left_s = end - time.monotonic()
    if left_s <= 0:
        raise DataError(f"{url!r} gave no whole file in the time that it had; {_SLOW}")
    with _follow(url, headers, min(_SILENCE_S, left_s)) as answer:
        yield answer


def _follow(url: str, headers: dict[str, str], timeout_s: float) -> http.client.HTTPResponse:
    """Open an address or, through a few redirects, the one that it stands for."""
    # Not the standard handler: it reads the body of a redirect to its end, if it has one.
    here = url
    for _ in range(_MAX_REDIRECTS + 1):
        request = urllib.request.Request(here, headers=headers)
        try:
            answer = _opener().open(request, timeout=timeout_s)
            assert isinstance(answer, http.client.HTTPResponse)
            return answer
        except urllib.error.HTTPError as cause:
            cause.close()
            if cause.code not in _REDIRECTS:
                _judge(url, cause)
            here = _target(here, cause.headers.get("Location", ""))
        except (OSError, http.client.HTTPException, ValueError) as cause:
            raise _Interrupted(_said(cause)) from cause
    raise DataError(f"{url!r} redirects more than {_MAX_REDIRECTS} times; check the mirror")


def _judge(url: str, cause: urllib.error.HTTPError) -> NoReturn:
    if cause.code == _RANGE_REFUSED:
        raise _Restart("the server can't go on where it broke off") from cause
    if cause.code in _BUSY:
        raise _Interrupted(f"status {cause.code}") from cause
    raise DataError(
        f"{url!r} answers with status {cause.code} ({cause.reason}); check the mirror"
    ) from cause


def _target(here: str, location: str) -> str:
    """Where a redirect leads, if it stays in HTTP and does not give up its encryption."""
    there = urljoin(here, location)
    old, new = urlsplit(here).scheme, urlsplit(there).scheme
    if not location or new not in _SCHEMES or (old == "https" and new != "https"):
        raise DataError(
            f"{here!r} redirects to {location!r}; from {old}: only https: is followed"
            f"{' and http:' if old == 'http' else ''}: check the mirror"
        )
    return there


def _opener() -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _continues(answer: http.client.HTTPResponse, have: int) -> bool:
    """Whether the answer goes on where the last one broke."""
    return answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(
        f"bytes {have}-"
    )


def _length(answer: http.client.HTTPResponse, remote: Remote, have: int) -> int | None:
    """Bytes that the whole file will have, where the server says so."""
    if answer.headers.get_content_type() == "text/html":
        raise DataError(
            f"{remote.url!r} answers with a web page instead of the file; check the mirror, and "
            "that no proxy asks for a login"
        )
    declared = answer.headers.get("Content-Length", "")
    if not declared.isdecimal() or len(declared) > 18:
        return None
    if have + int(declared) > remote.max_bytes:
        raise DataError(
            f"{remote.url!r} announces {have + int(declared)} bytes, expected "
            f"{remote.max_bytes} at most; it is another file: check the mirror"
        )
    return have + int(declared)


def _piece(answer: http.client.HTTPResponse) -> bytes:
    try:
        # What has arrived, not a full piece: a server that drips must still meet the time limit.
        return answer.read1(_PIECE_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as cause:
        raise _Interrupted(_said(cause)) from cause


def _said(cause: Exception) -> str:
    reason = cause.reason if isinstance(cause, urllib.error.URLError) else cause
    return str(reason) or type(reason).__name__


def _compare(remote: Remote, path: Path) -> None:
    with path.open("rb") as stream:
        md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    for kind, found, published in (
        ("MD5", md5, remote.md5),
        ("SHA-256", files.sha256_file(path), remote.sha256),
    ):
        if published and found != published:
            raise DataError(
                f"{remote.url!r} gave {path.stat().st_size} bytes with {kind} {found!r}, the "
                f"published file has {published!r}; nothing was kept: check the mirror"
            )


def _refuse_scheme(url: str) -> None:
    address = urlsplit(url)
    if address.scheme not in _SCHEMES or not address.hostname:
        raise DataError(f"{url!r} is no address to fetch from; expected https://HOST/...")


@contextmanager
def new_folders(folder: Path) -> Iterator[None]:
    """
    Make a folder and those around it; take away again what was made if the block fails.

    Raises:
        DataError: something in it can't be written.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as cause:
        for each in new:
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()
        if isinstance(cause, OSError):
            raise DataError(
                f"nothing can be written to {str(folder)!r} ({cause.strerror}); give a folder "
                "with room that you may write to"
            ) from cause
        raise
