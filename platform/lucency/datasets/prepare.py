"""From any source to the stored table, with a report of what was set aside and why."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucency import files, progress
from lucency.datasets import clean, splits, table
from lucency.datasets.base import Dataset
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Table
from lucency.errors import DataError


@dataclass(frozen=True)
class Prepared:
    """A table and the report beside it."""

    table: Table
    report: dict[str, Any]
    report_path: Path


def prepare(source: Dataset, plan: SplitPlan, output: Path, *, name: str) -> Prepared:
    """
    Check every film of a source, divide the patients, write table and report into a folder.

    Raises:
        DataError: no film could be used, or the patients can't be divided as planned.
    """
    watched = progress.track(source, "checked", len(source), "films")
    inspection = clean.inspect(watched)
    if not inspection.films:
        raise DataError(f"none of the {len(inspection.set_aside)} films of {name!r} can be used")
    assigned = splits.assign([film.sample for film in inspection.films], plan)
    splits.refuse_leaks([film.sample.patient for film in inspection.films], assigned)
    rows = [
        table.Row(
            data=film.data,
            mask_png=film.sample.mask_png,
            label=film.sample.label,
            patient=film.sample.patient,
            site=film.sample.site,
            split=split,
            width=film.width,
            height=film.height,
            sha256=film.sha256,
        )
        for film, split in zip(inspection.films, assigned, strict=True)
    ]
    written = table.write(output / table.NAME, rows, classes=source.classes, name=name)
    report = {
        "dataset": name,
        "digest": written.digest,
        **clean.report(inspection, list(assigned), source.classes),
    }
    files.write_json(output / "report.json", report)
    files.write_text(output / "report.html", _page(report))
    if inspection.set_aside:
        progress.say(f"    set aside: {report['set_aside_by_reason']}, see {output}/report.html")
    return Prepared(written, report, output / "report.html")


def _page(report: Mapping[str, Any]) -> str:
    head = "<!doctype html><meta charset='utf-8'><title>Prepared data</title>"
    style = (
        "<style>body{font:15px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;"
        "text-align:left;vertical-align:top}</style>"
    )
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{_cell(value)}</td></tr>"
        for key, value in report.items()
        if key != "set_aside"
    )
    refused = "".join(
        f"<tr><td>{html.escape(entry['name'])}</td><td>{html.escape(entry['reason'])}</td>"
        f"<td>{html.escape(entry['message'])}</td></tr>"
        for entry in report["set_aside"]
    )
    return (
        f"{head}{style}<h1>{html.escape(str(report['dataset']))}</h1><table>{rows}</table>"
        f"<h2>Set aside: {len(report['set_aside'])}</h2>"
        f"<table><tr><th>film</th><th>reason</th><th>found</th></tr>{refused}</table>"
    )


def _cell(value: Any) -> str:
    if not isinstance(value, dict):
        return html.escape(str(value))
    inner = "".join(
        f"<tr><th>{html.escape(str(key))}</th><td>{_cell(entry)}</td></tr>"
        for key, entry in value.items()
    )
    return f"<table>{inner}</table>"
