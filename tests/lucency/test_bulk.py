"""Predictions of many films: the same answers, in parts that outlive whoever made them."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lucency import bulk
from lucency.bulk import Folder, Rows
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.datasets.phantom import Phantom
from lucency.datasets.table import Table
from lucency.errors import DataError

ENDINGS = (".jpeg", ".png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine drawn films in two folders, one that is no film, and a file of another kind."""
    for number, sample in enumerate(Phantom(patients=9, size=64, max_films=1, seed=5)):
        path = tmp_path / "films" / str(number % 2) / f"{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.read())
    (tmp_path / "films" / "0" / "broken.png").write_bytes(b"no film")
    (tmp_path / "films" / "notes.txt").write_text("not asked for")
    return tmp_path / "films"


def test_only_films_are_found_in_a_fixed_order(folder: Path) -> None:
    """By ending, in any case, sorted; the digest changes with the files."""
    found = Folder.find(folder, ENDINGS)

    assert len(found) == 10
    assert list(found.names) == sorted(found.names)
    assert "notes.txt" not in found.names
    assert found == Folder.find(folder, ENDINGS)
    (folder / "1" / "1.JPEG").unlink()
    assert Folder.find(folder, ENDINGS).digest != found.digest


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere", "no folder"), ("empty", "no file under .* ends in one of")]
)
def test_nothing_to_predict_is_said(tmp_path: Path, name: str, message: str) -> None:
    """A wrong path and a folder without films are told apart."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match=message):
        Folder.find(tmp_path / name, ENDINGS)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_parts_hold_the_predictors_answers(bundle: Artifact, folder: Path, tmp_path: Path) -> None:
    """Every film has its row, a refused one its reason; a later run makes what is missing alone."""
    films, output = Folder.find(folder, ENDINGS), tmp_path / "out"

    first = bulk.plan(bundle, films, output, per_part=4)
    assert sorted(bulk.run(first)) == [2, 4, 4]
    first.parts[4].unlink()
    kept = [first.parts[start].stat().st_mtime_ns for start in (0, 8)]
    second = bulk.plan(bundle, films, output, per_part=4)
    assert (second.missing, second.films_of(second.missing)) == ((4,), 4)
    assert list(bulk.run(second)) == [4]
    assert [first.parts[start].stat().st_mtime_ns for start in (0, 8)] == kept

    rows = [row for part in second.parts.values() for row in pq.read_table(part).to_pylist()]
    assert sorted(row["film"] for row in rows) == list(films.names)
    predictor = Predictor(bundle.path)
    for row in rows:
        if row["film"] == "0/broken.png":
            assert (row["refused"], row["decision"]) == ("unsupported_type", None)
            continue
        expected = predictor.predict_bytes((folder / row["film"]).read_bytes())
        assert row["refused"] is None
        assert (row["label"], row["decision"]) == (expected.label, expected.decision)
        assert row["probability"] == pytest.approx(expected.probability, abs=1e-5)
    assert list(bulk.run(bulk.plan(bundle, films, output, per_part=4))) == []


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_part_that_cannot_be_written_is_told(
    bundle: Artifact, folder: Path, tmp_path: Path
) -> None:
    """What a worker's system refuses reaches the person as one sentence, with the path."""
    plan = bulk.plan(bundle, Folder.find(folder, ENDINGS), tmp_path / "out", per_part=10)
    (plan.parts[0] / "in the way").mkdir(parents=True)

    with pytest.raises(DataError, match=r"part-000000.parquet' can't be written: Is a directory"):
        list(bulk.run(plan))


def test_parts_of_something_else_are_kept_apart(
    bundle: Artifact, folder: Path, tmp_path: Path
) -> None:
    """Other films, another bundle, or parts without a record: another folder is asked for."""
    films, output = Folder.find(folder, ENDINGS), tmp_path / "out"
    bulk.plan(bundle, films, output)

    with pytest.raises(DataError, match="other films or of another bundle"):
        bulk.plan(bundle, dataclasses.replace(films, digest="b" * 64), output)
    with pytest.raises(DataError, match="other films or of another bundle"):
        bulk.plan(dataclasses.replace(bundle, digest="c" * 64), films, output)
    (output / bulk.MADE_BY).rename(output / "part-000000.parquet")
    with pytest.raises(DataError, match="has parts and no"):
        bulk.plan(bundle, films, output)


def test_rows_of_a_table_are_named_by_their_films(table: Table) -> None:
    """The chosen rows alone, each with its bytes."""
    rows = table.rows("validation")[[4, 0, 2]]

    found = dict(Rows(table, rows).read(1, 3))

    digests = table.columns["sha256"][rows[1:]]
    assert [read() for read in found.values()] == table.images(rows[1:])
    assert list(found) == digests.tolist()
    assert Rows(table, rows).digest != Rows(table, np.sort(rows)).digest
