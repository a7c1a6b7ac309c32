"""Preparation survives what is made to break it: every file gets its reason, good films stay."""

import io
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucency import images
from lucency.datasets import prepare
from lucency.datasets.archive import Archive
from lucency.datasets.base import Dataset
from lucency.datasets.cifar10 import MD5 as BATCHES
from lucency.datasets.cifar10 import Cifar10
from lucency.datasets.dicom import Dicom
from lucency.datasets.folder import Folder
from lucency.datasets.manifest import Manifest
from lucency.datasets.medmnist import MedMnist
from lucency.datasets.mnist import MD5 as DIGITS
from lucency.datasets.mnist import Mnist
from lucency.datasets.splits import SplitPlan
from lucency.errors import DataError
from tests import hostile, hostile_dicom
from tests.processes import run_job

# Pillow warns of what it then raises; that a warning is an error is a rule of tests alone.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

PICTURES = {each.name: each for each in hostile.images()}
ARCHIVES = hostile.archives()
MEMBERS = hostile.members()
MANIFESTS = hostile.manifests()
LISTINGS = hostile.listings()
ARRAYS = hostile.arrays()
DIGIT_FILES = hostile.digits()
BATCH_FILES = hostile.batches()
DICOMS = hostile_dicom.hostile_dicoms()
# The largest film that is decoded has 40 megapixels, and some copies of it are made.
MOST_GROWTH_BYTES = 300 << 20
MOST_SECONDS = 120

CHILD = """
import os, sys
from pathlib import Path
from lucency.datasets import prepare
from lucency.datasets.folder import Folder
from lucency.datasets.splits import SplitPlan
def peak_kib():
    # Not ru_maxrss: that begins with what the parent had.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
films, output = map(Path, sys.argv[1:3])
if sys.argv[3] == "nobody" and os.geteuid() == 0:
    # Once as root, for libraries load parts of themselves late, from where others may not look.
    prepare.prepare(Folder(root=films), SplitPlan(), output.with_name("first"), name="first")
    os.seteuid(65534)
before = peak_kib()
prepare.prepare(Folder(root=films), SplitPlan(), output, name="hostile")
print(peak_kib() - before)
"""


def good_films(root: Path) -> Path:
    """Twenty films of two classes."""
    for number, name in enumerate(hostile.GOOD):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(hostile.good(number))
    return root


def prepared(source: Dataset, tmp_path: Path) -> dict[str, Any]:
    """The report of a preparation."""
    return prepare.prepare(source, SplitPlan(), tmp_path / "out", name="hostile").report


def lawful_dicom(kind: str, number: int) -> bytes:
    """A film of a patient of its own, which no other kind and number has."""
    noise = np.random.default_rng([ord(kind), number])
    pixels = noise.integers(0, 4096, (40, 32)).astype(np.uint16)
    return hostile_dicom.encode(hostile_dicom.film(pixels, PatientID=f"{kind}{number}"))


def reasons(report: dict[str, Any]) -> dict[str, str]:
    """Reason by name of all that was set aside."""
    return {each["name"]: each["reason"] for each in report["set_aside"]}


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing but the output folder changes, also not what a relative path could reach."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (tmp_path / "escaped.png").write_bytes(b"outside")
    yield
    assert list((tmp_path / "cwd").iterdir()) == []
    assert (tmp_path / "escaped.png").read_bytes() == b"outside"
    allowed = {"cwd", "escaped.png", "out", "data", "data.zip", "config.yaml"}
    assert {path.name for path in tmp_path.iterdir()} <= allowed


@pytest.mark.parametrize("name", PICTURES)
def test_picture_gets_its_reason(tmp_path: Path, name: str) -> None:
    """Beside good films each hostile one is set aside for what it is, each odd one is kept."""
    root = good_films(tmp_path / "data")
    (root / "a" / name).write_bytes(PICTURES[name].data)

    report = prepared(Folder(root=root), tmp_path)

    found = reasons(report)
    assert found.get(f"a/{name}", hostile.KEPT) in PICTURES[name].reasons
    assert set(found) <= {f"a/{name}"}
    assert report["films"] == len(hostile.GOOD) + 1 - len(found)


@pytest.mark.parametrize("code", range(1, 9))
def test_turned_film_comes_upright(code: int) -> None:
    """Whichever way a film was held, its bright corner is where a person sees it."""
    pixels = images.decode(hostile.turned(code))[:, :, 0].astype(int)

    assert pixels.shape == (32, 48)
    assert pixels[:16, :24].mean() > 150 > 80 > pixels[16:].mean()
    assert pixels[:16, 24:].mean() < 80


