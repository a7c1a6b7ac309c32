"""Films inside of a ZIP file: the layouts of folders, and archives made to do harm."""

import operator
import pickle
import stat
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
import pytest

from lucency import images
from lucency.datasets import archive as archives
from lucency.datasets import prepare
from lucency.datasets.archive import Archive
from lucency.datasets.base import Sample, datasets
from lucency.datasets.folder import Folder
from lucency.datasets.splits import SplitPlan
from lucency.errors import DataError

FLAT = ("b/2.png", "a/1.png", "c/3.png", "a/0.png")
SPLIT = ("train/a/1.png", "train/b/2.png", "val/a/3.png", "test/b/4.png")


def picture(number: int) -> bytes:
    """A picture that no other number has."""
    noise = np.random.default_rng(number).integers(0, 255, (16, 16, 1))
    return images.encode_png(noise.astype(np.uint8))


def pack(path: Path, names: Iterable[str] = FLAT) -> Path:
    """Each name a picture of its own, deflated."""
    with ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, name in enumerate(names):
            archive.writestr(name, b"" if name.endswith("/") else picture(number))
    return path


def forge(path: Path, content: bytes | None = None, **changes: Any) -> Path:
    """A good archive and a last member of which the directory at the end says something else."""
    with ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, name in enumerate(FLAT):
            archive.writestr(name, picture(number))
        archive.writestr("a/odd.png", picture(9) if content is None else content)
        for key, value in changes.items():
            setattr(archive.infolist()[-1], key, value)
    return path


