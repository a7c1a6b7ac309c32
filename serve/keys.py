"""
Make, list and revoke API keys: ``python -m serve.keys new --role predict --id ward-3 FILE``.

A running service sees the change within seconds.
"""

import argparse
import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from lucency.config.serve import Role
from lucency.errors import ConfigError, LucencyError

from . import keyring
from .keyring import Key


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status; a new key goes to stdout, alone, and everything for people to stderr."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.command == "new":
            print(new(asked.file, asked.id, asked.role, rate=asked.rate, days=asked.days))
            print("this is the only time the key is shown", file=sys.stderr)
        elif asked.command == "revoke":
            revoke(asked.file, asked.id)
        else:
            for key in _read(asked.file):
                print(_shown(key))
    except LucencyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def new(
    file: Path, name: str, roles: Sequence[str], *, rate: str | None = None, days: int | None = None
) -> str:
    """
    Add a key to the file, which is made if it is not there; the key, which nothing stores.

    Raises:
        ConfigError: the file is broken, or has a key of this name.
    """
    secret = keyring.generate()
    now = datetime.now(UTC).replace(microsecond=0)
    values = {
        "id": name,
        "sha256": keyring.digest_of(secret.encode()),
        "roles": list(dict.fromkeys(roles)),
        "rate": rate,
        "created": now,
        "expires": now + timedelta(days=days) if days is not None else None,
    }
    key = Key.from_mapping(values, "the new key")
    with _locked(file):
        keys = _read(file) if file.exists() else ()
        if any(name == other.id for other in keys):
            raise ConfigError(f"{file} has a key {name!r} already: revoke it or take another --id")
        _write(file, [*keys, key])
    return secret


def revoke(file: Path, name: str) -> None:
    """
    Take a key out of the file.

    Raises:
        ConfigError: there is none of this name.
    """
    with _locked(file):
        keys = _read(file)
        left = [key for key in keys if key.id != name]
        if len(left) == len(keys):
            names = [key.id for key in keys]
            raise ConfigError(f"{file} has no key {name!r}, expected one of {names}")
        _write(file, left)


def _read(file: Path) -> tuple[Key, ...]:
    try:
        return keyring.parse(file.read_bytes())
    except OSError as cause:
        raise ConfigError(f"{file} can't be read: {cause.strerror}") from None
    except ConfigError as cause:
        raise ConfigError(f"{file}: {cause}") from None


def _write(file: Path, keys: Sequence[Key]) -> None:
    # Not files.atomic_file: it makes what it writes readable to all.
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.writelines(key.model_dump_json(exclude_none=True) + "\n" for key in keys)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, file)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One writer at a time: of two, the slower would bring a revoked key back."""
    try:
        folder = os.open(file.parent, os.O_RDONLY)
    except OSError as cause:
        raise ConfigError(f"folder {file.parent} can't be opened: {cause.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _shown(key: Key) -> str:
    until = "expired" if key.expired(datetime.now(UTC)) else "until"
    ends = f"{until} {key.expires:%Y-%m-%d}" if key.expires else "no end"
    return f"{key.id}\t{','.join(key.roles)}\t{key.rate or 'default rate'}\t{ends}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serve.keys", description="API keys")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("new", help="make a key and print it, once")
    make.add_argument("--id", required=True, help="who will use it; stands in the audit log")
    make.add_argument("--role", required=True, action="append", choices=get_args(Role))
    make.add_argument("--rate", help="such as 60/minute; left out, the service's default")
    make.add_argument("--days", type=int, help="until it expires; left out, never")
    drop = commands.add_parser("revoke", help="take a key out of the file")
    drop.add_argument("--id", required=True)
    for command in (make, drop, commands.add_parser("list", help="all but the secrets")):
        command.add_argument("file", type=Path, metavar="FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
