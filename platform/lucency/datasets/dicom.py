"""Films as the hospital stores them: DICOM files, rendered when they are read, named by no one."""

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lucency import files, images, progress
from lucency.datasets import layout
from lucency.datasets.base import Sample, datasets
from lucency.datasets.folder import read_inside
from lucency.datasets.manifest import Manifest
from lucency.dicom import container, decoder, deidentify, salt
from lucency.dicom.burned_in import burned_in_text
from lucency.dicom.salt import Salt
from lucency.errors import DataError, ImageError

_WORDS = {"LL": "LATERAL", "RL": "LATERAL", "LAT": "LATERAL"}


# No repr: these hold what must not be printed.
@dataclass(frozen=True, repr=False)
class _File:
    """One file of the source; ``refusal`` is why it can't be used, as far as its header shows."""

    root: Path
    path: str
    facts: dict[str, str]
    refusal: ImageError | None


@datasets.register("dicom")
class Dicom:
    """
    DICOM films in class folders, as ``folder`` has them, or listed in a CSV file with labels.

    Samples carry salted names: nothing of a path, a patient or an institution leaves here.

    Args:
        roots: Folders of films. Several are read as one, each laid out in the same way.
        labels: CSV file with a row a film; none: the class folders say the label.
        film_column: Column of SOP instance UIDs, or of paths relative to a root.
        label_column: Column of the classes' names.
        split_column: Column of the official split; empty: none.
        classes: As for ``folder``.
        views: Views to use; LATERAL stands for LL and RL too. Others are ``wrong_view``.
        view_missing: What to do with a film that names no view: set aside as
            ``unknown_view``, or keep it.
        modalities: Modalities to use; others are ``wrong_modality``.
        site: Name of the site of all films; empty: the institution's name, salted.
        key_file: Secret key of the salted names; the variable LUCENCY_DICOM_KEY goes before it.
        deidentified: Folder for a de-identified DICOM copy of each usable film; none: no copies.

    Raises:
        DataError: no key, no folder, no classes, or a manifest that does not fit.
    """

    def __init__(
        self,
        *,
        roots: tuple[Path, ...],
        labels: Path | None = None,
        film_column: str = "film",
        label_column: str = "label",
        split_column: str = "",
        classes: tuple[str, ...] = (),
        views: tuple[str, ...] = ("PA", "AP"),
        view_missing: Literal["set_aside", "keep"] = "set_aside",
        modalities: tuple[str, ...] = ("CR", "DX"),
        site: str = "",
        key_file: Path | None = None,
        deidentified: Path | None = None,
    ) -> None:
        _refuse_roots(roots)
        self.site = site
        self.deidentified = deidentified
        self._salt = salt.load(key_file)
        self._views = {_WORDS.get(view.upper(), view.upper()) for view in views}
        self._keep_unknown = view_missing == "keep"
        self._modalities = {modality.upper() for modality in modalities}
        if labels is None:
            self.classes, self._places = _by_folder(roots, classes)
        else:
            manifest = Manifest(
                manifest=labels,
                root=roots[0],
                image=film_column,
                label=label_column,
                split=split_column,
                classes=classes,
            )
            self.classes = manifest.classes
            self._places = _by_manifest(roots, manifest)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Sample]:
        unnamed = 0
        for place in self._places:
            file = self._look(place.root, place.path)
            name = self._salt.name("film", place.identity)
            patient = file.facts.get("patient", "")
            unnamed += not patient and file.refusal is None
            salted = self._salt.name("patient", patient or f"\0{place.identity}")
            yield Sample(
                name=name,
                read=functools.partial(self._read, file, name, salted),
                label=place.label,
                patient=salted,
                site=self.site or self._named("institution", file) or "unknown",
                split=place.split,
                scanner=self._named("scanner", file),
                view=file.facts.get("view", ""),
                age_band=file.facts.get("age_band", ""),
                flags=_flags,
            )
        if unnamed:
            progress.say(f"    {unnamed} films name no patient: each is a patient of its own")

    def _look(self, root: Path, path: str) -> _File:
        try:
            facts = decoder.facts(_bytes(root, path))
        except ImageError as refusal:
            return _File(root, path, {}, refusal)
        except OSError as cause:
            message = f"the file can't be read ({cause.strerror})"
            return _File(root, path, {}, ImageError("unreadable", message))
        return _File(root, path, facts, self._refusal(facts))

    def _refusal(self, facts: dict[str, str]) -> ImageError | None:
        if facts["modality"] not in self._modalities:
            return ImageError(
                "wrong_modality", f"the modality is none of {sorted(self._modalities)}"
            )
        if not facts["view"] and not self._keep_unknown:
            return ImageError(
                "unknown_view",
                "the film names no view; view_missing=keep would use it, lateral or not",
            )
        if facts["view"] and facts["view"] not in self._views:
            return ImageError("wrong_view", f"the view is none of {sorted(self._views)}")
        return None

    def _named(self, fact: str, file: _File) -> str:
        """A fact under a salted name: its text is free, and may hold anything."""
        text = file.facts.get(fact, "")
        return self._salt.name(fact, text) if text else ""

    def _read(self, file: _File, name: str, patient: str) -> bytes:
        if file.refusal is not None:
            raise ImageError(file.refusal.reason, file.refusal.message)
        data = _bytes(file.root, file.path)
        png = images.encode_png(decoder.render(data))
        if self.deidentified is not None:
            _copy(data, self._salt, patient, self.deidentified / f"{name}.dcm")
        return png


