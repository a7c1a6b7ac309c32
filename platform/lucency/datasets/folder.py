"""Any data set that keeps the films of each class in a folder of its own."""

import errno
import functools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from lucency.datasets import layout
from lucency.datasets.base import Sample, datasets
from lucency.errors import DataError


@datasets.register("folder")
class Folder:
    """
    ``<root>/<class>/**`` or ``<root>/{train,val,test}/<class>/**``; one outer folder is entered.

    Every file that is not hidden is a sample, so that the report names what is no film. Links
    to folders are not followed; a link to a file is read where it stays inside of the root.

    Args:
        classes: Exactly these folders, the last one being the positive class of two; empty:
            all there are, sorted.
        patient_pattern: Regular expression whose one group is the patient in a file's name;
            empty: every film is a patient of its own.
        site: Hospital or scanner of all films.

    Raises:
        DataError: no folder, no classes, a class without a file, a pattern that does not fit.
    """

    def __init__(
        self,
        *,
        root: Path,
        classes: tuple[str, ...] = (),
        patient_pattern: str = "",
        site: str = "unknown",
    ) -> None:
        if not root.is_dir():
            raise DataError(
                f"folder {str(root)!r} does not exist; give the folder that holds one folder "
                "for each class"
            )
        found = layout.arrange(
            _names(root), source=str(root), classes=classes, patient_pattern=patient_pattern
        )
        self.root = root.absolute()
        self.classes = found.classes
        self.site = site
        self._places = found.places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Sample]:
        for place in self._places:
            yield Sample(
                name=place.name,
                read=functools.partial(read_inside, self.root, place.name),
                label=place.label,
                patient=place.patient,
                site=self.site,
                split=place.split,
            )


def read_inside(root: Path, name: str) -> bytes:
    """
    The bytes of a regular file below a folder.

    Raises:
        OSError: there is no such file, or a link leads out of the folder.
    """
    path = root / name
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise OSError(errno.EPERM, "a link leads out of the data set's folder")
    # Opening a pipe would wait for a writer that never comes.
    if not path.is_file():
        raise OSError(errno.ENOENT, "there is no such file")
    return path.read_bytes()


def _names(root: Path) -> Iterator[str]:
    """All files, and all folders with a slash, relative to the root."""
    for folder, folders, names in os.walk(root, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder)
        files = [name for name in names if _is_file(here / name)]
        for name in [f"{each}/" for each in folders] + files:
            relative = f"{here.relative_to(root).as_posix()}/{name}".removeprefix("./")
            _refuse_damaged(relative)
            yield relative


def _is_file(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _refuse_damaged(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as cause:
        # Neither the table nor the report could hold it.
        raise DataError(f"the file name {name!r} is not UTF-8; rename the file") from cause


def _refuse(cause: OSError) -> None:
    raise DataError(
        f"folder {cause.filename!r} can't be listed ({cause.strerror}); give it the right to be "
        "read, or move it out of the data set"
    ) from cause
