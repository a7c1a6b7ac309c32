"""The four gz files of MNIST, as published, and what is told when they are not."""

import gzip
import hashlib
import os
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lucency import images
from lucency.datasets import prepare
from lucency.datasets.base import datasets
from lucency.datasets.mnist import MD5, MIRROR, PUBLISHED, Mnist
from lucency.datasets.splits import SplitPlan
from lucency.errors import DataError
from tests import web

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"


def idx(array: np.ndarray) -> bytes:
    """An idx file of bytes: magic number, sizes, values."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


def lay_out(folder: Path, train: int = 40, test: int = 20) -> Path:
    """Small files in the form of the official ones; labels go round."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for prefix, count in (("train", train), ("t10k", test)):
        pixels = rng.integers(0, 256, (count, 28, 28))
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx(pixels))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx(np.arange(count) % 10))
    return folder


def complaint(root: Path) -> str:
    """The line a person reads about files that were made here."""
    with pytest.raises(DataError) as caught:
        Mnist(root=root, verify=False)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(str(root), "ROOT")


def test_official_test_is_marked(tmp_path: Path) -> None:
    """The images of t10k are the test split, the others may be divided."""
    source = Mnist(root=lay_out(tmp_path), verify=False)

    assert len(source) == 60
    assert Counter(sample.split for sample in source) == {"train": 40, "test": 20}


def test_labels_are_the_digits(tmp_path: Path) -> None:
    """Ten classes are named by their digits, and labels are read in the order of the images."""
    source = Mnist(root=lay_out(tmp_path), verify=False)

    assert source.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert [sample.label for sample in source][:12] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_each_image_is_its_own_patient(tmp_path: Path) -> None:
    """Writers are not named in the files, so every digit stands alone."""
    samples = list(Mnist(root=lay_out(tmp_path), verify=False))

    assert len({sample.patient for sample in samples}) == len(samples)


def test_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    """An image is read row by row from the place its number gives."""
    lay_out(tmp_path)
    stored = np.arange(2 * 28 * 28).reshape(2, 28, 28) % 251
    (tmp_path / TRAIN_IMAGES).write_bytes(idx(stored))
    (tmp_path / TRAIN_LABELS).write_bytes(idx(np.array([3, 4])))

    *_, last = Mnist(root=tmp_path, verify=False)

    np.testing.assert_array_equal(images.decode(last.read())[:, :, 0], stored[1])


def test_folder_that_torchvision_made_is_enough(tmp_path: Path) -> None:
    """The files may lie in MNIST/raw below the folder that is given."""
    lay_out(tmp_path / "MNIST" / "raw")

    assert len(Mnist(root=tmp_path, verify=False)) == 60


def test_nothing_is_written_beside_the_files(tmp_path: Path) -> None:
    """A folder that is only to be read can be read."""
    lay_out(tmp_path)

    _ = [sample.read() for sample in Mnist(root=tmp_path, verify=False)]

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(MD5)


def test_files_of_another_set_are_refused(tmp_path: Path) -> None:
    """Fashion-MNIST has files of the same names and form: only the digest tells."""
    lay_out(tmp_path)

    with pytest.raises(DataError, match=r"the published file has '(f68b|d53e|9fb6|ec29)"):
        Mnist(root=tmp_path)


def test_family_builds_it_from_options(tmp_path: Path) -> None:
    """A YAML file chooses it by name, gives its folder and may switch the digests off."""
    given = {"root": lay_out(tmp_path), "verify": False}

    source = datasets.build(datasets.options("mnist").model_validate(given))

    assert len(source) == 60


def test_prepared_table_keeps_the_official_test(tmp_path: Path) -> None:
    """The test rows of a table are the images of t10k, and validation comes out of train."""
    source = Mnist(root=lay_out(tmp_path / "raw", train=60), verify=False)
    plan = SplitPlan(validation=0.2, keep_official_test=True)

    table = prepare.prepare(source, plan, tmp_path / "out", name="mnist").table

    official = {sample.read() for sample in source if sample.split == "test"}
    assert set(table.images(table.rows("test"))) == official
    assert Counter(table.columns["split"]) == {"train": 50, "validation": 10, "test": 20}


