"""The prediction log: every answer once, in parts or still in the journal."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lucency.audit import predictions
from lucency.audit.journal import Journal, stamp
from lucency.audit.key import Key
from lucency.audit.predictions import AUDIT, SCHEMA, Roller

from .conftest import Clock


class Service:
    """Answers films into a journal and, unless it is killed first, into parts."""

    def __init__(self, folder: Path, key: Key, clock: Clock, rows: int) -> None:
        self.clock = clock
        self.journal = Journal(folder / AUDIT, key, "one", clock=clock)
        self.roller = Roller(folder, rows=rows, every_s=3600)

    def answer(self, *names: str, kind: str = "prediction") -> None:
        """One group."""
        values: list[dict[str, Any]] = [
            {
                "kind": kind,
                "at": stamp(self.clock()),
                "id": name,
                "probability": 0.25,
                "label": "PNEUMONIA",
            }
            for name in names
        ]
        lines = self.journal.append(values)
        self.roller.add(self.journal.file, lines)


@pytest.fixture
def service(tmp_path: Path, key: Key, clock: Clock) -> Service:
    """Parts of three rows."""
    return Service(tmp_path, key, clock, rows=3)


def names(folder: Path, **days: Any) -> list[str]:
    """Ids of all predictions."""
    return sorted(map(str, predictions.read(folder, **days).column("id").to_pylist()))


def parts(folder: Path) -> list[str]:
    """All parts, by day."""
    root = folder / predictions.PREDICTIONS
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.parquet"))


def test_rows_are_in_parts_or_in_the_journal_and_counted_once(
    tmp_path: Path, service: Service
) -> None:
    """A part is written when it is full; the rest is read from the journal."""
    service.answer("a", "b")
    assert parts(tmp_path) == []
    assert names(tmp_path) == ["a", "b"]

    service.answer("c")
    service.answer("d")

    assert parts(tmp_path) == ["day=2026-03-01/one.00000002-00000004.parquet"]
    assert names(tmp_path) == ["a", "b", "c", "d"]


def test_refusals_are_no_predictions(tmp_path: Path, service: Service) -> None:
    """They are in the audit log alone."""
    service.answer("a", kind="refusal")
    service.answer("b", "c", "d")

    assert names(tmp_path) == ["b", "c", "d"]


def test_dead_replicas_rows_are_recovered_once(tmp_path: Path, service: Service) -> None:
    """What a killed process left is rolled by another, which leaves a living one's file alone."""
    service.answer("a", "b", "c")
    service.answer("d")
    assert predictions.recover(tmp_path) == 0
    service.journal.close()  # as the kernel lets go of a dead process's lock

    assert predictions.recover(tmp_path) == 1
    assert predictions.recover(tmp_path) == 0
    assert names(tmp_path) == ["a", "b", "c", "d"]
    assert len(parts(tmp_path)) == 2


def test_new_day_has_a_part_of_its_own(tmp_path: Path, service: Service, clock: Clock) -> None:
    """A part holds one day; readers may ask for some."""
    service.answer("a")
    clock.turn(days=1)
    service.answer("b")

    assert [part.partition("/")[0] for part in parts(tmp_path)] == ["day=2026-03-01"]
    assert names(tmp_path, since=clock().date()) == ["b"]
    assert names(tmp_path, until=clock().date()) == ["a", "b"]


def test_half_written_part_is_passed_over(tmp_path: Path, service: Service) -> None:
    """A process killed while it wrote leaves a hidden file."""
    service.answer("a", "b", "c")
    whole = next((tmp_path / predictions.PREDICTIONS).glob("*/*.parquet"))
    whole.with_name(f".{whole.name}.x7").write_bytes(whole.read_bytes()[:100])
    whole.with_name(f".{whole.name}").write_bytes(whole.read_bytes()[:100])

    assert names(tmp_path) == ["a", "b", "c"]


def test_part_that_could_not_be_written_is_tried_again(tmp_path: Path, service: Service) -> None:
    """Its rows are kept, in memory and in the journal."""
    (tmp_path / predictions.PREDICTIONS).write_text("in the way")
    with pytest.raises(OSError, match=predictions.PREDICTIONS):
        service.answer("a", "b", "c")
    (tmp_path / predictions.PREDICTIONS).unlink()

    service.answer("d")

    assert parts(tmp_path) == ["day=2026-03-01/one.00000002-00000005.parquet"]
    assert names(tmp_path) == ["a", "b", "c", "d"]


def test_part_says_what_its_columns_are(tmp_path: Path, service: Service) -> None:
    """Names, types and meanings travel in the file; no column could hold pixels."""
    service.answer("a", "b", "c")
    (part,) = (tmp_path / predictions.PREDICTIONS).glob("*/*.parquet")

    schema = pq.read_schema(part)

    assert schema.remove_metadata().equals(SCHEMA)
    assert all((field.metadata or {}).get(b"is") for field in schema)
    assert not any("binary" in str(field.type) for field in schema)


def test_part_of_before_a_column_was_added_is_read(tmp_path: Path, key: Key, clock: Clock) -> None:
    """A log of years outlives its schema: what was not asked then is null."""
    service = Service(tmp_path, key, clock, rows=1)
    service.answer("old")
    (part,) = (tmp_path / "predictions").glob("*/*.parquet")
    pq.write_table(pq.ParquetFile(part).read().drop_columns(["view"]), part)

    found = predictions.read(tmp_path)

    assert found.schema.names == SCHEMA.names
    assert found.select(["id", "view"]).to_pylist() == [{"id": "old", "view": None}]
