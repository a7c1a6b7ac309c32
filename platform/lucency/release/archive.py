"""
The evidence pack as a file: the same parts give the same bytes, whoever packs them and when.

A plain USTAR archive. Compressed bytes depend on the version of the compressor, ZIP keeps a local
time without a zone, and PAX headers hold fractions of a second: none of them is of use for proof.
"""

import io
import json
import tarfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from lucency import files
from lucency.errors import ArtifactError

INDEX = "index.json"


def write(path: Path, parts: Mapping[str, bytes], *, created: str, digest: str) -> str:
    """
    Write the parts and an index of their SHA-256; gives the digest of the file.

    Args:
        created: ISO time that every member bears: the bundle's, not today's.
        digest: Of the bundle that the pack is about.
    """
    index = {
        "bundle": digest,
        "created": created,
        "files": {name: files.sha256(data) for name, data in sorted(parts.items())},
    }
    members = {**parts, INDEX: files.json_text(index).encode()}
    data = _pack(members, int(datetime.fromisoformat(created).timestamp()))
    with files.atomic_file(path) as temporary:
        temporary.write_bytes(data)
    return files.sha256(data)


def read(path: Path) -> dict[str, bytes]:
    """
    The parts of a pack, each held against the index.

    Raises:
        ArtifactError: it is no pack, or a part is missing, added or altered.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            members = {
                member.name: stream.read()
                for member in archive
                if (stream := archive.extractfile(member)) is not None
            }
        promised: dict[str, str] = json.loads(members.pop(INDEX))["files"]
    except (OSError, tarfile.TarError, KeyError, ValueError) as cause:
        raise ArtifactError(
            f"{str(path)!r} can't be read as an evidence pack: {cause!r}"
        ) from cause
    found = {name: files.sha256(data) for name, data in members.items()}
    differing = sorted(
        name for name in found.keys() | promised.keys() if found.get(name) != promised.get(name)
    )
    if differing:
        raise ArtifactError(
            f"{str(path)!r} does not hold what its index promises: {differing} are missing, added "
            "or altered; build it again"
        )
    return members


def _pack(members: Mapping[str, bytes], mtime: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(members.items()):
            # The rest of a fresh header is fixed: mode 0644, user and group 0 without names.
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), mtime
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
