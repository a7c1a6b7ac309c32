"""The npz files of MedMNIST, and the patients that a table of rows gives back to them."""

import hashlib
import os
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from lucency import images
from lucency.config.prepare import PrepareConfig
from lucency.datasets import clean, prepare, splits
from lucency.datasets.base import datasets
from lucency.datasets.medmnist import MIRROR, MedMnist
from lucency.datasets.splits import SplitPlan
from lucency.errors import DataError
from tests import web

CONFIG = Path(__file__).parents[3] / "configs" / "prepare" / "pneumoniamnist.yaml"
COUNTS = {"train": 24, "val": 8, "test": 8}
HEADER = "split,index,label,patient_id\n"


def arrays(*shape: int) -> dict[str, np.ndarray]:
    """The six arrays of a set; labels go round, as a column of bytes."""
    rng = np.random.default_rng(0)
    made: dict[str, np.ndarray] = {}
    for name, count in COUNTS.items():
        made[f"{name}_images"] = rng.integers(0, 256, (count, *(shape or (28, 28))), np.uint8)
        made[f"{name}_labels"] = (np.arange(count, dtype=np.uint8) % 2)[:, None]
    return made


def write(folder: Path, **changed: Any) -> Path:
    """The set as a file, with some of its arrays changed."""
    path = folder / "set.npz"
    np.savez_compressed(path, **{**arrays(), **changed})
    return path


def rows(folder: Path, lines: str, header: str = HEADER) -> Path:
    """A table of rows and patients."""
    path = folder / "rows.csv"
    path.write_text(header + lines)
    return path


def complaint(path: Path, **options: Any) -> str:
    """The line a person reads, without the place of the test's own folder."""
    with pytest.raises(DataError) as caught:
        MedMnist(path=path, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(str(path.parent), "HERE")


def test_keys_say_split_and_label(tmp_path: Path) -> None:
    """Every row has the split of its key and the class of its label."""
    source = MedMnist(path=write(tmp_path))

    assert len(source) == 40
    assert Counter(sample.split for sample in source) == {"train": 24, "validation": 8, "test": 8}
    assert [source.classes[sample.label] for sample in source][:2] == ["NORMAL", "PNEUMONIA"]


def test_colour_is_kept(tmp_path: Path) -> None:
    """A set with three channels gives pictures in colour."""
    made = arrays(28, 28, 3)

    first = next(iter(MedMnist(path=write(tmp_path, **made))))

    np.testing.assert_array_equal(images.decode(first.read(), color="RGB"), made["test_images"][0])


def test_labels_may_be_a_plain_row(tmp_path: Path) -> None:
    """Labels without the second axis are the same labels."""
    flat = {f"{name}_labels": np.arange(count) % 2 for name, count in COUNTS.items()}

    plain = MedMnist(path=write(tmp_path, **flat))

    assert [sample.label for sample in plain][:3] == [0, 1, 0]


def test_family_builds_it_from_options(tmp_path: Path) -> None:
    """A YAML file chooses it by name and names file, classes, rows and site."""
    given = {
        "path": write(tmp_path),
        "classes": ["benign", "malignant"],
        "rows": rows(tmp_path, ""),
        "site": "ward",
    }

    source = datasets.build(datasets.options("medmnist").model_validate(given))

    assert source.classes == ("benign", "malignant")
    assert {sample.site for sample in source} == {"ward"}


def test_one_class_is_no_choice() -> None:
    """A set needs two classes or more, and a file that says otherwise is refused at load."""
    with pytest.raises(ValidationError, match="at least 2 items"):
        datasets.options("medmnist").model_validate({"classes": ["NORMAL"]})


def test_table_of_rows_names_the_patients(tmp_path: Path) -> None:
    """A row that the table names has that patient, any other row is a patient of its own."""
    table = rows(tmp_path, "train,0,0,Ann\ntrain,2,0,Ann\nval,1,1,Ben\ntest,3,1,\n")

    samples = {sample.name: sample.patient for sample in MedMnist(path=write(tmp_path), rows=table)}

    assert {samples[name] for name in ("train/00000", "train/00002")} == {"Ann"}
    assert samples["val/00001"] == "Ben"
    assert samples["test/00003"] == "test/00003"
    assert samples["train/00001"] == "train/00001"
    assert len(set(samples.values())) == 39


def test_table_of_rows_needs_no_labels(tmp_path: Path) -> None:
    """Split, index and patient are enough; other columns are passed over."""
    table = rows(tmp_path, "Ann,x.jpeg,train,5\n", "patient_id,file,split,index\n")

    source = MedMnist(path=write(tmp_path), rows=table)

    assert "Ann" in {sample.patient for sample in source}


def test_leak_of_the_official_split_is_mended(tmp_path: Path) -> None:
    """A child with films in train and in val is in one split of the prepared table."""
    lines = [f"train,{row},{row % 2},child{row // 4 * 2 + row % 2}\n" for row in range(24)]
    lines += [f"val,{row},{row % 2},child{row}\n" for row in range(8)]
    source = MedMnist(path=write(tmp_path), rows=rows(tmp_path, "".join(lines)))
    plan = SplitPlan(validation=0.3, keep_official_test=True)

    table = prepare.prepare(source, plan, tmp_path / "out", name="medmnist").table

    split_of = defaultdict(set)
    for patient, split in zip(table.columns["patient"], table.columns["split"], strict=True):
        split_of[patient].add(split)
    assert len(split_of) == 12 + 8
    assert all(len(found) == 1 for found in split_of.values())
    assert Counter(table.columns["split"])["test"] == 8


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("train,24,0,Ann\n", "there is no row '24' in split 'train'; rows are {'test': 8"),
        ("train,-1,0,Ann\n", "there is no row '-1'"),
        ("train,,0,Ann\n", "there is no row ''"),
        ("train\n", "there is no row ''"),
        ("validation,0,0,Ann\n", "there is no row '0' in split 'validation'"),
        ("train,0,1,Ann\n", "label '1', but the image has '0': the CSV belongs to another file"),
        ("train,0,0,Ann\ntrain,0,0,Ben\n", "line 3: train 0 stands there twice"),
    ],
    ids=["beyond", "before", "none", "short", "split", "label", "twice"],
)
def test_table_of_another_file_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    """A line that does not fit the images is named, because patients would be wrong in silence."""
    table = rows(tmp_path, lines)

    found = complaint(write(tmp_path), rows=table)

    assert found.startswith("'HERE/rows.csv', line ")
    assert said in found


