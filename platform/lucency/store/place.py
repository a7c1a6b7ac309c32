"""
Where a store lies: what it asks of a file system, and the folder that gives it.

A store needs two kinds of things. Bundles, which never change once they are there, and one
history, in which line n + 1 is written by whoever comes first and by nobody else: that is the
only point at which two processes can meet.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lucency import files
from lucency.bundle.artifact import Artifact
from lucency.errors import StoreError
from lucency.ledger import Entries, Ledger

HISTORY = "history"
VERSIONS = "versions"
# A copy that was cut off by a crash is nobody's after a day.
_STALE_S = 86_400.0


class Place(Protocol):
    """What a store needs of the file system that it lies on."""

    def entries(self) -> Entries:
        """
        The whole history, checked, oldest first.

        Raises:
            LedgerError: a line is not what was written.
        """
        ...

    def last(self) -> dict[str, Any] | None:
        """The newest line alone."""
        ...

    def append(self, value: Mapping[str, Any], after: int) -> bool:
        """Write the line that follows the first ``after`` ones; False if someone else has."""
        ...

    def put(self, artifact: Artifact) -> None:
        """
        Copy a bundle in, unless it is there, and see that it arrived whole.

        Raises:
            ArtifactError: it is damaged, here or there.
            StoreError: it was sealed anew since it was loaded.
        """
        ...

    def get(self, version: str) -> Path:
        """
        A folder on this machine that holds a bundle; whoever uses it checks it.

        Raises:
            StoreError: there is no such version.
        """
        ...

    def read(self, folder: str) -> dict[str, bytes]:
        """The notes in a folder by name, each as it was last written."""
        ...

    def write(self, folder: str, name: str, data: bytes) -> None:
        """Write a note, whatever stood there; only its owner writes it."""
        ...

    def clear(self, folder: str) -> None:
        """Remove the notes in a folder."""
        ...


class Folder:
    """A store on a disk or a shared file system: NFS from version 4 on, where locks hold."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._history = Ledger(root / f"{HISTORY}.jsonl")
        self._seen: tuple[tuple[int, ...], dict[str, Any]] | None = None

    def entries(self) -> Entries:
        """The whole history, checked, oldest first."""
        return self._history.entries()

    def last(self) -> dict[str, Any] | None:
        """The newest line alone; a file that has not changed is not read again."""
        try:
            found = self._history.path.stat()
        except FileNotFoundError:
            return None
        mark = (found.st_ino, found.st_size, found.st_mtime_ns)
        if self._seen is None or self._seen[0] != mark:
            entries = self.entries()
            if not entries:
                return None
            self._seen = (mark, entries[-1])
        return self._seen[1]

    def append(self, value: Mapping[str, Any], after: int) -> bool:
        """Compare and write under the ledger's own lock, which the system takes from the dead."""

        def first(before: Entries) -> None:
            if len(before) != after:
                raise _TooLate

        try:
            self._history.append(value, check=first)
        except _TooLate:
            return False
        # Stores of before kept the aliases there; it would go on telling of the old champion.
        (self._root / "aliases.json").unlink(missing_ok=True)
        return True

    def put(self, artifact: Artifact) -> None:
        """Copy beside, check, and rename: the name is never that of half a bundle."""
        target = self._root / VERSIONS / artifact.version
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target.parent)
            draft = Path(tempfile.mkdtemp(prefix=".draft.", dir=target.parent))
            try:
                shutil.copytree(artifact.path, draft, dirs_exist_ok=True)
                same(artifact, draft)
                draft.chmod(0o755)
                _sync(draft)
                _rename(draft, target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        same(artifact, target)

    def get(self, version: str) -> Path:
        """The bundle where it lies; nothing is copied."""
        bundle = self._root / VERSIONS / version
        if not bundle.is_dir():
            raise StoreError(f"{str(bundle)!r} is gone: promote a bundle, or roll back")
        return bundle

    def read(self, folder: str) -> dict[str, bytes]:
        """The notes in a folder by name."""
        found = (path for path in (self._root / folder).glob("[!.]*") if path.is_file())
        return {path.name: path.read_bytes() for path in found}

    def write(self, folder: str, name: str, data: bytes) -> None:
        """A reader sees the old note or the new one."""
        with files.atomic_file(self._root / folder / name) as temporary:
            temporary.write_bytes(data)

    def clear(self, folder: str) -> None:
        """Remove the notes in a folder."""
        shutil.rmtree(self._root / folder, ignore_errors=True)


def same(artifact: Artifact, copy: Path) -> None:
    """
    The gate judged one bundle; what takes its name must be that one.

    Raises:
        StoreError: the copy is another one.
    """
    if Artifact.load(copy).digest != artifact.digest:
        raise StoreError(
            f"{str(artifact.path)!r} was sealed anew since it was judged as "
            f"{artifact.version!r}: promote it again"
        )


class _TooLate(Exception):
    """Someone else wrote that line."""


def _rename(draft: Path, target: Path) -> None:
    """Of two processes that bring the same bundle the second finds it there."""
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _sync(folder: Path) -> None:
    """An alias must not reach the disk before the bundle that it names."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(versions: Path) -> None:
    for draft in versions.glob(".draft.*"):
        if time.time() - draft.stat().st_mtime > _STALE_S:
            shutil.rmtree(draft, ignore_errors=True)
