"""Films that a CSV file lists: its columns, its mistakes, and where its paths may lead."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucency import files, images
from lucency.datasets import prepare
from lucency.datasets.base import datasets
from lucency.datasets.manifest import Manifest
from lucency.datasets.splits import SplitPlan
from lucency.errors import DataError

HEADER = ("image", "label", "child", "hospital", "part")
ROWS = (
    ("films/0.png", "well", "P1", "north", "train"),
    ("films/1.png", "ill", "P2", "", "Val"),
    ("films/2.png", "well", "P1", "south", "test"),
)
COLUMNS: Any = {"patient": "child", "site": "hospital", "split": "part"}


def picture(number: int) -> bytes:
    """A picture that no other number has."""
    noise = np.random.default_rng(number).integers(0, 255, (16, 16, 1))
    return images.encode_png(noise.astype(np.uint8))


def write(
    folder: Path, rows: Iterable[Sequence[str]] = ROWS, header: Sequence[str] = HEADER
) -> Path:
    """The manifest of the given rows, and a picture for each path that stays in the folder."""
    lines = [header, *rows]
    with (folder / "films.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(lines)
    (folder / "films").mkdir(exist_ok=True)
    for number in range(len(lines)):
        (folder / "films" / f"{number}.png").write_bytes(picture(number))
    return folder / "films.csv"


def edited(folder: Path, line: int, column: int, value: str) -> Path:
    """The good manifest with one value changed; the header is line 1."""
    rows = [list(row) for row in ROWS]
    rows[line - 2][column] = value
    return write(folder, rows)


def complaint(path: Path, **options: Any) -> str:
    """The line a person reads, without the place of the test's own files."""
    with pytest.raises(DataError) as caught:
        Manifest(manifest=path, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(str(path), "CSV").replace(str(path.parent), "ROOT")


def test_each_row_is_a_sample(tmp_path: Path) -> None:
    """Rows become samples in their order, with label, patient, site and split of their columns."""
    source = Manifest(manifest=write(tmp_path), **COLUMNS)

    assert source.classes == ("ill", "well")
    assert len(source) == 3
    assert [(s.name, s.label, s.patient, s.site, s.split) for s in source] == [
        ("films/0.png", 1, "P1", "north", "train"),
        ("films/1.png", 0, "P2", "unknown", "validation"),
        ("films/2.png", 1, "P1", "south", "test"),
    ]


def test_films_lie_beside_the_manifest(tmp_path: Path) -> None:
    """Without a root, paths are relative to the manifest's own folder."""
    samples = list(Manifest(manifest=write(tmp_path)))

    assert [sample.read() for sample in samples] == [picture(0), picture(1), picture(2)]


def test_films_may_lie_elsewhere(tmp_path: Path) -> None:
    """With a root, paths are relative to it, and the whole path below it is fine as well."""
    (tmp_path / "lists").mkdir()
    write(tmp_path)
    rows = [("0.png", "a"), (str(tmp_path / "films" / "1.png"), "b")]
    path = write(tmp_path / "lists", rows, ("image", "label"))

    source = Manifest(manifest=path, root=tmp_path / "films")

    assert [sample.read() for sample in source] == [picture(0), picture(1)]


def test_relative_manifest_is_read_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with another working folder reads the films of a relative manifest."""
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    (sample, *_) = Manifest(manifest=Path("films.csv"))

    monkeypatch.chdir("/")

    assert sample.read() == picture(0)


def test_columns_that_are_not_named_are_not_read(tmp_path: Path) -> None:
    """Without the optional columns each film is its own patient, at no known site, in no split."""
    samples = list(Manifest(manifest=write(tmp_path)))

    assert len({sample.patient for sample in samples}) == 3
    assert {(sample.site, sample.split) for sample in samples} == {("unknown", None)}


def test_given_classes_are_taken_in_their_order(tmp_path: Path) -> None:
    """Named classes have the labels of their order."""
    source = Manifest(manifest=write(tmp_path), classes=("well", "ill"))

    assert [sample.label for sample in source] == [0, 1, 0]


def test_table_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends, empty lines and spaces around values do no harm."""
    text = "\ufeffimage,label\r\nfilms/0.png, a\r\n\r\n films/1.png ,b\r\n"
    (tmp_path / "films.csv").write_bytes(text.encode())

    source = Manifest(manifest=tmp_path / "films.csv")

    assert [(each.name, each.label) for each in source] == [("films/0.png", 0), ("films/1.png", 1)]


def test_unknown_column_is_one_line(tmp_path: Path) -> None:
    """A column that is not there is answered with the nearest, and with all there are."""
    said = complaint(write(tmp_path), image="imge")

    assert said == (
        "'CSV' has no column 'imge', the nearest is 'image'; it has ['image', 'label', 'child', "
        "'hospital', 'part']: say with the option 'image' which one it is"
    )


def test_column_twice_is_one_line(tmp_path: Path) -> None:
    """Of two columns with one name nobody knows which is meant."""
    path = write(tmp_path, [("films/0.png", "a", "b")], ("image", "label", "label"))

    assert complaint(path) == "'CSV' has the column 'label' twice; leave one of them"


@pytest.mark.parametrize(("column", "name"), [(0, "image"), (1, "label"), (2, "child")])
def test_empty_value_is_one_line(tmp_path: Path, column: int, name: str) -> None:
    """A row without film, label or patient is named by its line."""
    said = complaint(edited(tmp_path, 3, column, " "), **COLUMNS)

    assert said == f"line 3 of 'CSV' has no value in column {name!r}; every film needs one"


def test_short_row_is_one_line(tmp_path: Path) -> None:
    """A row that ends early has empty values."""
    said = complaint(write(tmp_path, [ROWS[0], ("films/1.png",)]))

    assert said == "line 3 of 'CSV' has no value in column 'label'; every film needs one"


def test_long_row_is_one_line(tmp_path: Path) -> None:
    """A comma that was not quoted would shift every value behind it."""
    said = complaint(write(tmp_path, [ROWS[0], (*ROWS[1], "more")]))

    assert said.startswith("line 3 of 'CSV' has more values than there are columns")


def test_unknown_label_is_one_line(tmp_path: Path) -> None:
    """A label outside of the named classes is told with its line and the nearest class."""
    said = complaint(edited(tmp_path, 4, 1, "wel"), classes=("well", "ill"))

    assert said == (
        "line 4 of 'CSV' has the label 'wel'; the nearest is 'well': correct it, or add it to "
        "classes"
    )


def test_class_without_a_row_is_one_line(tmp_path: Path) -> None:
    """A named class that no row has was probably written differently."""
    said = complaint(write(tmp_path), classes=("well", "ill", "dubious"))

    assert said.startswith("no row of 'CSV' has the class 'dubious' in column 'label'; there are")


def test_single_class_is_one_line(tmp_path: Path) -> None:
    """One label for all rows is nothing to tell apart."""
    said = complaint(edited(tmp_path, 3, 1, "well"))

    assert said == "column 'label' of 'CSV' holds only 'well'; expected two classes or more"


@pytest.mark.parametrize("value", ["dev", ""])
def test_unknown_split_is_one_line(tmp_path: Path, value: str) -> None:
    """A split of another name is told with the names that are known."""
    said = complaint(edited(tmp_path, 2, 4, value), **COLUMNS)

    assert said == (
        f"line 2 of 'CSV' has the split {value!r} in column 'part'; expected one of ['train', "
        "'val', 'valid', 'validation', 'test']"
    )


@pytest.mark.parametrize("value", ["../secret.png", "/etc/passwd", "films/../../x", "a\0b"])
def test_path_that_escapes_is_one_line(tmp_path: Path, value: str) -> None:
    """No row reads a file outside of the root."""
    said = complaint(edited(tmp_path, 4, 0, value))

    assert said == (
        f"line 4 of 'CSV' names {value!r}, which is outside of 'ROOT'; give the folder above "
        "all films as root"
    )


def test_link_that_escapes_is_not_read(tmp_path: Path) -> None:
    """A link out of the root is refused where the film is read."""
    (tmp_path / "set").mkdir()
    (tmp_path / "secret.png").write_bytes(picture(99))
    path = write(tmp_path / "set")
    (tmp_path / "set" / "films" / "0.png").unlink()
    (tmp_path / "set" / "films" / "0.png").symlink_to(tmp_path / "secret.png")

    (sample, *_) = Manifest(manifest=path)

    with pytest.raises(OSError, match="a link leads out"):
        sample.read()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "'CSV' has no column 'image'; it has []"),
        (b"image,label\n", "'CSV' lists no film; expected one row for each"),
        (b"image;label\n1.png;a\n", "'CSV' has no column 'image', the nearest is 'image;label'"),
        (b"image,label\n\xe9.png,a\n", "'CSV' can't be read as CSV ('utf-8' codec"),
        (b'image,label\n"1.png"x,a\n', "'CSV' can't be read as CSV (',' expected after"),
        (b"image,label\n" + b"x" * 200_000, "'CSV' can't be read as CSV (field larger than"),
    ],
    ids=["empty", "header", "semicolons", "latin", "quotes", "endless"],
)
def test_file_that_is_no_manifest_is_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    """What can't be read as a list of films is told with the reason."""
    (tmp_path / "films.csv").write_bytes(content)

    assert complaint(tmp_path / "films.csv").startswith(words)