@pytest.mark.parametrize("name", sorted(MD5))
def test_missing_file_is_one_line(tmp_path: Path, name: str) -> None:
    """Each of the four files is needed, and the one that is not there is named."""
    (lay_out(tmp_path) / name).unlink()

    assert complaint(tmp_path) == (
        f"'ROOT/{name}' is missing; it is published at '{MIRROR}{name}': put it there by hand, "
        "or let it be fetched with dataset.download=true"
    )


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-20], lambda data: b"<html>" + data],
    ids=["cut", "page"],
)
def test_damaged_gzip_is_one_line(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """A file that was cut off, or is a page that says not found, is named as no gzip file."""
    path = lay_out(tmp_path) / TRAIN_IMAGES
    path.write_bytes(damage(path.read_bytes()))

    said = complaint(tmp_path)

    assert said.startswith(f"'ROOT/{TRAIN_IMAGES}' is no whole gzip file (")
    assert said.endswith("): fetch it again")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (idx(np.zeros(40)), "expected an idx file of bytes with 3 dimensions"),
        (b"", "starts with b''; expected an idx file"),
        (gzip.compress(b"digits"), "starts with b'digi'; expected an idx file"),
        (gzip.compress(bytes([0, 0, 8, 3, 0])), "expected an idx file"),
        (idx(np.zeros((40, 32, 32))), "promises shape (40, 32, 32)"),
        (
            gzip.compress(bytes([0, 0, 8, 3, *([255] * 4), 0, 0, 0, 28, 0, 0, 0, 28])),
            "promises shape (4294967295, 28, 28); expected ('n', 28, 28) with n up to 700000",
        ),
        (
            gzip.compress(bytes([0, 0, 8, 3, 0, 0, 1, 0, 0, 0, 0, 28, 0, 0, 0, 28])),
            "promises shape (256, 28, 28) and holds 0 bytes",
        ),
        (
            gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(10**7)),
            "promises shape (1, 28, 28) and holds more bytes",
        ),
        (idx(np.zeros((3, 28, 28))), "train has 3 images and 40 labels"),
    ],
    ids=["labels", "empty", "text", "short", "larger", "huge", "lying", "bomb", "fewer"],
)
def test_file_of_another_form_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    """What the header says must be what is expected, and what follows it as long as it says."""
    (lay_out(tmp_path) / TRAIN_IMAGES).write_bytes(content)

    assert said in complaint(tmp_path)


def test_bomb_is_not_inflated(tmp_path: Path) -> None:
    """What is taken into memory is bound by what the header may promise."""
    head = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28])
    (lay_out(tmp_path) / TRAIN_IMAGES).write_bytes(gzip.compress(head + bytes(50_000_000)))

    tracemalloc.start()
    complaint(tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 5_000_000


def test_label_that_is_no_digit_is_one_line(tmp_path: Path) -> None:
    """A label above nine belongs to another set."""
    (lay_out(tmp_path) / TRAIN_LABELS).write_bytes(idx(np.full(40, 10)))

    assert complaint(tmp_path).startswith("train has label 10; the 10 classes")


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[web.Answer]:
    """Small files as if they were the published ones, in the order in which they are asked for."""
    packed = {name: (folder / name).read_bytes() for name in MD5}
    for name, data in packed.items():
        monkeypatch.setitem(MD5, name, hashlib.md5(data).hexdigest())
        known = (len(data), hashlib.sha256(data).hexdigest())
        monkeypatch.setitem(PUBLISHED, name, known)
    return [web.body(data) for data in packed.values()]


def test_missing_files_are_fetched_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With download each file comes from the mirror, once: the next reading asks nobody."""
    answers = publish(lay_out(tmp_path / "published"), monkeypatch)

    with web.serving(*answers) as server:
        first = Mnist(root=tmp_path / "new", download=True, mirror=f"{server.url}/mnist/")
        again = Mnist(root=tmp_path / "new", download=True, mirror=f"{server.url}/mnist/")

    assert len(first) == len(again) == 60
    assert [path for path, _ in server.asked] == [f"/mnist/{name}" for name in MD5]
    assert sorted(path.name for path in (tmp_path / "new/MNIST/raw").iterdir()) == sorted(MD5)


def test_only_what_is_missing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Local files come first, and the one that is not there joins them."""
    folder = lay_out(tmp_path)
    answers = dict(zip(MD5, publish(folder, monkeypatch), strict=True))
    (folder / TRAIN_LABELS).unlink()

    with web.serving(answers[TRAIN_LABELS]) as server:
        source = Mnist(root=folder, download=True, mirror=server.url)

    assert len(source) == 60
    assert [path for path, _ in server.asked] == [f"/{TRAIN_LABELS}"]


def test_fetched_files_are_compared_without_verify(tmp_path: Path) -> None:
    """``verify: false`` is for files that a person made, never for what a server sends."""
    with web.serving(web.body(idx(np.zeros((4, 28, 28))))) as server, pytest.raises(DataError):
        Mnist(root=tmp_path / "new", verify=False, download=True, mirror=server.url)

    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(
    "LUCENCY_DATA" not in os.environ,
    reason="LUCENCY_DATA does not name the folder that holds mnist/",
)
def test_real_files_are_those_that_are_expected(tmp_path: Path) -> None:
    """The published bytes, sent over HTTP, have the size, MD5 and SHA-256 that stand here."""
    raw = Path(os.environ["LUCENCY_DATA"]) / "mnist" / "MNIST" / "raw"
    answers = [web.body((raw / name).read_bytes()) for name in MD5]

    with web.serving(*answers) as server:
        source = Mnist(root=tmp_path, download=True, mirror=server.url)

    assert len(source) == 70_000


@pytest.mark.skipif(
    "LUCENCY_DATA" not in os.environ,
    reason="LUCENCY_DATA does not name the folder that holds mnist/",
)
def test_real_set_is_whole() -> None:
    """The published files hold 60,000 and 10,000 digits, the first two of train a 5 and a 0."""
    source = Mnist(root=Path(os.environ["LUCENCY_DATA"]) / "mnist")

    samples = list(source)

    train = [sample for sample in samples if sample.split == "train"]
    assert (len(samples), len(train)) == (70_000, 60_000)
    assert [sample.label for sample in train[:4]] == [5, 0, 4, 1]
    assert Counter(sample.label for sample in train)[1] == 6742
    assert images.decode(train[0].read()).sum() == 27_525
