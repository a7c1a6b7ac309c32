"""The evidence pack as a file."""

import os
import tarfile
from pathlib import Path

import pytest

from lucency.errors import ArtifactError
from lucency.release import archive

PARTS = {"b/two.json": b"{}", "a.md": b"# A\n"}
CREATED = "2026-11-22T21:18:05+00:00"


def test_the_same_parts_make_the_same_bytes(tmp_path: Path) -> None:
    """Neither the time of packing, nor who packs, nor the order of the parts is in the file."""
    old = os.umask(0o077)
    first = archive.write(tmp_path / "1.tar", PARTS, created=CREATED, digest="d")
    os.umask(old)
    turned = dict(reversed(PARTS.items()))

    second = archive.write(tmp_path / "2.tar", turned, created=CREATED, digest="d")

    assert first == second
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_members_bear_the_bundles_time_and_nobodys_name(tmp_path: Path) -> None:
    """Names are sorted, times the bundle's, owners 0."""
    archive.write(tmp_path / "p.tar", PARTS, created=CREATED, digest="d")

    with tarfile.open(tmp_path / "p.tar") as packed:
        members = packed.getmembers()

    assert [member.name for member in members] == ["a.md", "b/two.json", "index.json"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {
        (1795382285, 0, 0, "", "")
    }


def test_a_pack_reads_back(tmp_path: Path) -> None:
    """What was packed comes out, and the index is no part."""
    archive.write(tmp_path / "p.tar", PARTS, created=CREATED, digest="d")

    assert archive.read(tmp_path / "p.tar") == PARTS


def test_a_changed_part_is_named(tmp_path: Path) -> None:
    """One byte of a part changed: reading says which."""
    path = tmp_path / "p.tar"
    archive.write(path, PARTS, created=CREATED, digest="d")
    path.write_bytes(path.read_bytes().replace(b"# A\n", b"# B\n"))

    with pytest.raises(ArtifactError, match=r"\['a.md'\] are missing, added or altered"):
        archive.read(path)


def test_what_is_no_pack_is_refused(tmp_path: Path) -> None:
    """Any other file is an error that says so."""
    (tmp_path / "p.tar").write_bytes(b"no archive")

    with pytest.raises(ArtifactError, match="can't be read as an evidence pack"):
        archive.read(tmp_path / "p.tar")
