"""What training would see: some films, and each as the augmentation varies it."""

from pathlib import Path

from lucency import files, progress, seed
from lucency.augment import Augmentation, Augmenter
from lucency.datasets import sheet
from lucency.datasets.table import Table
from lucency.preprocess import Preprocess

NAME = "preview.png"
_FILMS = 3  # of each class, ten classes at most
_DRAWS = 7


def draw(
    table: Table, preprocess: Preprocess, augmentation: Augmentation, seed_number: int
) -> bytes:
    """PNG of training films, a row a film: first as the network gets it unvaried, then varied."""
    augmenter = Augmenter(augmentation, preprocess)
    labels = table.columns["label"]
    rows = table.rows("train")
    shown: list[tuple[str, list[sheet.Picture]]] = []
    for label, title in list(enumerate(table.classes))[:10]:
        own = rows[labels[rows] == label]
        for number, data in enumerate(
            table.images(seed.generator(seed_number, "preview", label).permutation(own)[:_FILMS])
        ):
            film = preprocess.working(data)
            draws = [
                augmenter.picture(film, seed.derive(seed_number, "preview", label, number, place))
                for place in range(_DRAWS)
            ]
            title_of_row = f"{title}: as it is, then {_DRAWS} draws"
            shown.append((title_of_row, [preprocess.resize(film), *draws]))
    return sheet.draw(shown, side=min(preprocess.size, 160))


def write(folder: Path, png: bytes) -> Path:
    """Store the sheet in the folder of the table; gives its path."""
    path = folder / NAME
    with files.atomic_file(path) as temporary:
        temporary.write_bytes(png)
    progress.say(f"    preview: {path}")
    return path