def test_missing_manifest_is_one_line(tmp_path: Path) -> None:
    """A manifest that is not there is named."""
    assert complaint(tmp_path / "none.csv") == "manifest 'CSV' does not exist; give a CSV file"


def test_family_builds_it_from_options(tmp_path: Path) -> None:
    """A YAML file chooses it by name and names the columns."""
    raw = {"manifest": write(tmp_path), **COLUMNS}

    assert len(datasets.build(datasets.options("csv").model_validate(raw))) == 3


def test_endless_manifest_is_one_line(tmp_path: Path) -> None:
    """A file larger than any list of films is not read, for it may be a single line."""
    path = write(tmp_path)
    with path.open("r+b") as stream:
        stream.truncate(2**40)

    with pytest.raises(DataError, match="has more than 268435456 bytes, too many for a list"):
        Manifest(manifest=path)


def test_preparing_gives_a_table(tmp_path: Path) -> None:
    """A manifest becomes a table by patient; a film that is not there is set aside."""
    rows = [
        (f"films/{number}.png", "ab"[number % 2], f"P{number // 4}{number % 2}")
        for number in range(48)
    ]
    rows.append(("films/gone.png", "a", "P99"))
    path = write(tmp_path, rows, ("image", "label", "patient"))

    source = Manifest(manifest=path, patient="patient")
    done = prepare.prepare(source, SplitPlan(), tmp_path / "out", name="csv")

    (refused,) = done.report["set_aside"]
    assert (refused["name"], refused["reason"]) == ("films/gone.png", "unreadable")
    assert "there is no such file" in refused["message"]
    assert Counter(done.table.columns["label"].tolist()) == {0: 24, 1: 24}
    assert done.report["patients"] == 24


