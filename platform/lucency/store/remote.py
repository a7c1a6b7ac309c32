"""
A store in a bucket, through fsspec: ``s3://bucket/prefix``, or any other URI that it knows.

A bucket has no locks and no renames, only objects that come whole. So every line of the history
is an object of its own, ``history/00000012.json``, which is created on the condition that it is
not there yet (S3: ``If-None-Match: *``): of two promotions that saw the same eleven lines one
makes the twelfth. Bundles are copied to this machine, once, and checked by their digests.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]

from lucency import files
from lucency.bundle.artifact import MANIFEST, SEAL, SIGNATURE, Artifact
from lucency.errors import ArtifactError, StoreError
from lucency.ledger import BEGIN, Chain, Entries
from lucency.store.place import HISTORY, VERSIONS, same

_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})


class Remote:
    """
    A store behind a URI.

    Args:
        cache: Where bundles are kept on this machine.

    Raises:
        StoreError: nothing here speaks that protocol.
    """

    def __init__(self, uri: str, cache: Path | None = None) -> None:
        self._uri = uri
        try:
            self._fs, root = fsspec.core.url_to_fs(uri)
        except (ImportError, ValueError) as cause:
            raise StoreError(
                f"store {uri!r} can't be reached: {cause}. Install what speaks that protocol "
                "(s3fs for s3://), or give a folder"
            ) from cause
        self._root = str(root).rstrip("/")
        self._cache = cache or _cache()
        self._chain = Chain()

    def entries(self) -> Entries:
        """The whole history, checked, oldest first: one read a line."""
        return [value for value, _ in self._links()]

    def last(self) -> dict[str, Any] | None:
        """The newest line alone: a listing and one read."""
        names = self._names(HISTORY)
        if not names:
            return None
        value: dict[str, Any] = json.loads(self._fs.cat_file(self._path(HISTORY, names[-1])))
        del value["chain"]
        return value

    def append(self, value: Mapping[str, Any], after: int) -> bool:
        """Create the object of that number, if nobody has."""
        links = self._links()
        if len(links) != after:
            return False
        line = self._chain.line(value, self._chain.next(links[-1][1] if links else BEGIN, value))
        path = self._path(HISTORY, f"{after + 1:08d}.json")
        try:
            self._write(path, line, mode="create")
        except OSError as cause:
            # It exists; or S3 answers 409, where two create it at the same moment.
            return self._is_own(path, line, cause)
        return True

    def put(self, artifact: Artifact) -> None:
        """Copy it in, the manifest last, and read all of it back."""
        names = [*artifact.manifest.files, SIGNATURE, SEAL, MANIFEST]
        if not self._fs.exists(self._path(VERSIONS, artifact.version, MANIFEST)):
            for name in names:
                if (artifact.path / name).is_file():
                    path = self._path(VERSIONS, artifact.version, name)
                    try:
                        self._write(path, (artifact.path / name).read_bytes())
                    except OSError as cause:
                        raise self._unwritable(cause) from cause
        same(artifact, self._fetch(artifact.version))

    def get(self, version: str) -> Path:
        """The copy on this machine, fetched if there is none or if it is damaged."""
        kept = self._cache / version
        try:
            if Artifact.load(kept).version == version:
                return kept
        except ArtifactError:
            pass  # none, or not whole: another is fetched, and checked again
        return self._fetch(version)

    def read(self, folder: str) -> dict[str, bytes]:
        """The notes in a folder by name."""
        return {name: self._fs.cat_file(self._path(folder, name)) for name in self._names(folder)}

    def write(self, folder: str, name: str, data: bytes) -> None:
        """One object, which comes whole."""
        self._write(self._path(folder, name), data)

    def clear(self, folder: str) -> None:
        """Remove the notes in a folder."""
        for name in self._names(folder):
            self._fs.rm_file(self._path(folder, name))

    def _is_own(self, path: str, line: bytes, cause: OSError) -> bool:
        """
        Whether the line that is there is ours: the answer to a first try was lost, and the client
        tried again. No two moves have one id.
        """
        # The listing from before the other's move has no such object, and would be believed.
        self._fs.invalidate_cache()
        try:
            return bool(self._fs.cat_file(path) == line)
        except FileNotFoundError:
            raise self._unwritable(cause) from cause

    def _write(self, path: str, data: bytes, **options: Any) -> None:
        # In a bucket folders come with their objects; s3fs would make the bucket itself, which
        # somebody may have misspelt.
        if self._uri.partition("://")[0] not in _BUCKETS:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._fs.pipe_file(path, data, **options)

    def _unwritable(self, cause: OSError) -> StoreError:
        return StoreError(
            f"store {self._uri!r} could not be written to: {cause}. Nothing was moved; look at it "
            "again"
        )

    def _links(self) -> list[tuple[dict[str, Any], str]]:
        lines = self.read(HISTORY)
        whole = b"".join(lines[name] for name in sorted(lines))
        return [(value, digest) for value, digest, _ in self._chain.read(whole, Path(self._uri))]

    def _names(self, folder: str) -> list[str]:
        # A listing that is kept would hide what another process wrote.
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(str(path).rpartition("/")[2] for path in found)

    def _fetch(self, version: str) -> Path:
        """Copy a bundle here beside, and rename it when all of it was checked."""
        base = self._path(VERSIONS, version)
        self._fs.invalidate_cache()
        found = self._fs.find(base)
        if not found:
            raise StoreError(f"store {self._uri!r} has no version {version!r}: promote it again")
        kept = self._cache / version
        with files.atomic_folder(kept) as folder:
            for path in found:
                target = folder / str(path)[len(base) + 1 :]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self._fs.cat_file(path))
            if (arrived := Artifact.load(folder).version) != version:
                raise StoreError(
                    f"{version!r} of store {self._uri!r} holds bundle {arrived!r}: it was put "
                    "there by hand; roll back, or promote the right one"
                )
        return kept

    def _path(self, *parts: str) -> str:
        return "/".join((self._root, *parts))


def _cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "lucency" / "bundles"
