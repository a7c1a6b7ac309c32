"""Files that are never seen half written, and digests of what they hold."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value: Any) -> str:
    """SHA-256 of a value in canonical JSON: equal values have equal digests."""
    return sha256(canonical(value).encode())


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces; a path or a date becomes its text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """
    A temporary path that takes the place of ``path`` when the block ends well.

    The bytes reach the disk before the name does, so a reader sees the old file or the new
    one, also after a power cut. On an error nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``path`` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    retired = temporary.with_name(temporary.name + ".old")
    try:
        yield temporary
        temporary.chmod(0o755)
        if path.exists():
            os.replace(path, retired)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        if retired.exists() and not path.exists():
            os.replace(retired, path)  # stopped between the two: the old one is still whole
        for leftover in (temporary, retired):
            if leftover.exists():
                shutil.rmtree(leftover)


def write_text(path: Path, text: str) -> None:
    """Write a small text file atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and programs, atomically."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """The text that ``write_json`` writes."""
    return json.dumps(value, indent=2, sort_keys=True, default=str) + "\n"


def append_line(path: Path, value: Any) -> None:
    """Append one JSON line and see it on the disk before returning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(canonical(value) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_lines(path: Path) -> list[Any]:
    """
    The values of a JSON-lines file; none if the file is not there.

    Part of a last line, which a process killed while it appended leaves behind, is cut off the
    file: it was never acknowledged, and left there the next line would be written behind it. So
    the one who appends reads first.

    Raises:
        ValueError: a whole line is not JSON.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    return [json.loads(line) for line in data[:whole].split(b"\n") if line]


def sync_folder(path: Path) -> None:
    """See to it that the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
