"""The Python batches of CIFAR-10, read without letting a pickle run anything."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lucency import images
from lucency.datasets import cifar10, prepare
from lucency.datasets.base import datasets
from lucency.datasets.cifar10 import CLASSES, MD5, MIRROR, Cifar10
from lucency.datasets.splits import SplitPlan
from lucency.errors import DataError
from tests import web

# numpy.dtype("uint8") in a pickle of numpy's own.
DTYPE = (
    b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
BATCHES = [name for name in MD5 if "batch_" in name or name == "test_batch"]


def text(value: str) -> bytes:
    """A str as Python 2 pickled it."""
    return b"U" + bytes([len(value)]) + value.encode()


def batch(pixels: np.ndarray, labels: Sequence[int]) -> bytes:
    """A batch as the authors' Python 2 wrote it: protocol 2, the array by its old path."""
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        b"(K\x01K" + bytes([len(pixels)]) + b"M\x00\x0c\x86" + DTYPE + b"\x89"
        b"T" + len(planes).to_bytes(4, "little") + planes + b"tb"
    )
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text("data") + array + text("labels") + listed + b"u."


def pixels_of(count: int, seed: int = 0) -> np.ndarray:
    """Colours without order."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def lay_out(root: Path, count: int = 20) -> Path:
    """Six small batches and the names in the form of the official ones; labels go round."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for seed, name in enumerate(BATCHES):
        (folder / name).write_bytes(batch(pixels_of(count, seed), [i % 10 for i in range(count)]))
    names = b"](" + b"".join(map(text, CLASSES)) + b"e"
    (folder / "batches.meta").write_bytes(b"\x80\x02}" + text("label_names") + names + b"s.")
    return folder


def complaint(folder: Path) -> str:
    """The line a person reads about batches that were made here."""
    with pytest.raises(DataError) as caught:
        Cifar10(root=folder, verify=False)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(str(folder), "ROOT")


def test_official_test_is_marked(tmp_path: Path) -> None:
    """The pictures of test_batch are the test split, the other five batches may be divided."""
    lay_out(tmp_path)

    source = Cifar10(root=tmp_path, verify=False)

    assert len(source) == 120
    assert Counter(sample.split for sample in source) == {"train": 100, "test": 20}


def test_batches_follow_one_another(tmp_path: Path) -> None:
    """Rows of train are counted through the five batches, with pictures in their colours."""
    source = Cifar10(root=lay_out(tmp_path), verify=False)

    sample = next(sample for sample in source if sample.name == "train/00041")

    np.testing.assert_array_equal(images.decode(sample.read(), color="RGB"), pixels_of(20, 2)[1])
    assert source.classes[sample.label] == "automobile"


def test_made_batch_is_what_pickle_reads() -> None:
    """The batches of these tests have the form of a pickled dictionary with a numpy array."""
    pixels = pixels_of(3)
    data = batch(pixels, [1, 2, 3]).replace(b"numpy.core.", b"numpy._core.")

    loaded = pickle.loads(data, encoding="bytes")

    np.testing.assert_array_equal(loaded[b"data"], pixels.transpose(0, 3, 1, 2).reshape(3, -1))


def test_family_builds_it_from_options(tmp_path: Path) -> None:
    """A YAML file chooses it by name, gives its folder and may switch the digests off."""
    given = {"root": lay_out(tmp_path), "verify": False}

    source = datasets.build(datasets.options("cifar10").model_validate(given))

    assert len(source) == 120


def test_prepared_table_keeps_the_official_test(tmp_path: Path) -> None:
    """The test rows of a table are the pictures of test_batch, in colour as they were."""
    source = Cifar10(root=lay_out(tmp_path / "raw"), verify=False)
    plan = SplitPlan(validation=0.1, keep_official_test=True)

    table = prepare.prepare(source, plan, tmp_path / "out", name="cifar10").table

    official = {sample.read() for sample in source if sample.split == "test"}
    assert set(table.images(table.rows("test"))) == official
    assert Counter(table.columns["split"]) == {"train": 90, "validation": 10, "test": 20}


