"""The stored form: what is written is read, here and in other people's tools."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lucency import files
from lucency.datasets import splits, table
from lucency.datasets.table import Row, Table
from lucency.errors import DataError

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG"


def row(number: int, *, split: str = "train", mask: bytes | None = None) -> Row:
    """A row whose image is no image: a table does not look inside."""
    data = (PNG if number % 2 else JPEG) + bytes([number % 256])
    return Row(
        data, mask, number % 2, f"p{number}", "a", split, 30 + number, 20, files.sha256(data)
    )


ROWS = [row(0), row(1, split="test", mask=b"mask"), row(2), row(3, split="validation")]


def described(schema: pa.Schema) -> dict[str, Any]:
    """The features that Hugging Face datasets would read."""
    assert schema.metadata is not None
    info = json.loads(schema.metadata[b"huggingface"])["info"]
    features: dict[str, Any] = info["features"]
    return features


@pytest.fixture
def written(tmp_path: Path) -> Table:
    """Four rows on disk."""
    return table.write(tmp_path / table.NAME, ROWS, classes=("NO", "YES"), name="test")


def test_rows_come_back(written: Table) -> None:
    """Columns, images and masks are those of the rows, in their order."""
    assert written.columns["patient"].tolist() == ["p0", "p1", "p2", "p3"]
    assert written.columns["width"].tolist() == [30, 31, 32, 33]
    assert written.images(range(4)) == [each.data for each in ROWS]
    assert written.masks(range(4)) == [None, b"mask", None, None]


def test_images_come_in_the_order_asked_for(written: Table) -> None:
    """Rows may be asked for in any order, and twice."""
    assert written.images([3, 0, 3]) == [ROWS[3].data, ROWS[0].data, ROWS[3].data]


def test_rows_of_a_split(written: Table) -> None:
    """A split is given as its row numbers, ascending."""
    assert written.rows("train").tolist() == [0, 2]
    assert written.rows("test").tolist() == [1]


def test_unknown_split_lists_the_known_ones(written: Table) -> None:
    """A split that is not there is answered with those that are."""
    with pytest.raises(
        DataError, match=r"no split 'val'; it has \['test', 'train', 'validation'\]"
    ):
        written.rows("val")


def test_table_opens_by_file_or_folder(written: Table) -> None:
    """Either path gives the same table, with the names and the digest it was written with."""
    assert Table.open(written.path) == Table.open(written.path.parent) == written
    assert written.classes == ("NO", "YES")
    assert not written.drawn


def test_many_row_groups_are_one_table(tmp_path: Path) -> None:
    """Row numbers run through the row groups, of which a large table has several."""
    rows = [replace(row(number % 200), patient=f"p{number}") for number in range(600)]

    written = table.write(tmp_path / table.NAME, rows, classes=("NO", "YES"), name="test")

    assert pq.ParquetFile(written.path).num_row_groups == 3
    assert written.images([599, 256]) == [rows[599].data, rows[256].data]


@pytest.mark.parametrize(
    "change",
    [{"label": 1}, {"patient": "x"}, {"site": "x"}, {"split": "test"}, {"sha256": "0" * 64}],
)
def test_digest_follows_what_is_learned(tmp_path: Path, change: dict[str, Any]) -> None:
    """Another film, label, patient, site or split in one row is another data set."""
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    versions = [ROWS, [replace(ROWS[0], **change), *ROWS[1:]]]

    one, other = (
        table.write(path, rows, classes=("NO", "YES"), name="test")
        for path, rows in zip(paths, versions, strict=True)
    )

    assert one.digest != other.digest


def test_same_rows_have_the_same_digest(written: Table, tmp_path: Path) -> None:
    """Where and when a table was written does not count."""
    again = table.write(tmp_path / "b.parquet", ROWS, classes=("NO", "YES"), name="test")

    assert again.digest == written.digest


def test_hugging_face_metadata_describe_the_columns(written: Table) -> None:
    """Every column has a feature: images as ``{bytes, path}``, the label with its names."""
    schema = pq.read_schema(written.path)

    features = described(schema)

    assert sorted(features) == sorted(schema.names)
    assert features["image"] == features["mask"] == {"_type": "Image"}
    assert features["label"] == {"_type": "ClassLabel", "names": ["NO", "YES"]}
    assert schema.field("label").type == pa.int64()
    for name in ("image", "mask"):
        assert {field.name for field in schema.field(name).type} == {"bytes", "path"}


def test_hugging_face_types_are_those_stored(written: Table) -> None:
    """A plain column's feature names the type that Parquet holds."""
    schema = pq.read_schema(written.path)

    features = described(schema)

    plain = {name: each["dtype"] for name, each in features.items() if each["_type"] == "Value"}
    assert plain == {name: str(schema.field(name).type) for name in plain}
    assert len(plain) == 9