def test_whole_corpus_at_once(tmp_path: Path) -> None:
    """One folder of all of it: good films kept, the rest listed, memory, time, disk bounded."""
    root = good_films(tmp_path / "data")
    expected = hostile.entries(root / "b")
    for each in PICTURES.values():
        (root / "a" / each.name).write_bytes(each.data)
    for number, (_, data, _) in enumerate(DICOMS):
        (root / "b" / f"dicom_{number}.dcm").write_bytes(data)
    for number, name in enumerate(hostile.odd_names()):
        (root / "a" / name).write_bytes(hostile.good(100 + number))
    (root / "a" / "folder.jpeg").mkdir()
    (root / "a" / "folder.jpeg" / "inside.png").write_bytes(hostile.good(200))
    (root / "b" / "label_conflict.png").write_bytes(hostile.good(0))
    (root / "a" / "duplicate.png").write_bytes(hostile.good(1))
    before = listing(root)

    done = child(root, tmp_path / "out")

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < MOST_GROWTH_BYTES
    assert listing(root) == before
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    found = reasons(report)
    for name in ("a/duplicate.png", "a/0.png", "b/label_conflict.png"):
        found.pop(name)
    for name, reason in expected.items():
        assert found.pop(f"b/{name}") == reason, name
    for each in PICTURES.values():
        assert found.pop(f"a/{each.name}", hostile.KEPT) in each.reasons, each.name
    # Among pictures a DICOM file is of another type, whatever is wrong with it besides; one of
    # them is not even DICOM by its first bytes.
    strange = {found.pop(f"b/dicom_{number}.dcm") for number in range(len(DICOMS))}
    assert strange == {"unsupported_type", "empty", "unreadable"}
    assert found == {}


def child(root: Path, output: Path, user: str = "") -> "subprocess.CompletedProcess[str]":
    """Prepare a folder in a process of its own, which tells by how much its memory grew."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(root), str(output), user],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
    )


def listing(root: Path) -> dict[str, tuple[int, int]]:
    """Name, size and time of all below a folder."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
    }


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read_is_told(kind: str) -> None:
    """A film without the right to be read is set aside; a folder without it ends the work."""
    # Not in tmp_path, which is closed to others: the child gives up the rights of root.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        root = good_films(Path(folder) / "data")
        locked = root / "a" if kind == "folder" else root / "a" / "0.png"
        locked.chmod(0)

        done = child(root, Path(folder) / "out", "nobody")

        locked.chmod(0o755)
        if kind == "folder":
            assert f"folder '{locked}' can't be listed (Permission denied)" in done.stderr
        else:
            assert done.returncode == 0, done.stderr
            report = json.loads((Path(folder) / "out" / "report.json").read_text())
            assert reasons(report) == {"a/0.png": "unreadable"}


def test_name_that_is_no_text_ends_the_work(tmp_path: Path) -> None:
    """Neither table nor report can hold such a name, so it is told at once."""
    root = good_films(tmp_path / "data")
    (root / "a" / os.fsdecode(b"\xff\xfe.png")).write_bytes(hostile.good(300))

    with pytest.raises(DataError, match="is not UTF-8; rename the file"):
        Folder(root=root)


def test_hostile_dicoms_get_their_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As films of a hospital, beside lawful ones, they are set aside for what each of them is."""
    monkeypatch.setenv("LUCENCY_DICOM_KEY", "k" * 64)
    root = tmp_path / "data"
    for kind in "ab":
        (root / kind).mkdir(parents=True)
        for number in range(10):
            (root / kind / f"{number}.dcm").write_bytes(lawful_dicom(kind, number))
    for number, (_, data, _) in enumerate(DICOMS):
        (root / "a" / f"hostile_{number}.dcm").write_bytes(data)

    report = prepared(Dicom(roots=(root,), view_missing="keep"), tmp_path)

    # Names are salted there, so reasons are counted. What has no pixels, a report for example,
    # is told by its modality first.
    found = Counter(report["set_aside_by_reason"])
    found["no_pixels"] += found.pop("wrong_modality", 0)
    assert found == Counter(reason for _, _, reason in DICOMS)
    assert report["films"] == 20


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archive_is_refused_whole(tmp_path: Path, name: str) -> None:
    """A ZIP file that could do harm gives one error and no table; an odd one is read."""
    data, words = ARCHIVES[name]
    (tmp_path / "data.zip").write_bytes(data)

    if words:
        with pytest.raises(DataError) as caught:
            prepared(Archive(archive=tmp_path / "data.zip"), tmp_path)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
    else:
        assert prepared(Archive(archive=tmp_path / "data.zip"), tmp_path)["films"] == 20


@pytest.mark.parametrize("name", MEMBERS)
def test_damaged_member_costs_itself_alone(tmp_path: Path, name: str) -> None:
    """One member that can't be read, or is no film, is set aside, and the others are kept."""
    data, member, reason = MEMBERS[name]
    (tmp_path / "data.zip").write_bytes(data)

    report = prepared(Archive(archive=tmp_path / "data.zip"), tmp_path)

    assert reasons(report) == {member: reason}


