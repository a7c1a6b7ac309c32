"""
The prediction log: the journal's answers in columns, ``predictions/day=.../<part>.parquet``.

The journal is its write-ahead file: a part bears in its name which lines of which file it holds,
and whoever reads takes the lines after the last part from the journal itself. So a process that
is killed loses nothing it acknowledged, and nothing is counted twice.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lucency import files
from lucency.audit import journal
from lucency.audit.journal import Numbered

AUDIT, PREDICTIONS = "audit", "predictions"
PREDICTION = "prediction"

# Name, type and what it is; the file itself carries all three.
_COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("at", pa.timestamp("ms", tz="UTC"), "when it was answered"),
    ("id", pa.string(), "of the answer; late labels name it"),
    ("who", pa.string(), "id of the caller, never a secret"),
    ("what", pa.string(), "the route"),
    ("site", pa.string(), "as the request named it, or empty"),
    ("view", pa.string(), "as the request or the film's header named it, or empty"),
    ("model", pa.string(), "name of the bundle"),
    ("version", pa.string(), "first digits of the bundle's SHA-256"),
    ("variant", pa.string(), "of a rollout, or empty"),
    ("label", pa.string(), "the class called"),
    ("decision", pa.string(), "positive, negative, uncertain or the class"),
    ("reason", pa.string(), "why uncertain, else clear"),
    ("probability", pa.float64(), "calibrated, 0 to 1"),
    ("film", pa.string(), "HMAC-SHA256 of its bytes under the logs' key"),
    ("decode_ms", pa.float32(), "from bytes to the network's input"),
    ("infer_ms", pa.float32(), "of inference, with waiting for a batch"),
)
SCHEMA = pa.schema(
    [pa.field(name, kind, metadata={"is": meaning}) for name, kind, meaning in _COLUMNS]
)
_PART = re.compile(r"(?P<replica>.+)\.(?P<first>\d+)-(?P<last>\d+)\.parquet")
_DAY = "day="


class Roller:
    """
    Gathers the lines of one replica and writes them as parts; one thread at a time.

    Args:
        folder: Of all logs.
        rows: Of a part at most, about.
        every_s: A line is in no part for longer than this, about.
    """

    def __init__(self, folder: Path, *, rows: int = 5000, every_s: float = 300) -> None:
        self._folder = folder
        self._most_rows = rows
        self._every_s = every_s
        self._file = ""
        self._first, self._last = 0, 0
        self._rows: list[Mapping[str, Any]] = []
        self._began = 0.0

    def add(self, file: str, lines: Numbered) -> None:
        """
        Take the lines of one group, and write a part when it is time; lines may be none.

        Raises:
            OSError: the part can't be written; its lines are kept for the next try.
        """
        if file != self._file and lines:
            self.roll()
            self._file, self._first = file, lines[0]["n"]
        if lines:
            self._began = self._began if self._rows else time.monotonic()
            self._rows += [line for line in lines if line.get("kind") == PREDICTION]
            self._last = lines[-1]["n"]
        late = time.monotonic() - self._began >= self._every_s
        if len(self._rows) >= self._most_rows or (self._rows and late):
            self.roll()

    def roll(self) -> None:
        """
        Write what is gathered.

        Raises:
            OSError: it can't be written; it is kept for the next try.
        """
        if not self._rows:
            return
        _write(self._folder, self._file, self._first, self._last, self._rows)
        self._rows, self._first = [], self._last + 1


def recover(folder: Path) -> int:
    """
    Write parts of what replicas that no longer live left in their journals; gives how many.

    Several may do this at once: they write the same parts.
    """
    written, rolled = 0, _rolled(_parts(folder))
    for name, path in _journals(folder, purged_before(folder)).items():
        if journal.in_use(path):
            continue
        lines = list(_lines(path, after=rolled.get(name, 0)))
        rows = [line for line in lines if line.get("kind") == PREDICTION]
        if rows:
            _write(folder, name, lines[0]["n"], lines[-1]["n"], rows)
            written += 1
    return written


def read(folder: Path, *, since: date | None = None, until: date | None = None) -> pa.Table:
    """
    All predictions, in parts or still in the journal alone, in no particular order.

    Args:
        since: First day, UTC.
        until: Last day.
    """
    first = max(filter(None, (since, purged_before(folder))), default=None)
    # Listed before the journals are read: a part that is written meanwhile counts for nothing.
    parts = [part for part in _parts(folder) if _within(_day_of(part), first, until)]
    rolled = _rolled(parts)
    tables = [pq.ParquetFile(part).read() for part in parts]
    for name, path in _journals(folder, first, until).items():
        lines = _lines(path, after=rolled.get(name, 0))
        tables.append(_table(line for line in lines if line.get("kind") == PREDICTION))
    # Parts of before a column was added hold nulls there.
    return pa.concat_tables([SCHEMA.empty_table(), *tables], promote_options="default")


def days(folder: Path) -> dict[date, list[Path]]:
    """The parts by day."""
    found: dict[date, list[Path]] = {}
    for part in _parts(folder):
        found.setdefault(_day_of(part), []).append(part)
    return found


def purged_before(folder: Path) -> date | None:
    """The day before which predictions were purged, though the journal may still tell of them."""
    path = folder / PREDICTIONS / "purged_before"
    return date.fromisoformat(path.read_text().strip()) if path.is_file() else None


def purge(folder: Path, before: date) -> list[str]:
    """Delete all parts of days before one; gives their names. Readers forget them first."""
    last = purged_before(folder)
    if last is None or last < before:
        files.write_text(folder / PREDICTIONS / "purged_before", f"{before.isoformat()}\n")
    gone = []
    for day, parts in days(folder).items():
        if day < before:
            for part in parts:
                part.unlink()
                gone.append(part.relative_to(folder).as_posix())
            parts[0].parent.rmdir()
    return gone


def _write(
    folder: Path, file: str, first: int, last: int, rows: Sequence[Mapping[str, Any]]
) -> None:
    day, _, name = file.removesuffix(".jsonl").partition("/")
    path = folder / PREDICTIONS / f"{_DAY}{day}" / f"{name}.{first:08d}-{last:08d}.parquet"
    with files.atomic_file(path) as temporary:
        pq.write_table(_table(rows), temporary, compression="zstd")
        temporary.chmod(0o640)


def _table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    plain = [
        {**{name: row.get(name) for name in SCHEMA.names}, "at": _time(row["at"])} for row in rows
    ]
    return pa.Table.from_pylist(plain, SCHEMA)


def _time(text: str) -> Any:
    return pa.scalar(text).cast(pa.timestamp("ms", tz="UTC")).as_py()


def _parts(folder: Path) -> list[Path]:
    """Those that bear their whole name: one that is being written is hidden under another."""
    found = (folder / PREDICTIONS).glob(f"{_DAY}*/*.parquet")
    return sorted(path for path in found if _PART.fullmatch(path.name) and path.name[0] != ".")


def _rolled(parts: Sequence[Path]) -> dict[str, int]:
    """By file of the journal, the last line that a part holds."""
    found: dict[str, int] = {}
    for part in parts:
        match = _PART.fullmatch(part.name)
        assert match is not None
        name = f"{_day_of(part).isoformat()}/{match['replica']}.jsonl"
        found[name] = max(found.get(name, 0), int(match["last"]))
    return found


def _day_of(part: Path) -> date:
    return date.fromisoformat(part.parent.name.removeprefix(_DAY))


def _within(day: date, since: date | None, until: date | None) -> bool:
    return (since is None or day >= since) and (until is None or day <= until)


def _journals(
    folder: Path, since: date | None = None, until: date | None = None
) -> dict[str, Path]:
    return {
        path.relative_to(folder / AUDIT).as_posix(): path
        for path in sorted((folder / AUDIT).glob("*/*.jsonl"))
        if _within(date.fromisoformat(path.parent.name), since, until)
    }


def _lines(path: Path, after: int = 0) -> Iterator[dict[str, Any]]:
    """Whole lines that bear a number; whether they are genuine is for ``verify`` to say."""
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            value = json.loads(line)
            if value["n"] > after:
                yield value
