"""
The same layouts inside of a ZIP archive, read without unpacking it.

An archive may come from anyone. Nothing in it is ever written to disk, and one that could
escape a folder, point elsewhere or inflate without end is refused whole, by the member's name.
"""

import copy
import errno
import functools
import os
import posixpath
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated
from zipfile import ZipFile, ZipInfo

from pydantic import Field

from lucency.datasets import layout
from lucency.datasets.base import Sample, datasets
from lucency.datasets.folder import MAX_FILM_BYTES
from lucency.errors import DataError

_ENCRYPTED = 0x1 | 0x40 | 0x2000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER_BYTES = 30
# More than any member: zipfile cuts what it reads to the declared size, and would hide a lie.
_ENDLESS = 2**62
# What zipfile and zlib raise on a damaged member; NotImplementedError is their word for a method
# or a version that they don't know.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@datasets.register("zip")
class Archive:
    """
    The layouts of ``folder`` in one ZIP file; hidden members and ``__MACOSX/`` are passed over.

    Args:
        classes: As for ``folder``; so are ``patient_pattern`` and ``site``.
        max_files: Members in all.
        max_bytes: Declared sizes in all.
        max_ratio: Declared size over compressed size of any one member. Films are compressed
            already and stay near 1.

    Raises:
        DataError: not a ZIP file, a member that no data set needs, a limit passed, or as for
            ``folder``.
    """

    def __init__(
        self,
        *,
        archive: Path,
        classes: tuple[str, ...] = (),
        patient_pattern: str = "",
        site: str = "unknown",
        max_files: Annotated[int, Field(gt=0)] = 500_000,
        max_bytes: Annotated[int, Field(gt=0)] = 2**34,
        max_ratio: Annotated[float, Field(ge=1)] = 100.0,
    ) -> None:
        members = _members(archive)
        _refuse_hostile(members, str(archive), max_ratio)
        _refuse_large(members, str(archive), max_files, max_bytes)
        found = layout.arrange(
            [member.filename for member in members],
            source=str(archive),
            classes=classes,
            patient_pattern=patient_pattern,
        )
        self.archive = archive.absolute()
        self.classes = found.classes
        self.site = site
        self._places = found.places
        self._sizes = {member.filename: member.file_size for member in members}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Sample]:
        for place in self._places:
            size = self._sizes[place.name]
            yield Sample(
                name=place.name,
                read=functools.partial(read_member, self.archive, place.name, size),
                label=place.label,
                patient=place.patient,
                site=self.site,
                split=place.split,
            )


def read_member(path: Path, name: str, size: int) -> bytes:
    """
    One member's bytes, never more than its declared size plus one.

    Raises:
        OSError: the member is damaged, too large for a film, or the archive is gone.
        DataError: the member inflates to more than it declares.
    """
    if size > MAX_FILM_BYTES:
        raise OSError(errno.EFBIG, f"{size} bytes, a film has {MAX_FILM_BYTES} at most")
    archive = _opened(path, os.getpid(), path.stat().st_mtime_ns)
    try:
        member = copy.copy(archive.getinfo(name))
        member.file_size = _ENDLESS
        with archive.open(member) as stream:
            data = stream.read(size + 1)
    except _DAMAGE as cause:
        raise OSError(errno.EIO, f"the archive is damaged here: {cause}") from cause
    if len(data) > size:
        raise DataError(
            f"member {name!r} of {str(path)!r} inflates to more than the {size} bytes it "
            "declares; such an archive was made to do harm: get it from where it was published"
        )
    if len(data) < size:
        raise OSError(errno.EIO, f"the archive holds {len(data)} of {size} bytes")
    return data


# By process: a descriptor that came with a fork shares its position with the parent's.
@functools.lru_cache(maxsize=4)
def _opened(path: Path, process: int, changed_ns: int) -> ZipFile:
    return _open(path)


def _open(path: Path) -> ZipFile:
    try:
        return ZipFile(path)
    except (OSError, *_DAMAGE) as cause:
        raise DataError(
            f"{str(path)!r} can't be read as a ZIP file ({cause}); give the whole archive, as "
            "it was published"
        ) from cause


def _members(path: Path) -> list[ZipInfo]:
    if not path.is_file():
        raise DataError(f"archive {str(path)!r} does not exist; give the ZIP file of a data set")
    with _open(path) as archive:
        return archive.infolist()


def _refuse_hostile(members: Sequence[ZipInfo], source: str, max_ratio: float) -> None:
    seen: set[str] = set()
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        path = posixpath.normpath(member.filename)
        wrong = _wrong(member, max_ratio)
        if path in seen:
            wrong = "stands there twice"
        elif member.header_offset < 0:
            wrong = "lies before the archive's first byte, which was cut off"
        elif member.header_offset < end:
            wrong = "shares its bytes with another member, as in a bomb"
        if wrong:
            raise DataError(
                f"member {member.orig_filename!r} of {source!r} {wrong}; nothing was read: get "
                "the archive from where it was published, or pack it anew"
            )
        seen.add(path)
        end = member.header_offset + _HEADER_BYTES + member.compress_size


def _wrong(member: ZipInfo, max_ratio: float) -> str:
    name = member.orig_filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith("/"):
        return "has an absolute name"
    if "\\" in name or re.match("[A-Za-z]:", name):
        return "has a name with a drive or backslashes"
    if ".." in name.split("/"):
        return "leaves the archive by '..'"
    if name != member.filename:
        return "has a name that ends before its end"
    if kind == stat.S_IFLNK:
        return "is a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is neither a file nor a folder"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if member.compress_type not in _METHODS:
        return f"is compressed by method {member.compress_type}, expected stored or deflated"
    if member.file_size > max_ratio * max(member.compress_size, 1):
        ratio = member.file_size / max(member.compress_size, 1)
        return f"inflates {ratio:.0f} times, the limit max_ratio is {max_ratio:g}"
    return ""


def _refuse_large(members: Sequence[ZipInfo], source: str, max_files: int, max_bytes: int) -> None:
    if len(members) > max_files:
        raise DataError(
            f"{source!r} has {len(members)} members, the limit max_files is {max_files}; raise "
            "it if the data set is that large"
        )
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise DataError(
            f"{source!r} inflates to {total} bytes, the limit max_bytes is {max_bytes}; raise "
            "it if the data set is that large"
        )