@pytest.mark.parametrize("name", MANIFESTS)
def test_hostile_manifest_is_refused(tmp_path: Path, name: str) -> None:
    """A list that leads out of its folder, or is none, is told in one line."""
    data, words = MANIFESTS[name]
    root = good_films(tmp_path / "data")
    (root / "films.csv").write_bytes(data)

    with pytest.raises(DataError) as caught:
        Manifest(manifest=root / "films.csv")

    assert words in str(caught.value)


@pytest.mark.parametrize("name", LISTINGS)
def test_listed_oddity_is_set_aside(tmp_path: Path, name: str) -> None:
    """A row that leads to nothing, or to no film, costs that row."""
    data, film, reason = LISTINGS[name]
    root = good_films(tmp_path / "data")
    (root / "films.csv").write_bytes(data)

    report = prepared(Manifest(manifest=root / "films.csv"), tmp_path)

    assert reasons(report) == {film: reason}


@pytest.mark.parametrize("name", ARRAYS)
def test_hostile_arrays_are_refused(tmp_path: Path, name: str) -> None:
    """An npz file that holds code, lies about its size or inflates without end is one error."""
    data, words = ARRAYS[name]
    (tmp_path / "data").write_bytes(data)

    with pytest.raises(DataError) as caught:
        MedMnist(path=tmp_path / "data", max_bytes=1 << 24)

    assert words in str(caught.value)


@pytest.mark.parametrize("name", DIGIT_FILES)
def test_hostile_idx_is_refused(tmp_path: Path, name: str) -> None:
    """Counts that lie and gzip bombs end at what the header may promise."""
    data, words = DIGIT_FILES[name]
    (tmp_path / "data").mkdir()
    for each in DIGITS:
        (tmp_path / "data" / each).write_bytes(data)

    with pytest.raises(DataError) as caught:
        Mnist(root=tmp_path / "data", verify=False)

    assert words in str(caught.value)


@pytest.mark.parametrize("name", BATCH_FILES)
def test_hostile_pickle_is_refused(tmp_path: Path, name: str) -> None:
    """A pickle that would run code, take the memory or end the process is one error."""
    data, words = BATCH_FILES[name]
    (tmp_path / "data").mkdir()
    for each in BATCHES:
        (tmp_path / "data" / each).write_bytes(data)

    with pytest.raises(DataError) as caught:
        Cifar10(root=tmp_path / "data", verify=False)

    assert words in str(caught.value)


def test_pickles_of_this_corpus_would_run(tmp_path: Path) -> None:
    """What is refused above does leave its mark where nothing holds it back."""
    (tmp_path / "data").mkdir()
    os.chdir(tmp_path / "data")

    np.load(io.BytesIO(ARRAYS["pickle"][0]), allow_pickle=True)

    assert (tmp_path / "data" / "ran_pickle").is_dir()


def write_config(folder: Path, dataset: str) -> Path:
    """What the command is told."""
    path = folder / "config.yaml"
    path.write_text(f"dataset: {dataset}\noutput: {folder / 'out'}\n")
    return path


def test_command_lists_what_it_set_aside(tmp_path: Path) -> None:
    """The command ends well beside hostile films, and says how many there were of each kind."""
    root = good_films(tmp_path / "data")
    for each in list(PICTURES.values())[:40]:
        (root / "a" / each.name).write_bytes(each.data)

    done = run_job("prepare", str(write_config(tmp_path, f"{{name: folder, root: {root}}}")))

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    kept = sum(each.reasons == (hostile.KEPT,) for each in list(PICTURES.values())[:40])
    assert result["films"] == len(hostile.GOOD) + kept
    assert sum(result["set_aside_by_reason"].values()) == 40 - kept
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["parent", "quoted_bomb", "cut_directory"])
def test_command_refuses_an_archive_in_one_line(tmp_path: Path, name: str) -> None:
    """The command ends with status 1 and one line, and there is no table."""
    (tmp_path / "data.zip").write_bytes(ARCHIVES[name][0])
    config = write_config(tmp_path, f"{{name: zip, archive: {tmp_path / 'data.zip'}}}")

    done = run_job("prepare", str(config))

    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    assert ARCHIVES[name][1] in json.loads(done.stdout.splitlines()[-1])["error"]
    assert not (tmp_path / "out").exists()


def test_corpus_is_as_large_as_promised() -> None:
    """Sixty distinct pictures and archives and more, each of a name and content of its own."""
    files = [each.data for each in PICTURES.values()] + [data for data, _ in ARCHIVES.values()]

    assert len(set(files)) >= 140
