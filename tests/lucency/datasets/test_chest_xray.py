"""The paediatric films in their well-known folders, and the patients in their names."""

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from lucency.datasets.base import datasets
from lucency.datasets.chest_xray import ChestXray, patient_of
from lucency.datasets.phantom import Phantom
from lucency.errors import DataError

FILMS = (
    "train/NORMAL/IM-0115-0001.jpeg",
    "train/NORMAL/NORMAL2-IM-0115-0001.jpeg",
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
    "train/PNEUMONIA/person1_bacteria_2.jpeg",
    "val/NORMAL/NORMAL2-IM-1427-0001.jpeg",
    "val/PNEUMONIA/person1946_bacteria_4874.jpeg",
    "test/NORMAL/IM-0001-0001.jpeg",
    "test/PNEUMONIA/person1_virus_6.jpeg",
)


def lay_out(root: Path, names: Iterable[str] = FILMS) -> Path:
    """The folders of the set, each film drawn anew."""
    drawn = iter(Phantom(patients=20, size=64))
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(next(drawn).read())
    return root


def complaint(root: Path) -> str:
    """The line a person reads, without the place of the test's own folder."""
    with pytest.raises(DataError) as caught:
        ChestXray(root=root)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(str(root), "ROOT")


def test_folders_say_split_and_label(tmp_path: Path) -> None:
    """Every film has the split and the class of the folders that hold it."""
    source = ChestXray(root=lay_out(tmp_path))

    samples = list(source)

    assert len(source) == len(samples) == len(FILMS)
    assert [sample.name for sample in samples] == list(FILMS)
    assert Counter(sample.split for sample in samples) == {"train": 4, "validation": 2, "test": 2}
    assert all(source.classes[sample.label] in sample.name for sample in samples)


def test_films_are_read_from_disk(tmp_path: Path) -> None:
    """A sample gives the very bytes of its file."""
    samples = list(ChestXray(root=lay_out(tmp_path)))

    assert samples[2].read() == (tmp_path / samples[2].name).read_bytes()


def test_family_builds_it_from_options(tmp_path: Path) -> None:
    """A YAML file chooses it by name and gives its folder."""
    lay_out(tmp_path)

    source = datasets.build(datasets.options("chest_xray").model_validate({"root": tmp_path}))

    assert len(source) == len(FILMS)


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("person1_bacteria_2.jpeg", "person1_bacteria"),
        ("person1_virus_6.jpeg", "person1_virus"),
        ("person1946_bacteria_4874.jpeg", "person1946_bacteria"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("IM-0115-0001-0002.jpeg", "IM-0115"),
        ("NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-0115"),
        ("scan_17.png", "scan_17"),
    ],
)
def test_patient_is_read_off_the_name(name: str, patient: str) -> None:
    """Number and cause make a patient; a name of another form is a patient of its own."""
    assert patient_of(name) == patient


def test_folder_around_the_set_is_enough(tmp_path: Path) -> None:
    """The archive unpacks into a chest_xray folder, and giving the one above is no mistake."""
    lay_out(tmp_path / "chest_xray")

    assert ChestXray(root=tmp_path).root == tmp_path / "chest_xray"


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    """What a Mac or a viewer leaves between the films is no film."""
    lay_out(tmp_path)
    for name in (".DS_Store", "._IM-0115-0001.jpeg", "Thumbs.db"):
        (tmp_path / "train" / "NORMAL" / name).touch()

    assert len(ChestXray(root=tmp_path)) == len(FILMS)


def test_set_without_validation_films_is_whole(tmp_path: Path) -> None:
    """The official validation films are too few to matter, so their folder may be missing."""
    names = [name for name in FILMS if not name.startswith("val/")]

    assert len(ChestXray(root=lay_out(tmp_path, names))) == len(names)


def test_missing_folder_is_one_line(tmp_path: Path) -> None:
    """A folder that is not there is named, and what it should hold."""
    assert complaint(tmp_path / "none") == (
        "folder 'ROOT' does not exist; give the folder that holds train/ and test/"
    )


def test_folder_of_something_else_is_one_line(tmp_path: Path) -> None:
    """A folder without the set is answered with what it does hold."""
    (tmp_path / "holiday").mkdir()

    assert complaint(tmp_path).startswith("folder 'ROOT' holds ['holiday']; expected train/")


@pytest.mark.parametrize("folder", ["train/NORMAL", "test/PNEUMONIA"])
def test_missing_class_is_one_line(tmp_path: Path, folder: str) -> None:
    """A class without a folder is named."""
    lay_out(tmp_path, [name for name in FILMS if not name.startswith(folder)])

    assert complaint(tmp_path) == f"folder 'ROOT/{folder}' is missing; " + (
        "it must hold the films of its class"
    )


def test_empty_class_is_one_line(tmp_path: Path) -> None:
    """A class folder with no film in it is named, with the kinds of file that count."""
    lay_out(tmp_path, [name for name in FILMS if not name.startswith("test/NORMAL")])
    (tmp_path / "test" / "NORMAL").mkdir()
    (tmp_path / "test" / "NORMAL" / "notes.txt").touch()

    said = complaint(tmp_path)

    assert said.startswith("class folder 'ROOT/test/NORMAL' holds no film (.jpeg, .jpg, .png)")


@pytest.mark.skipif(
    "LUCENCY_DATA" not in os.environ,
    reason="LUCENCY_DATA does not name the folder that holds chest_xray_kermany/",
)
def test_real_set_keeps_patients_apart() -> None:
    """The 5,856 films are of 4,097 patients, and none is in two of the official splits."""
    root = Path(os.environ["LUCENCY_DATA"]) / "chest_xray_kermany" / "chest_xray"

    samples = list(ChestXray(root=root))

    places = {(sample.patient, sample.split) for sample in samples}
    assert len(samples) == 5856
    assert len({sample.patient for sample in samples}) == len(places) == 4097
