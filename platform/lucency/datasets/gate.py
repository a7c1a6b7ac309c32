"""The gate before a table counts as prepared: its splits share nothing, or it is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from lucency import files
from lucency.datasets import contact_sheet, leaks
from lucency.datasets.table import Table
from lucency.errors import LeakFound

LIST = "leaks.json"
SHEET = "leaks.png"


class LeakGate(BaseModel):
    """
    What a prepared table is asked before it takes its place.

    Attributes:
        gate: Off only where a leak is what one wants to look at; patients are kept apart even so.
        near: Look for changed copies too: stored anew, mirrored, cropped, brighter.
        against: Another table, of which no film may be in this one.
        patients: Off where the two tables number their patients each in its own way.
        bits: How many of the 64 bits of two hashes may differ in a pair worth a closer look.
        similarity: How much of the detail must agree in a changed copy, as a correlation.
        shown: Pairs on the contact sheet; the list holds all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: bool = True
    near: bool = True
    against: Path | None = None
    patients: bool = True
    bits: Annotated[int, Field(ge=0, le=16)] = leaks.BITS
    similarity: Annotated[float, Field(ge=0.5, lt=1)] = leaks.SIMILARITY
    shown: Annotated[int, Field(ge=1, le=300)] = 60


def refuse_leaks(
    table: Table, output: Path, gate: LeakGate, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Look for patients and films that stand in two splits, or in two tables.

    Args:
        output: Folder for the list of pairs and, where there are some, the contact sheet.
        settings: What was asked, for the list.

    Raises:
        LeakFound: there are some; the list and the contact sheet are written.
    """
    other = Table.open(gate.against) if gate.against else None
    found = leaks.find(
        table,
        other,
        patients=gate.patients,
        near=gate.near,
        bits=gate.bits,
        similarity=gate.similarity,
    )
    counted = leaks.counts(found)
    report = {
        "digest": table.digest,
        "against": other.digest if other else None,
        "leaks": counted,
        # How many, never who.
        "patients": len({leak.second.patient for leak in found if leak.kind == "patient"}),
        "settings": dict(settings),
    }
    listed, sheet = output / LIST, output / SHEET
    files.write_json(listed, {**report, "pairs": [leak.record() for leak in found]})
    sheet.unlink(missing_ok=True)  # that of an earlier run would be believed
    if not found:
        return {**report, "list": str(listed)}
    with files.atomic_file(sheet) as temporary:
        temporary.write_bytes(contact_sheet.draw(found, table, other, most=gate.shown))
    kinds = ", ".join(f"{count} by {kind}" for kind, count in counted.items())
    if report["patients"]:
        kinds += f" ({report['patients']} patients)"
    raise LeakFound(
        f"{len(found)} pairs of films are shared that must not be: {kinds}. Look at {sheet}; "
        f"all are in {listed}. Keep each patient and each film in one split, then prepare the "
        "table again",
        {**report, "list": str(listed), "sheet": str(sheet)},
    )
