"""Published files: where they lie, how they get there, and whether they are the published bytes."""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from lucency.datasets import fetch
from lucency.datasets.fetch import Remote
from lucency.errors import DataError

# All of MNIST and CIFAR-10 is smaller; what is larger is no file of theirs.
_MAX_BYTES = 2**30


def folder(
    root: Path, names: Iterable[str], *, below: str, published: str, download: bool = False
) -> Path:
    """
    The folder that holds the files: ``root`` itself, or ``below`` in it.

    Args:
        published: Where the files can be had, for messages.
        download: Neither needs to hold any yet; then it is the one that is to be filled.

    Raises:
        DataError: neither holds any of them; what is there is named.
    """
    expected = sorted(names)
    for candidate in (root, root / below):
        if any((candidate / name).is_file() for name in expected):
            return candidate
    if download:
        return root / below
    if not root.is_dir():
        raise DataError(
            f"folder {str(root)!r} does not exist; give the one with {expected}{_offer(published)}"
        )
    found = sorted(path.name for path in root.iterdir())[:6]
    raise DataError(
        f"folder {str(root)!r} holds {found}; expected {expected}, here or in {below}/"
        f"{_offer(published)}"
    )


def complete(where: Path, remotes: Mapping[str, Remote], *, download: bool) -> None:
    """
    See that every file is there: fetch what is missing if that is allowed.

    A file that is there is never replaced, whatever it holds.

    Raises:
        DataError: a file is missing and may not or can't be fetched.
    """
    for name, remote in remotes.items():
        path = where / name
        if path.exists():
            continue
        if not download:
            raise DataError(f"{str(path)!r} is missing{_offer(remote.url)}")
        fetch.fetch(remote, path)


def address(mirror: str, name: str) -> str:
    """Where a mirror has a file."""
    return f"{mirror.rstrip('/')}/{name}"


def read(path: Path, md5: str | None) -> bytes:
    """
    The bytes of a file.

    Args:
        md5: What the published file has; None takes whatever is there.

    Raises:
        DataError: the file is missing, or is not the published one.
    """
    data = _read(path)
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if md5 is not None and found != md5:
        raise DataError(
            f"{str(path)!r} has MD5 {found!r}, the published file has {md5!r}. It is damaged or "
            "of another set: remove it and fetch it again, or set verify to false if you made it "
            "on purpose"
        )
    return data


def compare(path: Path, md5: str) -> None:
    """
    Hold a file of any size against the MD5 that it must have.

    Raises:
        DataError: it has another one, or can't be read.
    """
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, _md5).hexdigest()
    except OSError as cause:
        raise DataError(f"{str(path)!r} can't be read ({cause.strerror})") from cause
    if found != md5.lower():
        raise DataError(
            f"{str(path)!r} has MD5 {found!r}, expected {md5!r}: it is damaged or another "
            "edition; remove it and fetch it again, or leave md5 out if it is what you want"
        )


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)


def _read(path: Path) -> bytes:
    try:
        # Without waiting for a writer, where the name is that of a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            status = os.fstat(stream.fileno())
            fits = stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_BYTES
            data = stream.read(status.st_size) if fits else None
    except OSError as cause:
        raise DataError(f"{str(path)!r} can't be read ({cause.strerror}): fetch it") from cause
    if data is None:
        raise DataError(
            f"{str(path)!r} is no published file: it is no regular file, or has more than "
            f"{_MAX_BYTES} bytes; remove it and fetch it again"
        )
    return data


def _offer(published: str) -> str:
    return (
        f"; it is published at {published!r}: put it there by hand, or let it be fetched with "
        "dataset.download=true"
    )