class Call:
    """Pickled, it asks for a call at load."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.asked = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.asked


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", ["system", "eval", "getattr"])
def test_malicious_batch_runs_nothing(tmp_path: Path, name: str, protocol: int) -> None:
    """A pickle that names a function is refused, and the function is not called."""
    mark = tmp_path / "ran"
    calls = {
        "system": Call(os.system, f"touch {mark}"),
        "eval": Call(eval, f"open({str(mark)!r}, 'w')"),
        "getattr": Call(getattr, Call(open, str(mark), "w"), "name"),
    }
    folder = lay_out(tmp_path)
    (folder / "data_batch_3").write_bytes(pickle.dumps(calls[name], protocol))

    said = complaint(folder)

    assert said.startswith("'ROOT/data_batch_3' is refused: it names '")
    assert not mark.exists()


def test_pickle_of_these_tests_would_run(tmp_path: Path) -> None:
    """The malicious pickle above does what it says where nothing holds it back."""
    mark = tmp_path / "ran"

    pickle.loads(pickle.dumps(Call(os.system, f"touch {mark}")))

    assert mark.exists()


@pytest.mark.parametrize(
    "name", [b"numpy\nload", b"numpy\nfromfile", b"numpy.core.multiarray\nfromfile", b"os\nsystem"]
)
def test_other_functions_of_numpy_are_refused(tmp_path: Path, name: bytes) -> None:
    """Only what rebuilds an array may be named, not what else is in those modules."""
    folder = lay_out(tmp_path)
    (folder / "test_batch").write_bytes(b"\x80\x02c" + name + b"\n.")

    assert "is refused: it names" in complaint(folder)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"U\x02u1", b"U\x02O8"),
        (b"U\x02u1", b"U\x02f8"),
        (b"tb\x89T", b"tb\x88T"),
        (b"K\x14M\x00\x0c", b"K\x15M\x00\x0c"),
        (b"cnumpy\ndtype\n", b"cnumpy\nndarray\n"),
        (DTYPE, b"N"),
    ],
    ids=["objects", "floats", "columns first", "rows", "array for dtype", "no dtype"],
)
def test_array_of_another_form_is_refused(tmp_path: Path, before: bytes, after: bytes) -> None:
    """Bytes, row by row, as many as the shape says: the rest could harm or mean another picture."""
    folder = lay_out(tmp_path)
    data = (folder / "test_batch").read_bytes()
    assert before in data
    (folder / "test_batch").write_bytes(data.replace(before, after))

    assert complaint(folder).startswith("'ROOT/test_batch' is refused: ")


def test_batches_of_another_set_are_refused(tmp_path: Path) -> None:
    """With digests on, a file that is not the published one is not even unpickled."""
    folder = lay_out(tmp_path)
    (folder / "batches.meta").write_bytes(pickle.dumps(Call(os.system, f"touch {tmp_path}/ran")))

    with pytest.raises(DataError, match="the published file has '5ff9c542"):
        Cifar10(root=tmp_path)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", sorted(MD5))
def test_missing_file_is_one_line(tmp_path: Path, name: str) -> None:
    """Each of the seven files is needed, and the one that is not there is named."""
    folder = lay_out(tmp_path)
    (folder / name).unlink()

    assert complaint(folder) == f"'ROOT/{name}' can't be read (No such file or directory): fetch it"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (batch(pixels_of(2), [0, 1])[:500], "is refused: expected 6144 bytes in a string4"),
        (b"", "is refused: pickle exhausted before seeing STOP"),
        (b"<html>", "is refused: "),
        (b"\x80\x02r\xff\xff\xff\x7f.", "is refused: it numbers an object 2147483647"),
        (b"\x80\x02})" + b"\x85" * 10**6 + b"Ns.", "is refused: it holds more than 100 tuples"),
        (b"cos\na\tb\n.", "it names 'os.a\\tb'"),
        (b"Pelsewhere\n.", "it names an object outside of the file"),
        (pickle.dumps([1, 2]), "holds a list, expected a dictionary"),
        (pickle.dumps({b"labels": [1]}), "expected 'data' of shape (n, 3072)"),
        (pickle.dumps({b"data": b"1", b"labels": [1]}), "expected 'data' of shape (n, 3072)"),
        (
            batch(pixels_of(2), [0, 1]).replace(b"labels", b"l4bels"),
            "no list of labels from 0 to 9",
        ),
        (batch(pixels_of(2), [0]), "2 images and 1 labels"),
        (batch(pixels_of(2), [0, 10]), "no list of labels from 0 to 9 under"),
    ],
    ids=[
        "cut",
        "empty",
        "page",
        "memory",
        "nested",
        "odd name",
        "outside",
        "list",
        "no data",
        "bytes",
        "no labels",
        "fewer",
        "label",
    ],
)
def test_batch_of_another_form_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    """What was found in place of a batch is told in one line."""
    folder = lay_out(tmp_path)
    (folder / "data_batch_1").write_bytes(content)

    assert said in complaint(folder)


def test_other_class_names_are_refused(tmp_path: Path) -> None:
    """Names in another order would give every picture a wrong class."""
    folder = lay_out(tmp_path)
    meta = (folder / "batches.meta").read_bytes()
    (folder / "batches.meta").write_bytes(
        meta.replace(text("cat"), text("???")).replace(text("dog"), text("cat"))
    )

    assert "names the classes" in complaint(folder)


def publish(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes = tarfile.REGTYPE
) -> web.Answer:
    """An archive of small batches as if it were the published one, with a file too many."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in ["../escaped", *MD5]:
            data = b"out" if name.startswith("..") else (folder / name).read_bytes()
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            if name == "test_batch" and kind != tarfile.REGTYPE:
                member.type, member.linkname, member.size = kind, "/etc/passwd", 0
            archive.addfile(member, io.BytesIO(data))
            if name in MD5:
                monkeypatch.setitem(MD5, name, hashlib.md5(data).hexdigest())
    packed = stream.getvalue()
    monkeypatch.setattr(cifar10, "ARCHIVE_BYTES", len(packed))
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", hashlib.md5(packed).hexdigest())
    monkeypatch.setattr(cifar10, "ARCHIVE_SHA256", hashlib.sha256(packed).hexdigest())
    return web.body(packed)


