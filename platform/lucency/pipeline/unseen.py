"""Films of another table: which a model must never have seen, and what they are to it."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from lucency import batch, cluster, files, progress
from lucency.batch import Predictions
from lucency.bundle.artifact import Artifact
from lucency.bundle.offered import REFERENCE
from lucency.config.evaluate import Unseen
from lucency.datasets import contact_sheet, leaks
from lucency.datasets.leaks import OTHER
from lucency.datasets.splits import SPLITS
from lucency.datasets.table import Table
from lucency.errors import DataError, LeakFound
from lucency.evaluation import external

# In the model card of a bundle that was made for a site: what it was before.
ORIGIN = "recalibrated"
_SHOWN = 60


def trained_on(bundle: Artifact) -> str:
    """Digest of the table whose films taught the network, also if a site's calibrated it since."""
    origin = bundle.model.validation.get(ORIGIN, {})
    return str(origin.get("trained_on", bundle.manifest.data_digest))


def refuse_seen(
    bundle: Artifact, table: Table, rows: np.ndarray, asked: Unseen, output: Path
) -> dict[str, Any]:
    """
    Hold films against those of the bundle's own table, whatever split they are in there.

    Its test films are no others either: the two sets would not be independent.

    Args:
        output: List and contact sheet take its name, ``_leaks.json`` and ``_leaks.png``.

    Returns:
        What was searched, for the evidence.

    Raises:
        DataError: it is the bundle's own table, or ``trained_on`` is not.
        LeakFound: the tables share patients or films.
    """
    own_digest = trained_on(bundle)
    if table.digest in (own_digest, bundle.manifest.data_digest):
        raise DataError(
            f"{str(table.path)!r} is the table that {str(bundle.path)!r} was made from, not "
            "another site's: its test films are opened without external=true"
        )
    if asked.trained_on is None:
        progress.say(
            "    shared films were not looked for: give trained_on=TABLE, the one that the model "
            "was trained on"
        )
        return {"searched": False, "trained_on": own_digest}
    own = Table.open(asked.trained_on)
    if own.digest != own_digest:
        raise DataError(
            f"{str(own.path)!r} has digest {own.digest[:12]!r}, the model was trained on "
            f"{own_digest[:12]!r}: give that one as trained_on"
        )
    with progress.stage("look for films that the model knows"):
        found = leaks.find(own, table, patients=asked.patients, near=asked.near)
    chosen = set(rows.tolist())
    shared = [leak for leak in found if leak.second.split == OTHER and leak.second.row in chosen]
    if shared:
        _refuse(shared, own, table, output)
    return {
        "searched": True,
        "trained_on": own_digest,
        "patients": asked.patients,
        "near": asked.near,
    }


def predict(
    bundle: Artifact,
    table: Table,
    splits: list[str],
    labels: dict[str, str],
    variant: str = REFERENCE,
) -> Predictions:
    """The films of some splits with the bundle as it is, labelled in the bundle's own classes."""
    meant = counterparts(bundle, table, labels)
    with cluster.connected():
        parts = [batch.predict_split(bundle.path, table, split, variant) for split in splits]
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Predictions)
        if field.name != "features"
    }
    features = {
        name: np.concatenate([part.features[name] for part in parts]) for name in parts[0].features
    }
    found = Predictions(**joined, features=features)
    return replace(found, labels=meant[found.labels])


def counterparts(bundle: Artifact, table: Table, labels: dict[str, str]) -> np.ndarray:
    """
    The bundle's class for each class of the table, as indices.

    Raises:
        DataError: a class of the table has none.
    """
    return external.counterparts(table.classes, bundle.model.labels, labels)


def splits_of(table: Table) -> list[str]:
    """The splits that a table has, in the order of a model's life."""
    present = set(table.columns["split"].tolist())
    return [split for split in SPLITS if split in present]


def all_rows(table: Table) -> np.ndarray:
    """Every row of a table that is in a split."""
    return np.flatnonzero(np.isin(table.columns["split"], SPLITS))


def _refuse(shared: list[leaks.Leak], own: Table, table: Table, output: Path) -> None:
    listed, sheet = (output.with_name(f"{output.stem}_leaks{end}") for end in (".json", ".png"))
    counted = leaks.counts(shared)
    files.write_json(
        listed,
        {"leaks": counted, "pairs": [leak.record() for leak in shared]},
    )
    with files.atomic_file(sheet) as temporary:
        temporary.write_bytes(contact_sheet.draw(shared, own, table, most=_SHOWN))
    kinds = ", ".join(f"{count} by {kind}" for kind, count in counted.items())
    raise LeakFound(
        f"{str(table.path)!r} shares films or patients with the table that the model was trained "
        f"on: {kinds}. Figures on them would say nothing of a new site. Look at {sheet}, all are "
        f"in {listed}; prepare the table without them, or give patients=false where the two "
        "number their patients each in its own way",
        {"leaks": counted, "list": str(listed), "sheet": str(sheet)},
    )
