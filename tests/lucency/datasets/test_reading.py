"""Reading a stored table: by row group, from a path or a URI, without a film too many."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lucency import files, images
from lucency.datasets import reading, table
from lucency.datasets.table import Row, Table
from lucency.errors import DataError

FILMS = [f"film {number}".encode() * number for number in range(1, 7)]


@pytest.fixture
def stored(tmp_path: Path) -> str:
    """Six films in row groups of two, the fourth one without an image."""
    values = [{"bytes": film, "path": "x"} for film in FILMS]
    column = pa.array([None if i == 3 else v for i, v in enumerate(values)])
    path = tmp_path / "films.parquet"
    pq.write_table(pa.table({"image": column, "name": list("aabbca")}), path, row_group_size=2)
    return str(path)


def gray(number: int, side: int = 20) -> Row:
    """A flat gray film that decodes."""
    data = images.encode_png(np.full((side, 16), number, dtype=np.uint8))
    split = "test" if number % 3 == 0 else "train"
    return Row(data, None, 0, f"p{number}", "a", split, 16, side, files.sha256(data))


def written(folder: Path, rows: list[Row]) -> Table:
    """A table of some rows."""
    return table.write(folder / table.NAME, rows, classes=("NO", "YES"), name="test")


@pytest.mark.parametrize("rows", [[5, 0, 5, 2], [4], [], [0, 1, 2, 4, 5]])
def test_films_come_as_asked_for(stored: str, rows: list[int]) -> None:
    """Any rows in any order, also twice, from whatever row groups."""
    assert reading.Films(stored).read(rows) == [FILMS[row] for row in rows]


def test_row_without_an_image_is_told_from_an_empty_one(stored: str) -> None:
    """A gap is None, and its neighbours are their own films."""
    assert reading.Films(stored).read([2, 3, 4]) == [FILMS[2], None, FILMS[4]]


def test_column_without_any_image_reads(tmp_path: Path) -> None:
    """A set without masks has none, which is no error."""
    none = pa.array([None, None], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"image": none}), tmp_path / "t.parquet")

    assert reading.Films(str(tmp_path / "t.parquet")).read([0, 1]) == [None, None]


def test_only_groups_with_wanted_films_are_read(stored: str) -> None:
    """Films come a row group at a time, and a group that holds none of them does not come."""
    found = list(reading.Films(stored).by_group(np.array([5, 0, 4])))

    assert [indices.tolist() for indices, _ in found] == [[1], [0, 2]]
    assert [films for _, films in found] == [[FILMS[0]], [FILMS[5], FILMS[4]]]


def test_groups_of_rows(stored: str) -> None:
    """A row's group is where the file has it."""
    assert reading.Films(stored).groups(np.array([0, 1, 2, 5])).tolist() == [0, 0, 1, 2]


def test_equal_entries_have_equal_codes(stored: str) -> None:
    """Codes tell equal from different, whatever row group an entry is in."""
    codes = reading.codes(reading.column(stored, "name"))

    assert [codes[i] == codes[0] for i in range(6)] == [True, True, False, False, False, True]
    assert len(set(codes.tolist())) == 3


def test_uri_is_read_as_the_path(tmp_path: Path) -> None:
    """A table opens by URI and has the same rows, films and digest as by its path."""
    by_path = written(tmp_path, [gray(number) for number in range(1, 8)])

    by_uri = Table.open(by_path.path.as_uri())

    assert by_uri.source == by_path.path.as_uri()
    assert by_uri.digest == by_path.digest
    assert by_uri.rows("train").tolist() == by_path.rows("train").tolist()
    assert by_uri.images([6, 0]) == by_path.images([6, 0])


def test_uri_with_a_password_is_refused_unread() -> None:
    """A run's record repeats its table's URI, and a log its errors: neither may hold a secret."""
    with pytest.raises(DataError, match="AWS_SECRET_ACCESS_KEY") as caught:
        Table.open("s3://somebody:opensesame@bucket/table.parquet")

    assert "opensesame" not in str(caught.value)


@pytest.mark.parametrize("address", ["file:///nowhere/t.parquet", "unknown://x/t.parquet"])
def test_uri_without_a_table_is_one_error(address: str) -> None:
    """What is not there, or not known to pyarrow, is a wrong table and not a crash."""
    with pytest.raises(DataError, match=address):
        Table.open(address)


def test_set_of_one_size_loads_as_an_array(tmp_path: Path) -> None:
    """A split, or all of it, decoded, in row order."""
    stored = written(tmp_path, [gray(number) for number in range(1, 8)])

    whole, train = stored.load(), stored.load("train", color="RGB")

    assert whole.shape == (7, 20, 16, 1)
    assert train.shape == (5, 20, 16, 3)
    gray_of = {f"p{number}": number for number in range(1, 8)}
    assert whole[:, 0, 0, 0].tolist() == [gray_of[p] for p in stored.columns["patient"]]
    assert (train[:, 0, 0, 2] == whole[stored.rows("train"), 0, 0, 0]).all()


def test_set_of_several_sizes_is_no_array(tmp_path: Path) -> None:
    """An array is refused with the sizes that were found."""
    stored = written(tmp_path, [gray(1), gray(2, side=24)])

    with pytest.raises(DataError, match=r"2 sizes \(h, w\), as \[\(20, 16\), \(24, 16\)\]"):
        stored.load()


def test_columns_are_a_mapping_read_on_demand(tmp_path: Path) -> None:
    """All columns are named at once; one that does not exist is a KeyError."""
    columns = written(tmp_path, [gray(1), gray(2)]).columns

    assert {"label", "patient", "split", "width"} <= set(columns)
    assert "image" not in columns
    assert len(columns) == len(list(columns))
    with pytest.raises(KeyError, match="lable"):
        columns["lable"]


def test_reading_holds_one_row_group(tmp_path: Path) -> None:
    """The films of a group are handed over before the next group is read."""
    path = tmp_path / "large.parquet"
    film = bytes(2**20)
    column = pa.array([{"bytes": film, "path": ""}] * 40)
    pq.write_table(pa.table({"image": column}), path, row_group_size=4, compression="none")
    before = pa.total_allocated_bytes()

    groups: Iterator[object] = reading.Films(str(path)).by_group(np.arange(40))
    held = [pa.total_allocated_bytes() - before for _ in groups]

    assert len(held) == 10
    assert max(held) < 24 * 2**20