def test_missing_set_is_offered(tmp_path: Path) -> None:
    """Nothing is fetched unasked: where the archive is published is told."""
    said = complaint(tmp_path)

    assert said.endswith(
        f"it is published at '{MIRROR}cifar-10-python.tar.gz': put it there by hand, or let it "
        "be fetched with dataset.download=true"
    )


def test_missing_set_is_fetched_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive comes once, and of all that it holds only the seven files are written."""
    answer = publish(lay_out(tmp_path / "published"), monkeypatch)

    with web.serving(answer) as server:
        first = Cifar10(root=tmp_path / "new", download=True, mirror=server.url)
        again = Cifar10(root=tmp_path / "new", download=True, mirror=server.url)

    assert len(first) == len(again) == 120
    assert [path for path, _ in server.asked] == ["/cifar-10-python.tar.gz"]
    written = [path.relative_to(tmp_path / "new") for path in (tmp_path / "new").rglob("*")]
    assert sorted(map(str, written)) == sorted(
        ["cifar-10-batches-py", *(f"cifar-10-batches-py/{name}" for name in MD5)]
    )


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_archive_of_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    """A batch that is a link or a folder is none, and nothing is left of the attempt."""
    answer = publish(lay_out(tmp_path / "published"), monkeypatch, kind)

    with web.serving(answer) as server, pytest.raises(DataError, match="check the mirror"):
        Cifar10(root=tmp_path / "new", download=True, mirror=server.url)

    assert not (tmp_path / "new").exists()


def test_other_batch_in_the_archive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is compared as well as the archive, and nothing is left of another one."""
    answer = publish(lay_out(tmp_path / "published"), monkeypatch)
    monkeypatch.setitem(MD5, "data_batch_4", "0" * 32)

    with web.serving(answer) as server, pytest.raises(DataError, match="data_batch_4"):
        Cifar10(root=tmp_path / "new", download=True, mirror=server.url)

    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(
    "LUCENCY_DATA" not in os.environ,
    reason="LUCENCY_DATA does not name the folder that holds cifar10/",
)
def test_real_set_is_whole(tmp_path: Path) -> None:
    """The published batches hold 5,000 and 1,000 of each class; a frog is first, and a cat."""
    script = Path(os.environ["LUCENCY_DATA"]) / "cifar10" / "unpack_cifar10.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)

    source = Cifar10(root=tmp_path)

    counted = Counter((sample.split, sample.label) for sample in source)
    firsts = {sample.split: sample for sample in reversed(list(source))}
    assert counted == {
        **{("train", label): 5000 for label in range(10)},
        **{("test", label): 1000 for label in range(10)},
    }
    assert source.classes[firsts["train"].label] == "frog"
    assert source.classes[firsts["test"].label] == "cat"
    pixels = images.decode(firsts["train"].read(), color="RGB")
    assert pixels[0, 0].tolist() == [59, 62, 63]
