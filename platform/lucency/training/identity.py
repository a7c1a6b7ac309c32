"""What a run's folder holds, and which driver works on it."""

import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from lucency import files, progress
from lucency.config.train import Recipe
from lucency.errors import TrainingError

IDENTITY = "identity.json"
OWNER = "driver.lock"
# Storage that knows no locks: some object stores mounted as folders, old network file systems.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_SHOWN = 8


def begun(folder: Path) -> bool:
    """Whether a run was begun in the folder."""
    return (folder / IDENTITY).is_file()


def check(folder: Path, recipe: Recipe, data_digest: str) -> None:
    """
    Refuse to go on with another recipe, or on other data, than the folder's run was begun with.

    Raises:
        TrainingError: names every key that differs, with both values; or says that what is in
            the folder is no run.
    """
    if not begun(folder):
        if folder.is_dir() and not _empty(folder) and folder.name != recipe.identity(data_digest):
            raise TrainingError(
                f"{str(folder)!r} holds {_some(folder)} but no {IDENTITY}, so it is no run that "
                "could go on: choose another name, or another folder for runs"
            )
        return
    there = json.loads((folder / IDENTITY).read_text())
    differing = _differing(
        {"data": there["data_digest"], "recipe": there["recipe"]},
        {"data": data_digest, "recipe": recipe.learned},
    )
    if differing:
        more = f"; {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise TrainingError(
            f"run {folder.name!r} was begun with {'; '.join(differing[:_SHOWN])}{more}. Give back "
            "what it was begun with to go on, choose another name, or begin anew with --fresh"
        )


def settle(folder: Path, recipe: Recipe, data_digest: str) -> None:
    """Write down what the folder's run is, unless it is there already."""
    if begun(folder):
        return
    recipe_there = recipe.learned
    files.write_json(
        folder / IDENTITY,
        {
            "recipe_digest": files.digest(recipe_there),
            "data_digest": data_digest,
            "recipe": recipe_there,
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def require_begun(folder: Path) -> None:
    """
    Raises:
        TrainingError: there is no run to go on with; says which there are.
    """
    if begun(folder):
        return
    there = sorted(path.parent.name for path in folder.parent.glob(f"*/{IDENTITY}"))
    known = f"the runs there are {', '.join(there[:_SHOWN])}" if there else "there are none yet"
    raise TrainingError(
        f"no run {folder.name!r} was begun in {str(folder.parent)!r} ({known}): nothing to go on "
        "with. The name follows from recipe and data where none is given; leave --resume out to "
        "begin it"
    )


def clear(folder: Path) -> None:
    """
    Empty a run's folder, but for the lock that this driver holds.

    Raises:
        TrainingError: what is in it is no run, and may be dear to somebody.
    """
    if not begun(folder) and not (folder / "recipe.yaml").is_file() and not _empty(folder):
        raise TrainingError(
            f"{str(folder)!r} holds {_some(folder)} but no run, so fresh won't delete it: choose "
            "another name, or another folder for runs"
        )
    # The identity goes last: a driver killed in between leaves what can be cleared again.
    for path in sorted(folder.iterdir(), key=lambda path: path.name == IDENTITY):
        if path.name == OWNER:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """
    Nobody else's driver works on the run inside the block.

    The system takes the lock back from a process that dies, however it dies.

    Raises:
        TrainingError: another driver does; names its process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OWNER
    stream = _locked(path)
    try:
        stream.truncate(0)
        stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        stream.flush()
        yield
    finally:
        # While it is still held: whoever opened it before looks whether it is still the one.
        path.unlink(missing_ok=True)
        stream.close()


def _locked(path: Path) -> IO[str]:
    while True:
        stream = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            stream.seek(0)
            owner = stream.read()
            stream.close()
            raise TrainingError(
                f"run {path.parent.name!r} is being trained by {_said(owner)}: wait for it or "
                "stop it; two drivers would overwrite each other's checkpoints"
            ) from cause
        except OSError as cause:
            if cause.errno not in _NO_LOCKS:
                stream.close()
                raise
            progress.say(
                f"    the storage of {str(path.parent)!r} knows no locks ({cause.strerror}): "
                "nothing keeps a second driver from this run"
            )
            return stream
        if path.exists() and os.path.samestat(os.fstat(stream.fileno()), path.stat()):
            return stream
        stream.close()  # its last owner took it away in between


def _said(owner: str) -> str:
    try:
        found = json.loads(owner)
    except ValueError:
        return "another driver"  # between taking the lock and writing its name
    return f"process {found['pid']} on host {found['host']!r}"


def _empty(folder: Path) -> bool:
    return not _names(folder)


def _some(folder: Path) -> str:
    return ", ".join(_names(folder)[:3])


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.name != OWNER)


def _differing(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """``key: THIS, now THAT`` for each leaf, by its dotted path."""
    before, now = dict(_leaves(there)), dict(_leaves(here))
    return [
        f"{key}={_short(before.get(key))}, now {_short(now.get(key))}"
        for key in [*before, *(key for key in now if key not in before)]
        if before.get(key) != now.get(key)
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    inside = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, part in inside:
        name = f"{path}.{key}" if path else str(key)
        # An empty list or mapping is a value too.
        if isinstance(part, Mapping | list | tuple) and part:
            yield from _leaves(part, name)
        else:
            yield name, part


def _short(value: Any) -> str:
    """A digest by its first digits, a value that one side has not as its absence."""
    text = str(value)
    return text[:12] if len(text) == 64 else "nothing" if value is None else text
