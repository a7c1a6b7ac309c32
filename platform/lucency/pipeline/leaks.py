"""Table -> nothing shared between its splits, or a refusal with the films to look at."""

from typing import Any

from lucency import files, progress
from lucency.config.leaks import LeaksConfig
from lucency.datasets import contact_sheet
from lucency.datasets import leaks as search
from lucency.datasets.table import Table
from lucency.errors import LeakFound

LIST = "leaks.json"
SHEET = "leaks.png"


def leaks(config: LeaksConfig) -> dict[str, Any]:
    """
    Look for patients and films that stand in two splits, or in two tables.

    Raises:
        LeakFound: there are some; the list and the contact sheet are written.
    """
    table = Table.open(config.table)
    other = Table.open(config.against) if config.against else None
    with progress.stage("look for shared films"):
        found = search.find(
            table,
            other,
            patients=config.patients,
            near=config.near,
            bits=config.bits,
            similarity=config.similarity,
        )
    counted = search.counts(found)
    report = {
        "digest": table.digest,
        "against": other.digest if other else None,
        "leaks": counted,
        "settings": config.plain(),
    }
    listed, sheet = config.output / LIST, config.output / SHEET
    files.write_json(listed, {**report, "pairs": [leak.record() for leak in found]})
    sheet.unlink(missing_ok=True)  # that of an earlier run would be believed
    if not found:
        return {**report, "list": str(listed)}
    with files.atomic_file(sheet) as temporary:
        temporary.write_bytes(contact_sheet.draw(found, table, other, most=config.shown))
    kinds = ", ".join(f"{count} by {kind}" for kind, count in counted.items())
    raise LeakFound(
        f"{len(found)} pairs of films are shared that must not be: {kinds}. Look at {sheet}; "
        f"all are in {listed}. Keep each patient and each film in one split, then prepare the "
        "table again",
        {**report, "list": str(listed), "sheet": str(sheet)},
    )
