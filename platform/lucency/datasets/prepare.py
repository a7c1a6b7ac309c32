"""
From any source to the stored table, with a report of what it holds and what was set aside.

Films are read twice: to judge and hash them, then to store them. Between the two only what was
measured is kept, so memory grows with the number of films and not with their bytes. One process
does it: decoding and hashing 5,856 films of 224 px takes two seconds of one core, less than a
Ray cluster takes to start.
"""

import functools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucency import files, images, progress, seed
from lucency.datasets import clean, gate, page, report, sheet, splits, table
from lucency.datasets.base import Dataset
from lucency.datasets.clean import Checks, Film, Inspection
from lucency.datasets.gate import LeakGate
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Table
from lucency.errors import DataError, LeakFound

REFUSED = "refused.parquet"
_UNPROVEN = ".unproven.parquet"
_SHOWN = 8  # films of each class and split on the sample sheet
_ROWS_SHOWN = 36


@dataclass(frozen=True)
class Prepared:
    """
    A table and the report beside it.

    Attributes:
        seconds: By stage, in the order in which they ran.
    """

    table: Table
    report: dict[str, Any]
    report_path: Path
    seconds: dict[str, float]


def prepare(
    source: Dataset,
    plan: SplitPlan,
    output: Path,
    *,
    name: str,
    checks: Checks = Checks(),  # noqa: B008 (frozen)
    leaks: LeakGate | None = None,
) -> Prepared:
    """
    Check every film of a source, divide the patients, write table and report into a folder.

    The same films under the same plan give the same table, byte for byte, in whatever order the
    source names them. The table takes its name last: a preparation that is killed, fails or is
    refused leaves none of its own there.

    Args:
        leaks: Searched for between the splits before the table takes its place; None trusts the
            patients' names.

    Raises:
        DataError: no film could be used, the patients can't be divided as planned, or a film
            changed while it was prepared.
        LeakFound: the splits share a patient or a film; the table is kept as ``refused.parquet``.
    """
    seconds: dict[str, float] = {}
    with _timed(seconds, "check"):
        watched = progress.track(source, "checked", len(source), "films")
        inspection = clean.inspect(watched, checks, plan.official)
    if not inspection.films:
        raise DataError(f"none of the {len(inspection.set_aside)} films of {name!r} can be used")
    films, assigned = _divide(inspection, plan)
    inspection = Inspection(films, inspection.set_aside)
    if leaks is None or not leaks.gate:
        splits.refuse_leaks([film.sample.patient for film in films], assigned)
    output.mkdir(parents=True, exist_ok=True)
    unproven = output / _UNPROVEN
    try:
        with _timed(seconds, "write"):
            for leftover in output.glob(f".{_UNPROVEN}.*"):  # of a preparation that was killed
                leftover.unlink()
            rows = [_row(film, split) for film, split in zip(films, assigned, strict=True)]
            written = table.write(unproven, rows, classes=source.classes, name=name)
        with _timed(seconds, "look for leaks"):
            searched = _search(written, output, leaks)
        with _timed(seconds, "report"):
            division = splits.save(output / splits.NAME, [_entry(row) for row in rows])
            assert division == written.splits_digest, "the table was divided as saved"
            told = {
                "dataset": name,
                "digest": written.digest,
                "splits_digest": division,
                "leak_gate": searched,
                **report.build(inspection, assigned, source.classes),
            }
            shown = _sample_sheet(films, assigned, source.classes, plan.seed)
            files.write_json(output / "report.json", told)
            files.write_text(output / "report.html", page.render(told, shown))
        os.replace(unproven, output / table.NAME)
    finally:
        unproven.unlink(missing_ok=True)
    (output / REFUSED).unlink(missing_ok=True)
    progress.say("    " + ", ".join(f"{stage} {took:.1f} s" for stage, took in seconds.items()))
    for what in ("set_aside", "flagged"):
        if counted := told[f"{what}_by_reason"]:
            progress.say(f"    {what.replace('_', ' ')}: {counted}, see {output}/report.html")
    return Prepared(Table.open(output), told, output / "report.html", seconds)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[stage] = time.monotonic() - started


def _divide(inspection: Inspection, plan: SplitPlan) -> tuple[list[Film], list[str]]:
    """Films in the order of the table, a seeded one that no order of files changes; splits."""
    films = sorted(
        inspection.films,
        key=lambda film: (
            files.sha256(f"{plan.seed}/{film.sha256}".encode()),
            film.sample.name,
        ),
    )
    samples = [film.sample for film in films]
    if plan.file is not None:
        return films, splits.reuse(samples, [film.sha256 for film in films], plan)
    return films, splits.assign(samples, plan)


def _row(film: Film, split: str) -> table.Row:
    sample = film.sample
    return table.Row(
        data=functools.partial(_read_again, film),
        mask_png=sample.mask_png,
        label=sample.label,
        patient=sample.patient,
        site=sample.site,
        split=split,
        width=film.width,
        height=film.height,
        sha256=film.sha256,
        scanner=sample.scanner,
        view=sample.view,
        age_band=sample.age_band,
    )


def _read_again(film: Film) -> bytes:
    try:
        data = film.sample.read()
    except OSError as cause:
        raise DataError(
            f"{film.sample.name!r} was read once and can't be read again ({cause.strerror}): "
            "leave the source alone while it is prepared, and start again"
        ) from cause
    if files.sha256(data) != film.sha256:
        raise DataError(
            f"{film.sample.name!r} changed between its check and its storing: leave the source "
            "alone while it is prepared, and start again"
        )
    return data


def _entry(row: table.Row) -> splits.Entry:
    return row.sha256, row.patient, row.split


def _search(written: Table, output: Path, leaks: LeakGate | None) -> dict[str, Any]:
    if leaks is None or not leaks.gate:
        return {"gate": False}
    settings = leaks.model_dump(mode="json")
    try:
        gate.refuse_leaks(written, output, leaks, settings)
    except LeakFound as found:
        refused = output / REFUSED
        os.replace(written.path, refused)
        _withdraw(output / table.NAME, written.digest)
        raise LeakFound(
            f"{found}. What was made is kept as {refused}, to look at and not to train on",
            {**found.figures, "refused": str(refused)},
        ) from None
    return settings


def _withdraw(path: Path, digest: str) -> None:
    """Take away a table that an earlier preparation let pass and this one refused."""
    try:
        same = Table.open(path).digest == digest
    except DataError:
        return
    if same:
        path.unlink()


def _sample_sheet(
    films: Sequence[Film], assigned: Sequence[str], classes: Sequence[str], seed_number: int
) -> bytes:
    rows: list[tuple[str, list[sheet.Picture]]] = []
    for label, title in enumerate(classes):
        for split in splits.SPLITS:
            places = [
                place
                for place, (film, own) in enumerate(zip(films, assigned, strict=True))
                if own == split and film.sample.label == label
            ]
            chosen = seed.generator(seed_number, "sheet", label, split).permutation(places)[:_SHOWN]
            pictures = [images.decode(_read_again(films[place]), color="RGB") for place in chosen]
            if pictures:
                rows.append((f"{title}, {split}", pictures))
    return sheet.draw(rows[:_ROWS_SHOWN], side=112)
