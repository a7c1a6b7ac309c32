"""Bundle -> test evidence inside it and a report beside it. The test split opens here only."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lucency import batch, environment, files, images, progress
from lucency.batch import Predictions
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.evaluate import EvaluateConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.evaluation import calibration, metrics, report
from lucency.evaluation.report import Case

LEDGER = "test_openings.jsonl"
_CASES_PER_OUTCOME = 3


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """
    Open the test split for a final model, once, and seal what was found into its bundle.

    A bundle that has evidence already gives that evidence: nothing is opened again. Every
    opening is written beside the table before a film is read.

    Raises:
        DataError: the table is not the one that the bundle was made from.
    """
    bundle = Artifact.load(config.bundle)
    table = Table.open(config.table)
    if table.digest != bundle.manifest.data_digest:
        raise DataError(
            f"{str(table.path)!r} has digest {table.digest[:12]!r}, the bundle was made from "
            f"{bundle.manifest.data_digest[:12]!r}: on another division of the patients its test "
            "films may have been trained on"
        )
    if bundle.evidence is None or not config.report.is_file():
        bundle = _open_test(bundle, table, config)
    else:
        progress.say("    the test split was opened for this model before; its evidence stands")
    assert bundle.evidence is not None
    return {
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "report": str(config.report),
        **{
            key: bundle.evidence[key]
            for key in ("films", "patients", "metrics", "confusion", "verdict")
        },
    }


def _open_test(bundle: Artifact, table: Table, config: EvaluateConfig) -> Artifact:
    ledger = table.path.parent / LEDGER
    opening = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": environment.user(),
        "model": bundle.model_digest,
        "data": table.digest,
    }
    files.append_line(ledger, opening)
    found = batch.predict_split(bundle.path, table, "test")
    openings = [
        line
        for line in files.read_lines(ledger)
        if (line["model"], line["data"]) == (bundle.model_digest, table.digest)
    ]
    evidence = bundle.evidence or _evidence(bundle, table, found, openings)
    files.write_text(config.report, _report(bundle, table, found, evidence))
    if bundle.evidence is None:
        text = json.dumps(evidence, indent=2, sort_keys=True).encode()
        bundle = artifact.with_files(bundle, {artifact.EVIDENCE: text})
    return bundle


def _evidence(
    bundle: Artifact, table: Table, found: Predictions, openings: list[dict[str, str]]
) -> dict[str, Any]:
    card = bundle.model
    return {
        "model": {"name": bundle.manifest.name, "digest": bundle.model_digest},
        "data": {"name": table.name, "digest": table.digest, "drawn": table.drawn},
        "rule": card.rule.model_dump(),
        "threshold": card.threshold,
        "temperature": card.temperature,
        "opened_at": openings[0]["at"],
        "openings": openings,
        **metrics.assess(
            found.labels,
            found.probabilities,
            found.patients,
            found.sites,
            threshold=card.threshold,
            clinical_rule=card.rule,
        ),
        "calibration": {
            "test": calibration.summary(found.labels, found.probabilities),
            **card.validation["calibration"],
        },
    }


def _report(bundle: Artifact, table: Table, found: Predictions, evidence: dict[str, Any]) -> str:
    validation = json.loads((bundle.path / artifact.VALIDATION).read_bytes())
    logits_n = np.array(validation["logits"])
    return report.render(
        evidence={
            **evidence,
            "labels": list(bundle.model.labels),
            "command": "python jobs/evaluate.py configs/evaluate/default.yaml",
            "versions": bundle.manifest.versions,
            "config": (bundle.path / artifact.CONFIG).read_text(),
        },
        labels_n=found.labels,
        probabilities_n=found.probabilities,
        validation_labels_n=np.array(validation["labels"]),
        validation_probabilities_n=calibration.sigmoid(logits_n / bundle.model.temperature),
        validation_uncalibrated_n=calibration.sigmoid(logits_n),
        history=json.loads((bundle.path / artifact.HISTORY).read_bytes()),
        cases=_cases(bundle.path, table, found),
    )


def _cases(path: Path, table: Table, found: Predictions) -> list[Case]:
    """Films of each outcome, the most certain first: errors made with conviction teach most."""
    predictor = Predictor(path)
    called = found.probabilities >= predictor.card.threshold
    positive = found.labels == 1
    cases = []
    for name, chosen, sign in (
        ("false negative", ~called & positive, 1),
        ("false positive", called & ~positive, -1),
        ("true positive", called & positive, -1),
        ("true negative", ~called & ~positive, 1),
    ):
        places = np.flatnonzero(chosen)
        places = places[np.argsort(sign * found.probabilities[places], kind="stable")]
        places = places[:_CASES_PER_OUTCOME]
        for place, data in zip(places, table.images(found.rows[places]), strict=True):
            cases.append(
                Case(
                    title=f"{name}, probability {found.probabilities[place]:.3f}",
                    film_png=images.encode_png(images.decode(data)),
                    overlay_png=predictor.overlay(data, predictor.predict_bytes(data)),
                )
            )
    return cases
