"""Splits share no patient, no film and no changed copy of one; else it is told which."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from lucency import files, images
from lucency.datasets import leaks, prepare, table
from lucency.datasets.leaks import Leak
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Row, Table
from lucency.errors import DataError

Entry = tuple[bytes, str, str]
FILMS = [sample.read() for sample in Phantom(patients=6, size=128, max_films=1)]


def stored(path: Path, entries: Sequence[Entry]) -> Table:
    """A table of (film, split, patient), as nobody's preparation would let it pass."""
    rows = [
        Row(data, None, row % 2, patient, "here", split, *images.size(data), files.sha256(data))
        for row, (data, split, patient) in enumerate(entries)
    ]
    return table.write(path / table.NAME, rows, classes=("NORMAL", "PNEUMONIA"), name="made")


def as_png(data: bytes) -> bytes:
    """The same pixels in another file."""
    return images.encode_png(images.decode(data))


def as_poor_jpeg(data: bytes, *, mirrored: bool = False) -> bytes:
    """A changed copy of a film."""
    pixels = images.decode(data)[:, :: -1 if mirrored else 1]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, 60])
    return encoded.tobytes()


def kinds(found: Sequence[Leak]) -> list[tuple[str, int, int]]:
    """What was found, as kind and rows."""
    return [(leak.kind, leak.first.row, leak.second.row) for leak in found]


def test_prepared_table_has_no_leak(tmp_path: Path) -> None:
    """What prepare wrote passes, films of sixty patients in three splits."""
    source = Phantom(patients=60, size=128)
    made = prepare.prepare(source, SplitPlan(), tmp_path, name="phantom").table

    assert leaks.find(made) == []


def test_patient_in_two_splits_is_found(tmp_path: Path) -> None:
    """Different films of one patient are a leak by the patient's name alone."""
    made = stored(tmp_path, [(FILMS[0], "train", "p0"), (FILMS[1], "test", "p0")])

    assert kinds(leaks.find(made)) == [("patient", 0, 1)]


def test_same_bytes_are_found(tmp_path: Path) -> None:
    """One file under two patients in two splits is named by its digest."""
    made = stored(tmp_path, [(FILMS[0], "validation", "p0"), (FILMS[0], "train", "p1")])

    (leak,) = leaks.find(made)

    assert (leak.kind, leak.first.split, leak.second.split) == ("bytes", "train", "validation")
    assert leak.first.sha256 == leak.second.sha256 == files.sha256(FILMS[0])


def test_same_pixels_in_another_file_are_found(tmp_path: Path) -> None:
    """A JPEG and the PNG of what it decodes to are the same film."""
    made = stored(tmp_path, [(FILMS[0], "train", "p0"), (as_png(FILMS[0]), "test", "p1")])

    assert kinds(leaks.find(made)) == [("pixels", 0, 1)]


def test_changed_copy_is_found(tmp_path: Path) -> None:
    """A mirrored copy is named with what was measured."""
    copy = as_poor_jpeg(FILMS[0], mirrored=True)
    made = stored(
        tmp_path,
        [(FILMS[0], "train", "p0"), (FILMS[1], "train", "p1"), (copy, "test", "p2")],
    )

    (leak,) = leaks.find(made)

    assert kinds([leak]) == [("near", 0, 2)]
    assert leak.match
    assert leak.match.mirrored
    assert leak.match.similarity > 0.95
    assert leak.label == f"near {leak.match.similarity:.3f}: mirrored"


def test_changed_copies_need_not_be_looked_for(tmp_path: Path) -> None:
    """With near off only what is identical is found."""
    entries = [(FILMS[0], "train", "p0"), (as_poor_jpeg(FILMS[0]), "test", "p1")]

    assert leaks.find(stored(tmp_path, entries), near=False) == []


def test_copies_inside_a_split_are_no_leak(tmp_path: Path) -> None:
    """Two of a film or patient on the same side tell a model nothing about the other."""
    made = stored(
        tmp_path,
        [
            (FILMS[0], "train", "p0"),
            (FILMS[0], "train", "p0"),
            (as_poor_jpeg(FILMS[0]), "train", "p0"),
            (FILMS[1], "test", "p1"),
        ],
    )

    assert leaks.find(made) == []


def test_identical_films_are_not_counted_as_near_too(tmp_path: Path) -> None:
    """A pair of films stands in the list of films once, under the strongest kind."""
    film, twin = FILMS[0], as_png(FILMS[0])
    entries = [(film, "train", "p0"), (twin, "train", "p0"), (film, "test", "p1")]

    assert kinds(leaks.find(stored(tmp_path, entries))) == [("bytes", 0, 2)]


