"""Films in one folder for each class, however the folders around them are laid out."""

import errno
import os
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucency import images
from lucency.config.prepare import PrepareConfig
from lucency.datasets import prepare
from lucency.datasets.base import datasets
from lucency.datasets.folder import Folder, read_inside
from lucency.datasets.splits import SplitPlan
from lucency.errors import DataError

FLAT = ("b/2.png", "a/1.png", "c/3.png", "a/0.png")
SPLIT = ("train/a/1.png", "train/b/2.png", "val/a/3.png", "test/b/4.png")
CONFIG = Path(__file__).parents[3] / "configs" / "prepare" / "rice.yaml"


def picture(number: int) -> bytes:
    """A picture that no other number has."""
    noise = np.random.default_rng(number).integers(0, 255, (16, 16, 1))
    return images.encode_png(noise.astype(np.uint8))


def lay_out(root: Path, names: Iterable[str] = FLAT) -> Path:
    """Each name a picture of its own; a name with a slash at its end is an empty folder."""
    for number, name in enumerate(names):
        path = root / name
        folder = path if name.endswith("/") else path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(picture(number))
    return root


def complaint(root: Path, **options: Any) -> str:
    """The line a person reads, without the place of the test's own folder."""
    with pytest.raises(DataError) as caught:
        Folder(root=root, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(str(root), "ROOT")


def test_folders_are_the_classes(tmp_path: Path) -> None:
    """Every film has the class of its folder, and classes are sorted by name."""
    source = Folder(root=lay_out(tmp_path))

    samples = list(source)

    assert source.classes == ("a", "b", "c")
    assert len(source) == len(samples) == 4
    assert [(sample.name, sample.label) for sample in samples] == [
        ("a/0.png", 0),
        ("a/1.png", 0),
        ("b/2.png", 1),
        ("c/3.png", 2),
    ]
    assert {sample.split for sample in samples} == {None}


def test_films_are_read_from_disk(tmp_path: Path) -> None:
    """A sample gives the very bytes of its file, from whatever folder the process runs in."""
    samples = list(Folder(root=lay_out(tmp_path)))

    assert samples[1].read() == picture(1)


def test_relative_root_is_read_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with another working folder reads the films of a relative root."""
    lay_out(tmp_path / "films")
    monkeypatch.chdir(tmp_path)
    sample = next(iter(Folder(root=Path("films"))))

    monkeypatch.chdir("/")

    assert sample.read() == picture(3)


def test_given_classes_are_taken_in_their_order(tmp_path: Path) -> None:
    """Named classes have the labels of their order, and other folders are left out."""
    source = Folder(root=lay_out(tmp_path), classes=("c", "a"))

    assert source.classes == ("c", "a")
    assert [(each.name, each.label) for each in source] == [
        ("c/3.png", 0),
        ("a/0.png", 1),
        ("a/1.png", 1),
    ]


def test_split_folders_say_the_split(tmp_path: Path) -> None:
    """Folders named for splits around the classes give each film its official split."""
    source = Folder(root=lay_out(tmp_path, SPLIT))

    assert source.classes == ("a", "b")
    assert [(each.name, each.split, each.label) for each in source] == [
        ("train/a/1.png", "train", 0),
        ("train/b/2.png", "train", 1),
        ("val/a/3.png", "validation", 0),
        ("test/b/4.png", "test", 1),
    ]


@pytest.mark.parametrize("folder", ["val", "valid", "validation", "Validation"])
def test_validation_has_many_names(tmp_path: Path, folder: str) -> None:
    """All usual names of the validation folder are understood."""
    names = ["train/a/1.png", "train/b/2.png", f"{folder}/a/3.png"]

    source = Folder(root=lay_out(tmp_path, names))

    assert Counter(each.split for each in source) == {"train": 2, "validation": 1}


def test_other_folders_beside_train_are_no_classes(tmp_path: Path) -> None:
    """Next to train/ and test/, a folder that is no split is passed over."""
    names = [*SPLIT, "copy/train/a/9.png"]

    assert len(Folder(root=lay_out(tmp_path, names))) == len(SPLIT)


def test_class_named_like_a_split_can_be_given(tmp_path: Path) -> None:
    """Classes that are named are classes, whatever they are called."""
    lay_out(tmp_path, ["test/1.png", "train/2.png"])

    source = Folder(root=tmp_path, classes=("test", "train"))

    assert [(each.label, each.split) for each in source] == [(0, None), (1, None)]


def test_class_may_be_called_test(tmp_path: Path) -> None:
    """Where nothing is called train, a folder beside others is a class, whatever its name."""
    source = Folder(root=lay_out(tmp_path, ["control/1.png", "test/2.png"]))

    assert source.classes == ("control", "test")


def test_test_films_alone_are_test_films(tmp_path: Path) -> None:
    """Where all folders are splits, they are no classes, though there be no train."""
    source = Folder(root=lay_out(tmp_path, ["val/a/1.png", "test/a/2.png", "test/b/3.png"]))

    assert source.classes == ("a", "b")
    assert [each.split for each in source] == ["validation", "test", "test"]


@pytest.mark.parametrize("around", ["rice", "rice/Rice_Image_Dataset"])
@pytest.mark.parametrize("names", [FLAT, SPLIT])
def test_outer_folder_is_entered(tmp_path: Path, around: str, names: tuple[str, ...]) -> None:
    """An archive that unpacks into folders of its own name is given by the outermost."""
    lay_out(tmp_path / around, names)
    (tmp_path / "notes.txt").touch()

    source = Folder(root=tmp_path)

    assert sorted(each.name for each in source) == sorted(f"{around}/{name}" for name in names)


def test_deep_films_belong_to_the_class_above(tmp_path: Path) -> None:
    """Folders inside of a class folder make no classes."""
    source = Folder(root=lay_out(tmp_path, ["a/left/1.png", "a/right/1.png", "b/2.png"]))

    assert [each.label for each in source] == [0, 0, 1]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    """What a Mac or a notebook leaves behind is neither film nor class."""
    hidden = ["a/.DS_Store", ".ipynb_checkpoints/1.png", "a/._1.png", "__MACOSX/a/1.png"]

    source = Folder(root=lay_out(tmp_path, [*FLAT, *hidden]))

    assert source.classes == ("a", "b", "c")
    assert len(source) == len(FLAT)


def test_hidden_folder_is_not_entered(tmp_path: Path) -> None:
    """What is wrong inside of a hidden folder is nobody's concern."""
    lay_out(tmp_path, [*FLAT, ".cache/1.png"])
    (tmp_path / ".cache" / os.fsdecode(b"\xff.png")).touch()

    assert len(Folder(root=tmp_path)) == len(FLAT)


def test_every_film_is_its_own_patient(tmp_path: Path) -> None:
    """Without a pattern no two films share a patient, though their file names be the same."""
    source = Folder(root=lay_out(tmp_path, ["a/1.png", "a/1.jpg", "b/1.png"]))

    assert len({each.patient for each in source}) == 3


def test_pattern_reads_the_patient_off_the_name(tmp_path: Path) -> None:
    """The group is the patient, and a name of another form is a patient of its own."""
    names = ["a/p7_1.png", "a/p7_2.png", "b/p8_1.png", "b/scan.png"]

    source = Folder(root=lay_out(tmp_path, names), patient_pattern=r"^(p\d+)_")

    assert [each.patient for each in source] == ["p7", "p7", "p8", "b/scan.png"]


def test_site_is_that_of_the_options(tmp_path: Path) -> None:
    """All films of a folder come from the named site."""
    source = Folder(root=lay_out(tmp_path), site="north")

    assert {each.site for each in source} == {"north"}


def test_link_that_leaves_is_not_followed(tmp_path: Path) -> None:
    """A link to a file elsewhere is a sample whose reading fails with the reason."""
    lay_out(tmp_path / "films")
    (tmp_path / "secret.png").write_bytes(picture(99))
    (tmp_path / "films" / "a" / "9.png").symlink_to(tmp_path / "secret.png")

    (sample,) = [each for each in Folder(root=tmp_path / "films") if each.name == "a/9.png"]

    with pytest.raises(OSError, match="a link leads out of the data set's folder"):
        sample.read()


def test_link_inside_is_read(tmp_path: Path) -> None:
    """A link to another file of the data set gives that file."""
    lay_out(tmp_path)
    (tmp_path / "a" / "9.png").symlink_to("1.png")

    assert read_inside(tmp_path, "a/9.png") == picture(1)


def test_linked_folder_is_not_followed(tmp_path: Path) -> None:
    """A class folder that is a link holds nothing, and the message says so."""
    lay_out(tmp_path / "films")
    (tmp_path / "films" / "d").symlink_to(tmp_path)

    said = complaint(tmp_path / "films")

    assert said.startswith("class folder 'd' of 'ROOT' holds no file (links to folders are not")


def test_pipe_is_no_film(tmp_path: Path) -> None:
    """What is no regular file is listed and never opened, which could wait for ever."""
    lay_out(tmp_path)
    os.mkfifo(tmp_path / "a" / "9.png")

    assert len(Folder(root=tmp_path)) == len(FLAT) + 1
    with pytest.raises(OSError, match="it is no regular file"):
        read_inside(tmp_path, "a/9.png")


def test_file_larger_than_any_film_is_not_read(tmp_path: Path) -> None:
    """A file of a terabyte, all holes, is refused by its size."""
    with (tmp_path / "9.png").open("wb") as stream:
        stream.truncate(2**40)

    with pytest.raises(OSError, match="it has more than 268435456 bytes, too many for a film"):
        read_inside(tmp_path, "9.png")


def test_folders_may_be_deep(tmp_path: Path) -> None:
    """Folders inside of folders by the thousand are listed as any other."""
    lay_out(tmp_path)
    for depth in range(1, 1100):
        (tmp_path / "a" / "/".join("d" * depth)).mkdir()

    found = len(Folder(root=tmp_path))

    subprocess.run(["rm", "-r", tmp_path / "a"], check=True)  # pytest's own clearing would fail
    assert found == len(FLAT)


def test_link_in_a_circle_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A link to itself is listed, and costs no other film."""
    lay_out(tmp_path)
    (tmp_path / "a" / "9.png").symlink_to("9.png")

    assert len(Folder(root=tmp_path)) == len(FLAT) + 1
    with pytest.raises(OSError, match="there is no such file"):
        read_inside(tmp_path, "a/9.png")


def test_missing_folder_is_one_line(tmp_path: Path) -> None:
    """A folder that is not there is named, and what it should hold."""
    assert complaint(tmp_path / "none") == (
        "folder 'ROOT' does not exist; give the folder that holds one folder for each class"
    )


def test_folder_without_classes_is_one_line(tmp_path: Path) -> None:
    """A folder of loose films is answered with the layouts that are known."""
    said = complaint(lay_out(tmp_path, ["1.png", "2.png"]))

    assert said.startswith("'ROOT' holds no class folder; expected one folder for each class")


def test_single_class_is_one_line(tmp_path: Path) -> None:
    """One class is nothing to tell apart; a class folder was probably given."""
    said = complaint(lay_out(tmp_path, ["a/1.png"]))

    assert said == (
        "'ROOT' holds only the class folder 'a'; expected two or more: give the folder that "
        "holds all classes"
    )


def test_missing_class_is_one_line(tmp_path: Path) -> None:
    """A named class without a folder is answered with the nearest that there is."""
    lay_out(tmp_path, ["Arborio/1.png", "Basmati/2.png"])

    said = complaint(tmp_path, classes=("Arborio", "basmatti"))

    assert said == "class 'basmatti' has no folder in 'ROOT'; the nearest is 'Basmati'"


def test_only_class_folder_is_not_entered(tmp_path: Path) -> None:
    """Where one of the named classes is there and another is not, the other is the one missing."""
    lay_out(tmp_path, ["a/left/1.png", "a/right/2.png"])

    said = complaint(tmp_path, classes=("a", "pneumonia"))

    assert said == "class 'pneumonia' has no folder in 'ROOT'; there are ['a']"


def test_class_like_no_folder_is_told_all(tmp_path: Path) -> None:
    """Where no name is near, the folders that there are stand in the message."""
    said = complaint(lay_out(tmp_path), classes=("a", "pneumonia"))

    assert said == "class 'pneumonia' has no folder in 'ROOT'; there are ['a', 'b', 'c']"


@pytest.mark.parametrize("classes", [(), ("a", "empty")])
def test_empty_class_is_one_line(tmp_path: Path, classes: tuple[str, ...]) -> None:
    """A class folder with no file in it is named, whether it was asked for or found."""
    lay_out(tmp_path, [*FLAT, "empty/"])

    said = complaint(tmp_path, classes=classes)

    assert said.startswith("class folder 'empty' of 'ROOT' holds no file")


def test_class_without_training_films_is_one_line(tmp_path: Path) -> None:
    """Class folders that are named differently in train and test are not two classes."""
    lay_out(tmp_path, ["train/normal/1.png", "train/ill/2.png", "test/Normal/3.png"])

    said = complaint(tmp_path)

    assert said.startswith("class folder 'Normal' of 'ROOT' stands beside no train folder")
    assert "the nearest is 'normal'" in said


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("a",), "classes names only 'a'; expected two or more"),
        (("a", "b", "a"), "classes names 'a' twice; name each class once"),
    ],
)
def test_odd_classes_are_one_line(tmp_path: Path, classes: tuple[str, ...], words: str) -> None:
    """One class, or one named twice, is refused before any folder is read."""
    assert complaint(lay_out(tmp_path), classes=classes) == words


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(p", "patient_pattern '(p' is not a regular expression (missing )"),
        (r"p\d", r"patient_pattern 'p\\d' has 0 groups, expected one"),
        ("(p)(d)", "patient_pattern '(p)(d)' has 2 groups, expected one"),
        ("(person)", "patient_pattern '(person)' fits none of 4 file names, the first is '0.png'"),
    ],
)
def test_bad_pattern_is_one_line(tmp_path: Path, pattern: str, words: str) -> None:
    """A pattern that can't name a patient is refused with what is wrong."""
    assert complaint(lay_out(tmp_path), patient_pattern=pattern).startswith(words)


def test_folder_that_may_not_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Films that can't be listed are told, and not left out in silence."""
    lay_out(tmp_path)
    scan = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("/b"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)

    assert complaint(tmp_path).startswith("folder 'ROOT/b' can't be listed (Permission denied)")


def test_name_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    """A file name that is not UTF-8 is told here, and not by a failing report."""
    lay_out(tmp_path)
    (tmp_path / "a" / os.fsdecode(b"\xff.png")).touch()

    assert complaint(tmp_path) == r"the file name 'a/\udcff.png' is not UTF-8; rename the file"


def test_family_builds_it_from_options(tmp_path: Path) -> None:
    """A YAML file chooses it by name and gives its folder and classes."""
    raw = {"root": lay_out(tmp_path), "classes": ["b", "a"]}

    source = datasets.build(datasets.options("folder").model_validate(raw))

    assert source.classes == ("b", "a")


def test_preparing_gives_a_table(tmp_path: Path) -> None:
    """A folder becomes a table of its classes; what is no film is set aside with its reason."""
    names = [f"{kind}/{number}.png" for kind in "abc" for number in range(10)]
    lay_out(tmp_path / "films", names)
    (tmp_path / "films" / "a" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")

    source = Folder(root=tmp_path / "films")
    done = prepare.prepare(source, SplitPlan(), tmp_path / "out", name="folder")

    assert done.table.classes == ("a", "b", "c")
    assert Counter(done.table.columns["label"].tolist()) == {0: 10, 1: 10, 2: 10}
    assert [(each["name"], each["reason"]) for each in done.report["set_aside"]] == [
        ("a/Thumbs.db", "unsupported_type")
    ]


@pytest.mark.skipif(
    "LUCENCY_DATA" not in os.environ,
    reason="LUCENCY_DATA does not name the folder that holds Rice_Image_Dataset/",
)
def test_real_rice_is_prepared(tmp_path: Path) -> None:
    """The five kinds of rice, 600 grains each, are divided as the configuration says."""
    root = Path(os.environ["LUCENCY_DATA"]) / "Rice_Image_Dataset"
    config = PrepareConfig.from_file(CONFIG, [f"dataset.root={root}"])

    source = datasets.build(config.dataset)
    done = prepare.prepare(source, config.splits, tmp_path, name="folder")

    labels = Counter(done.table.columns["label"].tolist())
    splits = Counter(done.table.columns["split"].tolist())
    assert source.classes == ("Arborio", "Basmati", "Ipsala", "Jasmine", "Karacadag")
    assert labels == dict.fromkeys(range(5), 600)
    assert splits == {"train": 2100, "validation": 300, "test": 600}