def test_scanner_view_and_age_band_have_columns(tmp_path: Path) -> None:
    """What a manifest says of a film beside its label is kept; an empty value is not given."""
    rows = [(*ROWS[0], "maker 1", "PA", "1-5"), (*ROWS[1], "", "AP", "")]
    header = (*HEADER, "device", "projection", "years")
    options: Any = {"scanner": "device", "view": "projection", "age_band": "years"}

    source = Manifest(manifest=write(tmp_path, rows, header), **options)

    assert [(s.scanner, s.view, s.age_band) for s in source] == [
        ("maker 1", "PA", "1-5"),
        ("", "AP", ""),
    ]


def corrected(folder: Path, was: str, label: str) -> Path:
    """What a reviewed worklist wrote of the first film, and of one that is not listed."""
    path = folder / "label_corrections.csv"
    known = files.sha256(picture(0))
    path.write_text(
        f"sha256,label,was,case,reviewers\n{known},{label},{was},a-1,r\n{'0' * 64},ill,well,a-2,r\n"
    )
    return path


def test_reviewed_labels_take_the_place_of_the_manifests(tmp_path: Path) -> None:
    """The film that a reader judged otherwise has his label; the rest keep theirs."""
    manifest = write(tmp_path)

    found = Manifest(
        manifest=manifest, image="image", label="label", **COLUMNS,
        corrections=corrected(tmp_path, "well", "ill"), classes=("well", "ill"),
    )  # fmt: skip

    assert [sample.label for sample in found] == [1, 1, 0]


@pytest.mark.parametrize(
    ("was", "label", "message"),
    [
        ("ill", "ill", "corrections are of another manifest"),
        ("well", "dead", "corrects 'well' to 'dead'; the classes are"),
    ],
)
def test_corrections_of_others_are_refused(
    tmp_path: Path, was: str, label: str, message: str
) -> None:
    """A label that the film never had here, and a class that there is not."""
    with pytest.raises(DataError, match=message):
        list(
            Manifest(
                manifest=write(tmp_path), image="image", label="label", **COLUMNS,
                corrections=corrected(tmp_path, was, label), classes=("well", "ill"),
            )
        )  # fmt: skip