@dataclass(frozen=True, repr=False)
class _Place:
    """Where one film stands; ``identity`` is what its salted name is made from."""

    root: Path
    path: str
    identity: str
    label: int
    split: str | None


def _flags(pixels_hwc: np.ndarray) -> tuple[str, ...]:
    return ("burned_in_text",) if burned_in_text(pixels_hwc[:, :, 0]) else ()


def _copy(data: bytes, key: Salt, patient: str, path: Path) -> None:
    """Write the de-identified copy; the same film under the same key is the same file."""
    if path.exists():
        return
    copy = deidentify.film(data, key, patient)
    with files.atomic_file(path) as temporary:
        temporary.write_bytes(copy)


def _bytes(root: Path, path: str) -> bytes:
    # Before it is read: a film of many gigabytes would not fit into memory.
    if os.stat(root / path).st_size > container.MAX_BYTES:
        raise ImageError("too_large", f"the file has more than {container.MAX_BYTES} bytes")
    return read_inside(root, path)


def _refuse_roots(roots: Sequence[Path]) -> None:
    if not roots:
        raise DataError("roots is empty; give the folder that holds the films")
    for root in roots:
        if not root.is_dir():
            raise DataError(f"folder {str(root)!r} does not exist; give a folder of films")


def _by_folder(
    roots: Sequence[Path], classes: tuple[str, ...]
) -> tuple[tuple[str, ...], list[_Place]]:
    places: list[_Place] = []
    for number, root in enumerate(roots):
        found = layout.arrange(_names(root), source=str(root), classes=classes)
        if classes and found.classes != classes:
            raise DataError(
                f"{str(root)!r} has the classes {list(found.classes)}, "
                f"{str(roots[0])!r} has {list(classes)}; lay out all roots alike"
            )
        classes = found.classes
        places += [
            _Place(root.absolute(), p.name, f"{number}/{p.name}", p.label, p.split)
            for p in found.places
        ]
    return classes, places


def _by_manifest(roots: Sequence[Path], manifest: Manifest) -> list[_Place]:
    paths = {
        path: root.absolute()
        for root in reversed(roots)
        for path in _names(root)
        if not path.endswith("/")
    }
    rows = list(manifest)
    instances: dict[str, str] = {}
    if any(row.name not in paths for row in rows):
        instances = _instances(paths)
    places = []
    for row in rows:
        path = row.name if row.name in paths else instances.get(row.name, row.name)
        root = paths.get(path, roots[0].absolute())
        places.append(_Place(root, path, row.name, row.label, row.split))
    return places


def _instances(paths: dict[str, Path]) -> dict[str, str]:
    """SOP instance UID -> path, over all files that are DICOM."""
    found: dict[str, str] = {}
    for path, root in progress.track(sorted(paths.items()), "indexed", len(paths), "files"):
        try:
            facts = decoder.facts(_bytes(root, path))
        except (ImageError, OSError):
            continue  # not a film; one that the manifest names is set aside by its name
        if facts["instance"]:
            found.setdefault(facts["instance"], path)
    return found


def _names(root: Path) -> Iterator[str]:
    """All files, and all folders with a slash; no message quotes a name: it may be a patient's."""
    for folder, folders, names in os.walk(root, onerror=_unlisted):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        for name in [f"{each}/" for each in folders] + sorted(names):
            relative = f"{here.relative_to(root).as_posix()}/{name}".removeprefix("./")
            if name.endswith("/") or (root / relative).is_file():
                yield relative


def _unlisted(cause: OSError) -> None:
    raise DataError(
        f"a folder below roots can't be listed ({cause.strerror}); give it the right to be read"
    ) from None
