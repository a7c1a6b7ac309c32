"""A promoted bundle -> the evidence pack, if nothing of the release checklist is missing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lucency import files
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.config.release import ReleaseConfig
from lucency.datasets import splits
from lucency.datasets.splits import SPLITS
from lucency.datasets.table import Table
from lucency.errors import DataError, GateRefused
from lucency.evaluation import drop, openings
from lucency.ledger import Ledger
from lucency.pipeline import unseen
from lucency.release import archive, checklist, documents, names, sbom
from lucency.release.checklist import Missing, Release
from lucency.store import gate
from lucency.store.store import CHAMPION, Store
from lucency.training.trainer import Run

# No film, no graph: the pack is read by people; the bundle's manifest, in here, names its bytes.
_OF_BUNDLE = (
    *(artifact.README, artifact.MANIFEST, artifact.SEAL, artifact.SIGNATURE, artifact.MODEL),
    *(artifact.EVIDENCE, artifact.CONFIG, artifact.HISTORY, artifact.USE, artifact.VARIANTS),
)
# Names of films and paths of this machine stay where they are; a name may be a patient's.
_NOT_OF_REPORT = ("flagged", "set_aside")
_NOT_OF_RUN = ("table",)
_OF_SEARCH = (
    *("figure", "score", "confirmed", "contested", "values", "trials", "stopped", "failed"),
    *("epochs_run", "epochs_saved"),
)
_SEARCHED = "search.json"


def release(config: ReleaseConfig) -> dict[str, Any]:
    """
    Ask the whole checklist, and pack what proves the model where all of it is met.

    Raises:
        GateRefused: items are missing, all of them listed; nothing is written.
    """
    subject = _subject(config)
    findings = checklist.check(subject)
    parts = _parts(subject, config.search)
    findings.append(checklist.ask("no patients", lambda: _anonymous(parts, subject.table)))
    if missing := checklist.missing(findings):
        raise GateRefused(
            f"not released, {len(missing)} of {len(findings)} items are missing:\n"
            + "\n".join(missing),
            {"missing": missing, "checklist": checklist.plain(findings)},
        )
    parts["checklist.json"] = _json(checklist.plain(findings))
    bundle = subject.bundle
    digest = archive.write(
        config.output, parts, created=bundle.manifest.created, digest=bundle.digest
    )
    archive.read(config.output)
    return {
        "output": str(config.output),
        "digest": digest,
        "version": bundle.version,
        "parts": sorted(parts),
        "bytes": config.output.stat().st_size,
        "checklist": checklist.plain(findings),
    }


def _subject(config: ReleaseConfig) -> Release:
    bundle, run = Artifact.load(config.bundle), Run.open(config.run)
    return Release(
        bundle=bundle,
        store=Store(config.store),
        run=run,
        table=Table.open(config.table or run.record["table"]),
        trained_on=unseen.trained_on(bundle),
        root=config.root,
        output=config.output,
        rule=config.rule,
        most_drop=config.most_drop,
        tests=config.tests,
        run_tests=config.run_tests,
        junit=config.junit,
    )


def _parts(subject: Release, search: Path | None) -> dict[str, bytes]:
    bundle = subject.bundle
    kept = [name for name in _OF_BUNDLE if (bundle.path / name).is_file()]
    sites = [name for name in bundle.manifest.files if name.startswith(drop.FOLDER)]
    record = {key: value for key, value in subject.run.record.items() if key not in _NOT_OF_RUN}
    lock = subject.root / "uv.lock"
    written = {
        path.name: path.read_bytes()
        for path in sorted((subject.root / documents.FOLDER).glob("*.md"))
    }
    return {
        **{f"bundle/{name}": (bundle.path / name).read_bytes() for name in [*kept, *sites]},
        **{f"documents/{name}": data for name, data in written.items()},
        **_data(subject.table),
        **({"search.json": _json(_search(search))} if search else {}),
        **({"sbom.cdx.json": _json(sbom.of_lock(lock.read_bytes()))} if lock.is_file() else {}),
        "calibration.json": _json(_calibration(bundle)),
        "sites.json": _json(_sites(bundle)),
        "run.json": _json(record),
        "gate.json": _json(_gate(subject)),
    }


def _data(table: Table) -> dict[str, bytes]:
    """
    Which films, by digest and number.

    The division itself names patients. A name under a salt that is thrown away would prove no more
    than the digest does, and a salt that is kept would have to be guarded: so the digest alone.
    """
    columns, report = table.columns, table.path.parent / "report.json"
    entries = list(zip(columns["sha256"], columns["patient"], columns["split"], strict=True))
    found = splits.digest([(str(a), str(b), str(c)) for a, b, c in entries])
    if found != table.splits_digest:
        raise DataError(
            f"{table.source!r} has another division than its header says: prepare it again"
        )
    counted = {
        split: {
            "films": int((columns["split"] == split).sum()),
            "patients": len(np.unique(columns["patient"][columns["split"] == split])),
        }
        for split in SPLITS
    }
    digests = {
        "name": table.name,
        "drawn": table.drawn,
        "classes": list(table.classes),
        "digest": table.digest,
        "splits_digest": found,
        "splits": counted,
    }
    parts = {"data/digests.json": _json(digests)}
    if report.is_file() and (told := json.loads(report.read_text()))["digest"] == table.digest:
        kept = {key: value for key, value in told.items() if key not in _NOT_OF_REPORT}
        parts["data/report.json"] = _json(kept)
    return parts


def _calibration(bundle: Artifact) -> dict[str, Any]:
    """How far probabilities can be believed: fitted on validation, seen on test and elsewhere."""
    return {
        "temperature": bundle.model.temperature,
        "calibration": bundle.model.calibration.model_dump(),
        "validation": bundle.model.validation.get("calibration"),
        "evidence": (bundle.evidence or {}).get("calibration"),
        "conformal": bundle.model.conformal.model_dump(),
        "external": {
            each["data"]["digest"]: each.get("reliability") for each in gate.external(bundle)
        },
    }


def _sites(bundle: Artifact) -> dict[str, Any]:
    own = (bundle.evidence or {}).get("sites")
    others = {
        f"{each['data']['name']} {each['data']['digest'][:12]}": {
            name: each.get(name) for name in ("films", "patients", "metrics", "sites", "drop")
        }
        for each in gate.external(bundle)
    }
    return {"own": own, "external": others}


def _gate(subject: Release) -> dict[str, Any]:
    """The rule in force, what the store tells of this version, and the head of the test record."""
    opened = Ledger(subject.table.path.parent / openings.FILE).links()
    version = subject.bundle.version
    return {
        "rule": subject.rule.model_dump(),
        "most_drop": subject.most_drop.bounds,
        "history": [
            line for line in subject.store.history() if line["aliases"].get(CHAMPION) == version
        ],
        # Lines cut off the record's end are missed only where its head was noted elsewhere.
        "test_openings": {
            "entries": len(opened),
            "head": opened[-1][1] if opened else None,
        },
    }


def _search(folder: Path) -> dict[str, Any]:
    path = folder / _SEARCHED
    if not path.is_file():
        raise DataError(
            f"{str(folder)!r} holds no finished search: there is no {_SEARCHED}; run "
            "python jobs/tune.py to its end, or leave search out"
        )
    found = json.loads(path.read_text())
    verdicts = [
        {key: value for key, value in verdict.items() if not _is_path(value)}
        for verdict in found.get("verdicts", [])
    ]
    kept = {key: found[key] for key in _OF_SEARCH if key in found}
    return {"run": Path(found["run"]).name, **kept, "verdicts": verdicts}


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/")


def _anonymous(parts: Mapping[str, bytes], table: Table) -> str:
    """No part names a patient of the table."""
    patients = names.telling(map(str, table.columns["patient"]))
    named = names.holders(parts, patients)
    if named:
        raise Missing(
            f"{named} name patients of {table.name!r}: take the names out of what they were made "
            "from"
        )
    return f"none of {len(patients)} names stands in a part"


def _json(value: Any) -> bytes:
    return files.json_text(value).encode()