def complaint(path: Path, **options: Any) -> str:
    """The line a person reads, without the place of the test's own file."""
    with pytest.raises(DataError) as caught:
        Archive(archive=path, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(str(path), "ZIP")


def odd(path: Path) -> Sample:
    """The sample of the forged member."""
    (sample,) = [each for each in Archive(archive=path) if each.name == "a/odd.png"]
    return sample


@pytest.mark.parametrize("names", [FLAT, SPLIT, [f"rice/Rice/{name}" for name in FLAT]])
def test_archive_is_read_as_its_folder_would_be(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Packed and unpacked, the same data set gives the same samples in the same order."""
    pack(tmp_path / "films.zip", names)
    with ZipFile(tmp_path / "films.zip") as archive:
        archive.extractall(tmp_path / "films")

    packed = Archive(archive=tmp_path / "films.zip", site="north")
    folder = Folder(root=tmp_path / "films", site="north")

    def shown(source: Archive | Folder) -> list[tuple[object, ...]]:
        return [(s.name, s.label, s.patient, s.site, s.split, s.read()) for s in source]

    assert packed.classes == folder.classes
    assert len(packed) == len(folder) == len(names)
    assert shown(packed) == shown(folder)


def test_options_are_those_of_folders(tmp_path: Path) -> None:
    """Classes and the pattern for patients mean what they mean for a folder."""
    pack(tmp_path / "films.zip", ["a/p1_1.png", "a/p1_2.png", "b/p2_1.png", "c/p3_1.png"])

    source = Archive(archive=tmp_path / "films.zip", classes=("b", "a"), patient_pattern=r"(p\d)")

    assert [(each.label, each.patient) for each in source] == [(0, "p2"), (1, "p1"), (1, "p1")]


def test_nothing_is_written(tmp_path: Path) -> None:
    """Reading every film leaves the folder of the archive as it was."""
    pack(tmp_path / "films.zip")

    for sample in Archive(archive=tmp_path / "films.zip"):
        sample.read()

    assert [path.name for path in tmp_path.iterdir()] == ["films.zip"]


def test_what_a_mac_packs_along_is_passed_over(tmp_path: Path) -> None:
    """Hidden members and those of __MACOSX are no films, and folders are no members."""
    more = ["a/", "a/.DS_Store", "__MACOSX/a/._1.png", "__MACOSX/"]

    source = Archive(archive=pack(tmp_path / "films.zip", [*FLAT, *more]))

    assert source.classes == ("a", "b", "c")
    assert len(source) == len(FLAT)


def test_samples_are_read_in_other_processes(tmp_path: Path) -> None:
    """A sample's reader travels to a worker, which opens the archive for itself."""
    reads = [each.read for each in Archive(archive=pack(tmp_path / "films.zip"))]

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(operator.call, reads))

    assert found == [picture(3), picture(1), picture(0), picture(2)]


def test_reader_is_small(tmp_path: Path) -> None:
    """What travels to a worker is a name and a place, and no part of the archive."""
    (sample, *_) = Archive(archive=pack(tmp_path / "films.zip"))

    assert len(pickle.dumps(sample.read)) < 500


def test_archive_is_opened_once_a_process(tmp_path: Path) -> None:
    """Reading many films reads the directory of the archive once."""
    samples = list(Archive(archive=pack(tmp_path / "films.zip")))
    before = archives._opened.cache_info().misses

    for sample in samples * 3:
        sample.read()

    assert archives._opened.cache_info().misses == before + 1


def test_process_that_was_forked_opens_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor that came with a fork shares its position, so another process takes another."""
    (sample, *_) = Archive(archive=pack(tmp_path / "films.zip"))
    sample.read()
    before = archives._opened.cache_info().misses

    monkeypatch.setattr("os.getpid", lambda: -1)
    sample.read()

    assert archives._opened.cache_info().misses == before + 1


def test_relative_archive_is_read_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with another working folder reads the films of a relative archive."""
    pack(tmp_path / "films.zip")
    monkeypatch.chdir(tmp_path)
    (sample, *_) = Archive(archive=Path("films.zip"))

    monkeypatch.chdir("/")

    assert sample.read() == picture(3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"filename": "/etc/passwd"}, "has an absolute name"),
        ({"filename": "a/../../x.png"}, "leaves the archive by '..'"),
        ({"filename": ".."}, "leaves the archive by '..'"),
        ({"filename": "C:x.png"}, "has a name with a drive or backslashes"),
        ({"filename": "..\\x.png"}, "has a name with a drive or backslashes"),
        ({"filename": "a/x.png\0.exe"}, "has a name that ends before its end"),
        ({"filename": "a/1.png"}, "stands there twice"),
        ({"filename": "a//1.png"}, "stands there twice"),
        ({"external_attr": (stat.S_IFLNK | 0o777) << 16}, "is a link"),
        ({"external_attr": (stat.S_IFIFO | 0o666) << 16}, "is neither a file nor a folder"),
        ({"flag_bits": 0x1}, "is encrypted"),
        ({"flag_bits": 0x41}, "is encrypted"),
        ({"compress_type": 12}, "is compressed by method 12, expected stored or deflated"),
        ({"header_offset": 0}, "shares its bytes with another member, as in a bomb"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_hostile_member_is_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """A member that no data set needs is named and the archive refused whole."""
    said = complaint(forge(tmp_path / "films.zip", **changes))

    name = changes.get("filename", "a/odd.png")
    assert said.startswith("member ")
    if "header_offset" not in changes:
        assert said.startswith(f"member {name!r} of 'ZIP' {words}")
    assert f"{words}; nothing was read" in said


def test_bomb_is_known_by_its_ratio(tmp_path: Path) -> None:
    """A member that inflates a thousand times is refused before a byte of it is read."""
    path = forge(tmp_path / "films.zip", bytes(10_000_000))

    said = complaint(path)

    assert said.startswith("member 'a/odd.png' of 'ZIP' inflates 10")
    assert "the limit max_ratio is 100; nothing was read" in said
    assert len(Archive(archive=path, max_ratio=2000)) == len(FLAT) + 1


def test_hidden_bomb_is_refused(tmp_path: Path) -> None:
    """Members that would be passed over are judged as well."""
    said = complaint(forge(tmp_path / "films.zip", filename="__MACOSX/../../x"))

    assert "leaves the archive by '..'" in said


def test_member_with_a_lying_size_is_refused(tmp_path: Path) -> None:
    """A member that holds more than it declares ends the reading, by its name."""
    sample = odd(forge(tmp_path / "films.zip", bytes(5_000_000), file_size=300))

    with pytest.raises(DataError, match=r"'a/odd.png' .* inflates to more than the 300 bytes"):
        sample.read()


def test_lying_member_is_not_inflated_whole(tmp_path: Path) -> None:
    """What is taken into memory is bound by the declared size, whatever the member holds."""
    sample = odd(forge(tmp_path / "films.zip", bytes(50_000_000), file_size=300))

    tracemalloc.start()
    with pytest.raises(DataError):
        sample.read()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 2_000_000


def test_lie_stops_the_preparation(tmp_path: Path) -> None:
    """A table is not made of an archive in which one member lies."""
    source = Archive(archive=forge(tmp_path / "films.zip", bytes(5_000_000), file_size=300))

    with pytest.raises(DataError, match="made to do harm"):
        prepare.prepare(source, SplitPlan(), tmp_path / "out", name="zip")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_files": 3}, "'ZIP' has 4 members, the limit max_files is 3; raise it"),
        ({"max_bytes": 500}, "the limit max_bytes is 500; raise it"),
    ],
)
def test_large_archive_is_one_line(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    """Too many members and too many bytes in all name the limit that was passed."""
    assert words in complaint(pack(tmp_path / "films.zip"), **options)


def flip(data: bytearray, member: ZipInfo) -> None:
    """Change one byte in the middle of a member's content."""
    data[member.header_offset + 30 + len(member.filename) + member.compress_size // 2] ^= 0xFF


def rename(data: bytearray, member: ZipInfo) -> None:
    """Give the member another name where it lies than in the directory."""
    data[member.header_offset + 30] ^= 0x01


@pytest.mark.parametrize("damage", [flip, rename])
def test_damaged_member_is_set_aside(
    tmp_path: Path, damage: Callable[[bytearray, ZipInfo], None]
) -> None:
    """One film that can't be inflated costs that film, and the report has its name."""
    names = [f"{kind}/{number}.png" for kind in "ab" for number in range(10)]
    path = pack(tmp_path / "films.zip", names)
    with ZipFile(path) as archive:
        member = archive.getinfo("a/3.png")
    data = bytearray(path.read_bytes())
    damage(data, member)
    path.write_bytes(data)

    done = prepare.prepare(Archive(archive=path), SplitPlan(), tmp_path / "out", name="zip")

    (refused,) = done.report["set_aside"]
    assert (refused["name"], refused["reason"]) == ("a/3.png", "unreadable")
    assert "the archive is damaged here" in refused["message"]


def test_member_shorter_than_declared_is_set_aside(tmp_path: Path) -> None:
    """A member with fewer bytes than it declares is damaged, and no attack."""
    sample = odd(forge(tmp_path / "films.zip", file_size=5000))

    with pytest.raises(OSError, match=r"the archive holds \d+ of 5000 bytes"):
        sample.read()


def test_member_too_large_for_a_film_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that no memory should hold is set aside by its declared size."""
    monkeypatch.setattr(archives, "MAX_FILM_BYTES", 100)

    with pytest.raises(OSError, match="a film has 100 at most"):
        odd(forge(tmp_path / "films.zip")).read()


def test_archive_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    """Where the archive was moved away while it was read, each film says so."""
    (sample, *_) = Archive(archive=pack(tmp_path / "films.zip"))
    (tmp_path / "films.zip").unlink()

    with pytest.raises(FileNotFoundError):
        sample.read()


def test_missing_archive_is_one_line(tmp_path: Path) -> None:
    """A file that is not there is named."""
    assert complaint(tmp_path / "none.zip") == (
        "archive 'ZIP' does not exist; give the ZIP file of a data set"
    )


@pytest.mark.parametrize("keep", [0, 10, 200, -5])
def test_file_that_is_no_archive_is_one_line(tmp_path: Path, keep: int) -> None:
    """An archive that was cut off is refused before anything is read from it."""
    path = pack(tmp_path / "films.zip")
    path.write_bytes(path.read_bytes()[:keep])

    assert complaint(path).startswith("'ZIP' can't be read as a ZIP file (")


def test_archive_without_classes_is_one_line(tmp_path: Path) -> None:
    """The rules of the layout speak for archives in the same words."""
    said = complaint(pack(tmp_path / "films.zip", ["1.png", "2.png"]))

    assert said.startswith("'ZIP' holds no class folder; expected one folder for each class")


def test_empty_class_is_one_line(tmp_path: Path) -> None:
    """A folder that was packed without a file is an empty class."""
    said = complaint(pack(tmp_path / "films.zip", [*FLAT, "empty/"]))

    assert said.startswith("class folder 'empty' of 'ZIP' holds no file")


def test_family_builds_it_from_options(tmp_path: Path) -> None:
    """A YAML file chooses it by name and gives its file and limits."""
    raw = {"archive": pack(tmp_path / "films.zip"), "max_ratio": 50}

    assert len(datasets.build(datasets.options("zip").model_validate(raw))) == len(FLAT)


def test_preparing_gives_a_table(tmp_path: Path) -> None:
    """An archive becomes a table with the films' own bytes, classes and official split."""
    names = [
        f"films/{split}/{kind}/{number}.png"
        for split, count in (("train", 12), ("test", 3))
        for kind in "ab"
        for number in range(count)
    ]

    source = Archive(archive=pack(tmp_path / "films.zip", names))
    plan = SplitPlan(keep_official_test=True)
    done = prepare.prepare(source, plan, tmp_path / "out", name="zip")

    stored = set(done.table.images(done.table.rows("test")))
    assert Counter(done.table.columns["label"].tolist()) == {0: 15, 1: 15}
    assert stored == {picture(number) for number in range(24, 30)}
    assert done.report["set_aside"] == []