def test_each_later_film_is_named_once(tmp_path: Path) -> None:
    """Copies on the earlier side don't multiply the list, those on the later side all count."""
    entries = [(FILMS[0], "train", "p0")] * 3 + [(FILMS[0], "test", "p1")] * 2

    assert kinds(leaks.find(stored(tmp_path, entries))) == [("bytes", 0, 3), ("bytes", 0, 4)]


def test_other_table_counts_as_a_split(tmp_path: Path) -> None:
    """A film of the table held against this one is found whatever its split there."""
    here = stored(tmp_path / "here", [(FILMS[0], "train", "p0"), (FILMS[1], "train", "p1")])
    there = stored(
        tmp_path / "there", [(FILMS[2], "train", "p2"), (as_poor_jpeg(FILMS[1]), "train", "p3")]
    )

    (leak,) = leaks.find(here, there)

    assert kinds([leak]) == [("near", 1, 1)]
    assert (leak.first.split, leak.second.split) == ("train", "other")


def test_patients_of_another_house_can_be_left_out(tmp_path: Path) -> None:
    """Where both tables count their patients from one, equal names mean nothing."""
    here = stored(tmp_path / "here", [(FILMS[0], "train", "1")])
    there = stored(tmp_path / "there", [(FILMS[1], "test", "1")])

    assert leaks.counts(leaks.find(here, there)) == {"patient": 1}
    assert leaks.find(here, there, patients=False) == []


def test_single_split_is_refused(tmp_path: Path) -> None:
    """Where there is nothing to compare, no leak is no news."""
    made = stored(tmp_path, [(FILMS[0], "train", "p0"), (FILMS[1], "train", "p1")])

    with pytest.raises(DataError, match=r"no split but \['train'\], there is nothing to compare"):
        leaks.find(made)


def test_films_that_all_look_alike_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set of near-identical pictures ends with a reason, not after days."""
    monkeypatch.setattr(leaks, "MAX_CANDIDATES", 3)
    entries = [(FILMS[0], split, str(row)) for row in range(2) for split in ("train", "test")]

    with pytest.raises(DataError, match="over 3 pairs of films have hashes within 6 bits"):
        leaks.find(stored(tmp_path, entries))


def test_small_films_work(tmp_path: Path) -> None:
    """Films of 28 pixels a side are told apart, and a mirrored copy is found."""
    small = [
        images.encode_png(cv2.resize(images.decode(data), (28, 28), interpolation=cv2.INTER_AREA))
        for data in FILMS
    ]
    mirrored = images.encode_png(np.ascontiguousarray(images.decode(small[0])[:, ::-1]))
    entries = [(data, "train", f"p{row}") for row, data in enumerate(small[:3])]
    entries += [(data, "test", f"q{row}") for row, data in enumerate([*small[3:], mirrored])]

    assert kinds(leaks.find(stored(tmp_path, entries))) == [("near", 0, 6)]


def test_record_is_plain(tmp_path: Path) -> None:
    """A leak can be written as JSON, with the sentence that people read."""
    made = stored(tmp_path, [(FILMS[0], "train", "p0"), (FILMS[0], "test", "p1")])

    (record,) = [leak.record() for leak in leaks.find(made)]

    assert record["label"] == "same bytes"
    assert record["first"] == {
        "split": "train",
        "row": 0,
        "sha256": files.sha256(FILMS[0]),
        "patient": "p0",
    }
    assert record["match"] is None


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Train and validation of PneumoniaMNIST as they are published, with matched patients."""
    if "LUCENCY_DATA" not in os.environ:
        pytest.skip("LUCENCY_DATA is not set: it names the folder of pneumoniamnist")
    root = Path(os.environ["LUCENCY_DATA"]) / "pneumoniamnist"
    with (root / "rows.csv").open(newline="") as stream:
        patients = {
            (row["split"], int(row["index"])): row["patient_id"] for row in csv.DictReader(stream)
        }
    entries = []
    with np.load(root / "pneumoniamnist.npz") as arrays:
        for own, split in (("train", "train"), ("val", "validation")):
            for index, pixels in enumerate(arrays[f"{own}_images"]):
                entries.append((images.encode_png(pixels), split, patients[own, index]))
    return stored(tmp_path_factory.mktemp("official"), entries)


def test_published_split_shares_patients(official: Table) -> None:
    """190 of the 485 validation patients of PneumoniaMNIST, 225 films, were trained on."""
    found = [leak for leak in leaks.find(official, near=False) if leak.kind == "patient"]

    assert len({leak.second.patient for leak in found}) == 190
    assert len(found) == 225


def test_published_split_shares_films(official: Table) -> None:
    """Eight validation films of PneumoniaMNIST stand in train, pixel for pixel."""
    found = leaks.find(official, patients=False, near=False)

    assert leaks.counts(found) == {"bytes": 8}
    assert len({leak.second.row for leak in found}) == 8
