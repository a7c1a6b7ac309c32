"""From folders of films to a table and a report, the way a job does it."""

import json
from pathlib import Path

import numpy as np
import pytest

from lucency.datasets import prepare, splits
from lucency.datasets.chest_xray import ChestXray
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve children of each class to train on, three of each to test, two films a child."""
    drawn = iter(Phantom(patients=60, size=64))
    for split, patients in (("train", 12), ("test", 3)):
        for number in range(patients):
            for film in (1, 2):
                ill = f"{split}/PNEUMONIA/person{number}{len(split)}_virus_{film}.jpeg"
                well = f"{split}/NORMAL/IM-{number:03}{len(split)}-000{film}.jpeg"
                for name in (ill, well):
                    path = tmp_path / "films" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(next(drawn).read())
    return tmp_path / "films"


def prepared(root: Path, output: Path, **plan: object) -> prepare.Prepared:
    """The folder prepared under a plan."""
    return prepare.prepare(
        ChestXray(root=root), SplitPlan.model_validate(plan), output, name="chest_xray"
    )


def test_every_film_gets_a_row(root: Path, tmp_path: Path) -> None:
    """The table holds each usable film with its own bytes, label and patient."""
    table = prepared(root, tmp_path / "out").table

    (place,) = np.flatnonzero(table.columns["patient"] == "person05_virus")[:1]
    film = root / "train" / "PNEUMONIA" / "person05_virus_1.jpeg"
    assert len(table.columns["label"]) == 60
    assert table.images([place]) == [film.read_bytes()]
    assert table.columns["label"][place] == 1


def test_no_patient_is_shared(root: Path, tmp_path: Path) -> None:
    """The written table has each patient in one split."""
    columns = prepared(root, tmp_path / "out").table.columns

    splits.refuse_leaks(list(columns["patient"]), list(columns["split"]))
    assert set(columns["split"]) == set(splits.SPLITS)


def test_official_test_films_stay_the_test_films(root: Path, tmp_path: Path) -> None:
    """With the official split kept, the test rows are the films of the test folder."""
    table = prepared(root, tmp_path / "out", keep_official_test=True).table

    stored = set(table.images(table.rows("test")))
    assert stored == {path.read_bytes() for path in (root / "test").rglob("*.jpeg")}


def test_preparing_twice_gives_the_same_table(root: Path, tmp_path: Path) -> None:
    """The same films under the same plan have the same digest, another seed has another."""
    first = prepared(root, tmp_path / "a").table
    second = prepared(root, tmp_path / "b").table
    other = prepared(root, tmp_path / "c", seed=1).table

    assert first.digest == second.digest
    assert first.digest != other.digest


def test_bad_films_are_set_aside_with_their_reason(root: Path, tmp_path: Path) -> None:
    """A damaged film and a copy are left out of the table and stand in the report."""
    healthy = sorted((root / "train" / "NORMAL").iterdir())
    healthy[0].write_bytes(healthy[0].read_bytes()[:-400])
    (root / "train" / "NORMAL" / "IM-9999-0001.jpeg").write_bytes(healthy[1].read_bytes())

    result = prepared(root, tmp_path / "out")

    told = {entry["name"]: entry["reason"] for entry in result.report["set_aside"]}
    assert told == {
        f"train/NORMAL/{healthy[0].name}": "truncated",
        "train/NORMAL/IM-9999-0001.jpeg": "duplicate",
    }
    assert len(result.table.columns["label"]) == 59


def test_report_lies_beside_the_table(root: Path, tmp_path: Path) -> None:
    """Programs read report.json and people report.html, both about this very table."""
    result = prepared(root, tmp_path / "out")

    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored == result.report
    assert stored["digest"] == result.table.digest
    assert result.table.digest in result.report_path.read_text()


def test_report_runs_nothing_that_a_name_holds(root: Path, tmp_path: Path) -> None:
    """A file name is shown as text, whatever it would mean in a page."""
    (root / "train" / "NORMAL" / "<script>alert(1)<|script>.png").write_bytes(b"GIF89a")

    page = prepared(root, tmp_path / "out").report_path.read_text()

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_source_without_a_usable_film_is_refused(root: Path, tmp_path: Path) -> None:
    """A set of which nothing is left is an error, with how many films were tried."""
    for path in root.rglob("*.jpeg"):
        path.write_bytes(b"")

    with pytest.raises(DataError, match="none of the 60 films of 'chest_xray' can be used"):
        prepared(root, tmp_path / "out")


def test_failed_preparation_leaves_no_table(root: Path, tmp_path: Path) -> None:
    """Patients that can't be divided as planned cost no half-written output."""
    with pytest.raises(DataError, match="would hold no patient of class"):
        prepared(root, tmp_path / "out", validation=0.01)

    assert not (tmp_path / "out").exists()