def test_table_without_a_column_is_refused(tmp_path: Path) -> None:
    """The columns that are missing are named beside those that are there."""
    table = rows(tmp_path, "train,0\n", "split,index\n")

    assert complaint(write(tmp_path), rows=table) == (
        "'HERE/rows.csv' has the columns ['split', 'index']; ['patient_id'] are missing"
    )


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", None], ids=["empty", "binary", "none"])
def test_unreadable_table_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A table that is not there, or is no text, is named."""
    table = tmp_path / "rows.csv"
    if content is not None:
        table.write_bytes(content)

    assert complaint(write(tmp_path), rows=table).startswith("'HERE/rows.csv' ")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"val_images": np.zeros((8, 28, 28))}, "the val images are float64"),
        ({"val_images": np.zeros((8, 28, 28, 28), np.uint8)}, "of shape (8, 28, 28, 28)"),
        ({"val_images": np.zeros((7, 28, 28), np.uint8)}, "val has 7 images and 8 labels"),
        ({"train_labels": np.zeros((24, 14), np.uint8)}, "sets with several are not read"),
        ({"train_labels": np.zeros((24, 1))}, "the train labels are float64"),
        ({"train_labels": np.full((24, 1), 2)}, "train has label 2; the 2 classes"),
    ],
    ids=["float", "volumes", "fewer", "several", "float labels", "label"],
)
def test_arrays_of_another_form_are_refused(
    tmp_path: Path, changed: dict[str, np.ndarray], said: str
) -> None:
    """What does not fit one picture and one class a row is told."""
    assert said in complaint(write(tmp_path, **changed))


def test_missing_keys_are_named(tmp_path: Path) -> None:
    """An npz of something else is answered with what it holds."""
    path = tmp_path / "other.npz"
    np.savez(path, train_images=np.zeros(3), x=np.zeros(3))

    said = complaint(path)

    assert said.startswith("'HERE/other.npz' has the keys ['train_images', 'x']; [")
    assert "'test_labels'" in said


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    """An array of objects would be a pickle, which may run anything; it is refused."""
    objects = np.array([{"a": 1}] * 24, dtype=object)

    said = complaint(write(tmp_path, train_labels=objects))

    assert "is no whole npz file of plain arrays (Object arrays cannot be loaded" in said


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"<html>not found</html>",
        lambda data: data[: len(data) // 2],
        lambda data: data[:3000] + bytes(64) + data[3064:],
    ],
    ids=["empty", "page", "cut", "overwritten"],
)
def test_damaged_file_is_one_line(tmp_path: Path, damage: Any) -> None:
    """A file that did not arrive whole is named, with what to do."""
    path = write(tmp_path)
    path.write_bytes(damage(path.read_bytes()))

    said = complaint(path)

    assert said.startswith("'HERE/set.npz' is no whole npz file of plain arrays (")
    assert said.endswith("fetch it again")


def test_damaged_header_is_one_line(tmp_path: Path) -> None:
    """An array whose header is not closed is met like any other damage."""
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key in arrays():
            archive.writestr(f"{key}.npy", b"\x93NUMPY\x01\x00\x06\x00{'a':\n")

    assert "is no whole npz file of plain arrays" in complaint(path)


def test_missing_file_is_fetched_on_request(tmp_path: Path) -> None:
    """With download the file comes from the mirror under its own name, proved by the given MD5."""
    data = write(tmp_path).read_bytes()
    md5 = hashlib.md5(data).hexdigest()
    path = tmp_path / "new" / "derma.npz"

    with web.serving(web.body(data)) as server:
        first = MedMnist(path=path, md5=md5, download=True, mirror=f"{server.url}/files/")
        again = MedMnist(path=path, md5=md5, download=True, mirror=f"{server.url}/files/")

    assert len(first) == len(again) == 40
    assert [asked for asked, _ in server.asked] == ["/files/derma.npz"]


def test_published_md5_is_known_for_pneumonia(tmp_path: Path) -> None:
    """What a mirror sends under the name of PneumoniaMNIST must be PneumoniaMNIST."""
    data = write(tmp_path).read_bytes()

    with web.serving(web.body(data)) as server, pytest.raises(DataError, match="28209eda62fe"):
        MedMnist(path=tmp_path / "pneumoniamnist.npz", download=True, mirror=server.url)

    assert not (tmp_path / "pneumoniamnist.npz").exists()


def test_nothing_is_fetched_that_can_not_be_proved(tmp_path: Path) -> None:
    """A set whose MD5 is not known here is fetched only with the one that the person gives."""
    said = complaint(tmp_path / "derma.npz", download=True)

    assert "give the published one as dataset.md5" in said


def test_local_file_is_compared_on_request(tmp_path: Path) -> None:
    """A local file may be of any order of rows, unless an MD5 is asked of it."""
    path = write(tmp_path)

    assert len(MedMnist(path=path)) == 40
    assert "it is damaged or another edition" in complaint(path, md5="0" * 32)


def test_bomb_of_zeros_is_not_inflated(tmp_path: Path) -> None:
    """Arrays larger than the limit are refused by their declared sizes."""
    path = write(tmp_path, extra=np.zeros(2_000_000, np.uint8))

    said = complaint(path, max_bytes=1_000_000)

    assert "the limit max_bytes is 1000000; raise it if the set is that large" in said


def test_pipe_is_no_file(tmp_path: Path) -> None:
    """A pipe of the right name is refused; to open it would wait for ever."""
    os.mkfifo(tmp_path / "set.npz")

    assert "is no file; expected the npz file of a set" in complaint(tmp_path / "set.npz")


def test_endless_number_is_one_line(tmp_path: Path) -> None:
    """A row's number of thousands of digits is no row."""
    table = rows(tmp_path, f"train,{'9' * 5000},0,Ann\n")

    assert "there is no row '999" in complaint(write(tmp_path), rows=table)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    """A file that is not there is named."""
    assert complaint(tmp_path / "no.npz") == (
        f"'HERE/no.npz' is missing; it is published at '{MIRROR}no.npz': put it there by hand, "
        "or let it be fetched with dataset.download=true"
    )


@pytest.mark.skipif(
    "LUCENCY_DATA" not in os.environ,
    reason="LUCENCY_DATA does not name the folder that holds pneumoniamnist/",
)
def test_shipped_configuration_mends_the_real_leak() -> None:
    """Officially 190 patients are in train and in val; as prepared none is in two splits."""
    folder = Path(os.environ["LUCENCY_DATA"]) / "pneumoniamnist"
    given = [f"dataset.path={folder}/pneumoniamnist.npz", f"dataset.rows={folder}/rows.csv"]
    config = PrepareConfig.from_file(CONFIG, given)

    samples = list(datasets.build(config.dataset))
    films = clean.inspect(samples).films
    assigned = splits.assign([film.sample for film in films], config.splits)

    official = defaultdict(set)
    for sample in samples:
        official[sample.split].add(sample.patient)
    assert len(official["train"] & official["validation"]) == 190
    splits.refuse_leaks([film.sample.patient for film in films], assigned)
    assert [film.sample.split == "test" for film in films] == [
        split == "test" for split in assigned
    ]
    assert (len(samples), len(films)) == (5856, 5827)
