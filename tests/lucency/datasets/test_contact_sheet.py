"""The contact sheet shows pairs, and no patient's name."""

from pathlib import Path

from lucency import files, images
from lucency.datasets import contact_sheet, leaks, table
from lucency.datasets.phantom import Phantom
from lucency.datasets.table import Row, Table

FILMS = [sample.read() for sample in Phantom(patients=5, size=64, max_films=1)]


def leaky(path: Path, split: str = "test") -> Table:
    """A table of which four films stand in train and once more elsewhere."""
    rows = [
        Row(data, None, 0, f"p{row}", "here", side, *images.size(data), files.sha256(data))
        for side in ("train", split)
        for row, data in enumerate(FILMS[:4])
    ]
    return table.write(path / table.NAME, rows, classes=("NORMAL", "PNEUMONIA"), name="made")


def test_sheet_is_a_film_sized_picture_a_pair(tmp_path: Path) -> None:
    """Eight pairs stand in rows of three, under a head line."""
    made = leaky(tmp_path)
    found = leaks.find(made)

    pixels = images.decode(contact_sheet.draw(found, made, most=60))

    assert len(found) == 8
    height, width = pixels.shape[:2]
    assert width == 3 * (2 * 192 + 12)
    assert height == 2 * 18 + 3 * (192 + 2 * 18 + 12)


def test_sheet_stops_at_its_limit(tmp_path: Path) -> None:
    """Of many pairs only the first few are drawn."""
    made = leaky(tmp_path)

    pixels = images.decode(contact_sheet.draw(leaks.find(made), made, most=2))

    assert pixels.shape[0] == 2 * 18 + 192 + 2 * 18 + 12


def test_each_kind_gets_its_place(tmp_path: Path) -> None:
    """With room for two of eight pairs, one is by bytes and one by patient."""
    chosen = contact_sheet.choose(leaks.find(leaky(tmp_path)), 2)

    assert [leak.kind for leak in chosen] == ["bytes", "patient"]


def test_films_of_the_other_table_are_shown(tmp_path: Path) -> None:
    """A pair across two tables is read from both."""
    here, there = leaky(tmp_path / "here", "train"), leaky(tmp_path / "there", "test")
    found = leaks.find(here, there, patients=False)

    pixels = images.decode(contact_sheet.draw(found, here, there, most=1))

    left, right = pixels[36 : 36 + 192, :192], pixels[36 : 36 + 192, 192:384]
    assert left.std() > 10
    assert (left == right).all()
