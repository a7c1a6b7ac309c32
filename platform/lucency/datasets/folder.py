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

# A film is read whole into memory, and its pixels are limited elsewhere.
MAX_FILM_BYTES = 2**28


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
        OSError: there is no such file, it is larger than any film, or a link leads out of the
            folder.
    """
    path = root / name
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise OSError(errno.EPERM, "a link leads out of the data set's folder")
    if not path.exists():
        raise OSError(errno.ENOENT, "there is no such file")
    # Opening a pipe would wait for a writer that never comes, opening a device may do anything.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > MAX_FILM_BYTES:
            found = f"it has more than {MAX_FILM_BYTES} bytes, too many for a film"
            raise OSError(errno.EFBIG, found)
        return stream.read(size)


def _names(root: Path) -> Iterator[str]:
    """All that is no folder, and all folders with a slash, relative to the root."""
    # By a list of its own: os.walk calls itself for each level, and levels can be thousands.
    waiting = [""]
    while waiting:
        above = waiting.pop()
        try:
            with os.scandir(root / above) as entries:
                # A link to a folder is neither a film nor entered.
                found = [(e.name, e.is_dir(follow_symlinks=False), _leads(e)) for e in entries]
        except OSError as cause:
            raise DataError(
                f"folder {str(root / above)!r} can't be listed ({cause.strerror}); give it the "
                "right to be read, or move it out of the data set"
            ) from cause
        for each, is_folder, leads_to_folder in found:
            if leads_to_folder and each.startswith("."):
                continue
            name = f"{above}{each}/" if leads_to_folder else f"{above}{each}"
            _refuse_damaged(name)
            yield name
            if is_folder:
                waiting.append(name)


def _leads(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a folder, or a link to one; a link that leads in a circle is neither."""
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and Path(entry.path).is_dir())


def _refuse_damaged(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as cause:
        # Neither the table nor the report could hold it.
        raise DataError(f"the file name {name!r} is not UTF-8; rename the file") from cause
