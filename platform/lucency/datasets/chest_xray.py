"""
The paediatric chest films of Kermany et al., 2018, in their well-known folder layout.

``<root>/{train,val,test}/{NORMAL,PNEUMONIA}/*``; https://doi.org/10.1016/j.cell.2018.02.010.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from lucency.datasets.base import Sample, datasets
from lucency.errors import DataError

_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_SUFFIXES = frozenset({".jpeg", ".jpg", ".png"})
# The cause belongs to the patient's name: N is counted once for bacteria and once for virus,
# and reading personN alone would join 170 children in train to others in test.
_PATIENTS = (
    re.compile(r"^(person\d+_(?:bacteria|virus))_"),
    re.compile(r"^((?:NORMAL2-)?IM-\d+)-"),
)


@datasets.register("chest_xray")
class ChestXray:
    """
    Normal or pneumonia, from a folder.

    Raises:
        DataError: the folder, a split or a class is missing or empty; the nearest right
            folder is named.
    """

    classes: tuple[str, ...] = ("NORMAL", "PNEUMONIA")

    def __init__(self, *, root: Path = Path("data/chest_xray"), site: str = "kermany") -> None:
        self.root = _find_root(root)
        self.site = site
        self._files = [
            (split, label, path)
            for folder, split in _SPLITS.items()
            for label, name in enumerate(self.classes)
            for path in _films(self.root / folder / name, required=split != "validation")
        ]

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Sample]:
        for split, label, path in self._files:
            yield Sample(
                name=str(path.relative_to(self.root)),
                read=path.read_bytes,
                label=label,
                patient=patient_of(path.name),
                site=self.site,
                split=split,
            )


def patient_of(name: str) -> str:
    """The patient in a file's name; a name of another form is a patient of its own."""
    for pattern in _PATIENTS:
        if match := pattern.match(name):
            return match.group(1)
    return Path(name).stem


def _find_root(root: Path) -> Path:
    if not root.is_dir():
        raise DataError(
            f"folder {str(root)!r} does not exist; give the folder that holds train/ and test/"
        )
    for candidate in (root, root / "chest_xray"):
        if (candidate / "train").is_dir():
            return candidate
    found = sorted(path.name for path in root.iterdir())[:6]
    raise DataError(
        f"folder {str(root)!r} holds {found}; expected train/, val/ and test/, each with "
        "NORMAL/ and PNEUMONIA/"
    )


def _films(folder: Path, *, required: bool) -> list[Path]:
    if not folder.is_dir():
        if not required:
            return []
        raise DataError(f"folder {str(folder)!r} is missing; it must hold the films of its class")
    films = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    )
    if required and not films:
        raise DataError(
            f"class folder {str(folder)!r} holds no film ({', '.join(sorted(_SUFFIXES))}); "
            "both classes need films in train and test"
        )
    return films