def test_no_name_of_a_source_file_is_stored(written: Table) -> None:
    """A file's name may carry a patient's, so paths inside the table are made of digests."""
    stored: list[Any] = pq.read_table(written.path)["image"].to_pylist()

    paths = [each["path"] for each in stored]
    assert paths[:2] == [f"{ROWS[0].sha256[:16]}.jpeg", f"{ROWS[1].sha256[:16]}.png"]


def test_phantom_tables_are_known_as_drawn(tmp_path: Path) -> None:
    """The name tells drawn films, whose figures are never clinical."""
    drawn = table.write(tmp_path / "t.parquet", ROWS, classes=("NO", "YES"), name="phantom")

    assert drawn.drawn


def test_missing_table_tells_how_to_make_one(tmp_path: Path) -> None:
    """A path without a table is answered with the command that writes it."""
    with pytest.raises(DataError, match=r"no table at .*python jobs/prepare.py"):
        Table.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not Parquet at all"])
def test_file_that_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes of another kind are a wrong table and not a crash."""
    path = tmp_path / table.NAME
    path.write_bytes(content)

    with pytest.raises(DataError, match="is not a table that"):
        Table.open(path)


def test_foreign_parquet_is_refused(tmp_path: Path) -> None:
    """A Parquet file that something else wrote is told from a table."""
    pq.write_table(pa.table({"label": [0, 1, 1]}), tmp_path / table.NAME)

    with pytest.raises(DataError, match="is not a table that"):
        Table.open(tmp_path)


def test_table_of_another_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that a later version wrote is refused with both format numbers."""
    table.write(tmp_path / table.NAME, ROWS, classes=("NO", "YES"), name="test")
    monkeypatch.setattr(table, "FORMAT", 0)

    with pytest.raises(DataError, match="has table format 2, this version reads 0"):
        Table.open(tmp_path)


def test_films_are_read_as_they_are_written(tmp_path: Path) -> None:
    """Rows may say how to read their film: it is asked for once, in the order of the rows."""
    asked: list[int] = []

    def read(number: int) -> bytes:
        asked.append(number)
        return JPEG + bytes([number])

    rows = [replace(row(number), data=partial(read, number)) for number in range(5)]

    written = table.write(tmp_path / table.NAME, rows, classes=("NO", "YES"), name="test")

    assert asked == list(range(5))
    assert written.images([3]) == [JPEG + bytes([3])]


def test_description_of_a_film_is_stored(tmp_path: Path) -> None:
    """Scanner, view and age band are columns beside patient and site."""
    rows = [replace(row(0), scanner="maker 1", view="PA", age_band="1-5"), row(1)]

    columns = table.write(tmp_path / "t.parquet", rows, classes=("NO", "YES"), name="t").columns

    assert [columns[name].tolist() for name in ("scanner", "view", "age_band")] == [
        ["maker 1", ""],
        ["PA", ""],
        ["1-5", ""],
    ]


def test_digest_of_the_division_is_that_of_the_saved_file(written: Table, tmp_path: Path) -> None:
    """The header names the splits.json that belongs to the table."""
    division = [(each.sha256, each.patient, each.split) for each in ROWS]

    assert written.splits_digest == splits.save(tmp_path / splits.NAME, division[::-1])
