"""
Class, split and patient of a film, read off its path: one rule for folders and for archives.

Paths are relative and POSIX; the name of a folder ends with a slash. Known layouts are
``<class>/**`` and ``{train,val,test}/<class>/**``, both also inside of one outer folder.
"""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lucency.errors import DataError

# What data sets call their splits -> what the table calls them.
SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
_ORDER = ("train", "validation", "test")
_SHOWN = 6

# Below each folder: the whole name of every entry, and the parts of it that follow.
_Entries = list[tuple[str, list[str]]]
_Folders = dict[str, _Entries]


@dataclass(frozen=True)
class Place:
    """Where one film stands: its listed name, what the folders say of it, and its patient."""

    name: str
    label: int
    split: str | None
    patient: str


@dataclass(frozen=True)
class Layout:
    """The classes of a source, and every file that lies in one of them."""

    classes: tuple[str, ...]
    places: list[Place]


def arrange(
    names: Iterable[str], *, source: str, classes: Sequence[str] = (), patient_pattern: str = ""
) -> Layout:
    """
    Give every visible file below a class folder its class, split and patient.

    Args:
        names: All files and folders of the source.
        source: What a person calls it, for messages.
        classes: Exactly these folders, in this order; empty: all there are, sorted.
        patient_pattern: As for ``patients``.

    Raises:
        DataError: there are no classes, a class has no file, or the pattern does not fit.
    """
    refuse_odd(classes)
    top = _enter(names, classes)
    kinds = _split_folders(top, classes)
    groups: list[tuple[str | None, _Folders]] = [(None, top)]
    if kinds:
        groups = [(split, _folders(top[folder])) for folder, split in kinds]
    chosen = tuple(classes) or _all_classes(groups, source)
    _refuse_empty(chosen, groups, source)
    found = [
        (name, label, split)
        for split, folders in groups
        for label, folder in enumerate(chosen)
        for name in _files(folders.get(folder, []))
    ]
    people = patients([name for name, _, _ in found], patient_pattern)
    placed = zip(found, people, strict=True)
    return Layout(chosen, [Place(*place, patient) for place, patient in placed])


def patients(names: Sequence[str], pattern: str) -> list[str]:
    """
    The patient of each file: what the pattern's one group finds in the file's name.

    A name in which it finds nothing is a patient of its own; so is every name where the
    pattern is empty. The same text in two folders is the same patient.

    Raises:
        DataError: the pattern is no regular expression of one group, or fits no name at all.
    """
    if not pattern:
        return list(names)
    try:
        expression = re.compile(pattern)
    except re.error as cause:
        raise DataError(
            f"patient_pattern {pattern!r} is not a regular expression ({cause}); "
            r"expected one like '^(person\d+)_'"
        ) from cause
    if expression.groups != 1:
        raise DataError(
            f"patient_pattern {pattern!r} has {expression.groups} groups, expected one: put "
            "round brackets around the part that names the patient, and (?:...) around others"
        )
    matches = [expression.search(PurePosixPath(name).name) for name in names]
    if names and not any(matches):
        raise DataError(
            f"patient_pattern {pattern!r} fits none of {len(names)} file names, the first is "
            f"{PurePosixPath(names[0]).name!r}; change it, or leave it empty if no name holds "
            "a patient"
        )
    return [
        (match.group(1) if match else None) or name
        for match, name in zip(matches, names, strict=True)
    ]


def refuse_odd(classes: Sequence[str]) -> None:
    """
    Check class names that a configuration gives.

    Raises:
        DataError: there is only one, or one stands twice.
    """
    if len(classes) == 1:
        raise DataError(f"classes names only {classes[0]!r}; expected two or more")
    if twice := sorted({name for name in classes if classes.count(name) > 1}):
        raise DataError(f"classes names {twice[0]!r} twice; name each class once")


def nearest(word: str, names: Iterable[str]) -> str:
    """The name that was probably meant, as the end of a sentence; else the names there are."""
    known = sorted(names)
    if (name := closest(word, known)) is not None:
        return f"the nearest is {name!r}"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"there are {known[:_SHOWN]}{more}"


def closest(word: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, if any is like it; letter case makes no difference."""
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def _enter(names: Iterable[str], classes: Sequence[str]) -> _Folders:
    """The folders of the level that counts: an archive often unpacks into one of its own name."""
    here = _folders([(name, _parts(name)) for name in sorted(names) if _visible(name)])
    while len(here) == 1 and not set(here) & set(classes) and not _split_folders(here, classes):
        (entries,) = here.values()
        inner = _folders(entries)
        if not inner:
            break
        here = inner
    return here


def _folders(entries: _Entries) -> _Folders:
    below: _Folders = defaultdict(list)
    for name, (first, *rest) in entries:
        if rest:
            below[first].append((name, rest))
    return dict(sorted(below.items()))


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return [*parts, ""] if name.endswith("/") or not parts else parts


def _visible(name: str) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in _parts(name))


def _split_folders(here: Mapping[str, object], classes: Sequence[str]) -> list[tuple[str, str]]:
    """Folders that are splits, training first: none unless there is a train, or nothing else."""
    if set(here) & set(classes):
        return []
    kinds = [(name, SPLITS[name.lower()]) for name in here if name.lower() in SPLITS]
    if len(kinds) < len(here) and "train" not in dict(kinds).values():
        return []
    return sorted(kinds, key=lambda kind: (_ORDER.index(kind[1]), kind[0]))


def _all_classes(groups: Sequence[tuple[str | None, _Folders]], source: str) -> tuple[str, ...]:
    found = tuple(sorted({folder for _, folders in groups for folder in folders}))
    if not found:
        raise DataError(
            f"{source!r} holds no class folder; expected one folder for each class, or train/, "
            "val/ and test/ that hold them"
        )
    if len(found) == 1:
        raise DataError(
            f"{source!r} holds only the class folder {found[0]!r}; expected two or more: give "
            "the folder that holds all classes"
        )
    trained = {folder for split, folders in groups if split == "train" for folder in folders}
    if trained and (missing := [name for name in found if name not in trained]):
        raise DataError(
            f"class folder {missing[0]!r} of {source!r} stands beside no train folder of that "
            f"name; {nearest(missing[0], trained)}: name them alike, or list the classes"
        )
    return found


def _refuse_empty(
    classes: Sequence[str], groups: Sequence[tuple[str | None, _Folders]], source: str
) -> None:
    there = {folder for _, folders in groups for folder in folders}
    for name in classes:
        if name not in there:
            raise DataError(f"class {name!r} has no folder in {source!r}; {nearest(name, there)}")
        if not any(_files(folders.get(name, [])) for _, folders in groups):
            raise DataError(
                f"class folder {name!r} of {source!r} holds no file (links to folders are not "
                "followed); put its films there, or leave it out of classes"
            )


def _files(entries: _Entries) -> list[str]:
    return [name for name, _ in entries if not name.endswith("/")]
