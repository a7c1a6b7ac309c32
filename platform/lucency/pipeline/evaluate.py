"""Bundle -> test evidence inside it and a report beside it. The test split opens here only."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lucency import batch, cluster, files, images, progress
from lucency.batch import Predictions
from lucency.bundle import artifact, readme
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.evaluate import EvaluateConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.evaluation import against, calibration, cases, probability, report
from lucency.evaluation.openings import Opening
from lucency.evaluation.report import Case
from lucency.pipeline import external, own_films
from lucency.pipeline.assessment import assess, judge_variants, table_of_variants


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """
    Open the test split for a final model, once, and seal what was found into its bundle.

    A bundle that has evidence already gives that evidence: nothing is opened again. Every
    opening is written beside the table before a film is read. With ``external`` the bundle is
    judged on another site's table instead.

    Raises:
        DataError: the table is not the one that the bundle was made from.
        TestSplitOpened: another model of this name was tested on it, and no reason is given.
    """
    if config.external:
        return external.validate(config)
    bundle = Artifact.load(config.bundle)
    table = Table.open(config.table)
    own_films.refuse_others(
        bundle, table, ". To judge it on another site's films as it is, give external=true"
    )
    other = _comparable(bundle, table, config.against) if config.against else None
    compared: dict[str, Any] = {}
    if bundle.evidence is not None and config.report.is_file() and other is None:
        progress.say("    the test split was opened for this model before; its evidence stands")
    else:
        with cluster.connected():
            history, found = _opened(bundle, table, config.reason)
            if bundle.evidence is None or not config.report.is_file():
                bundle = _seal(bundle, table, found, history, config)
            if other is not None:
                _, others = _opened(other, table, config.reason)
                compared = _compare(bundle, found, other, others)
    assert bundle.evidence is not None
    return {
        **compared,
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "report": str(config.report),
        **{
            key: bundle.evidence[key]
            for key in ("films", "patients", "metrics", "confusion", "verdict")
        },
    }


def _opened(bundle: Artifact, table: Table, reason: str) -> tuple[list[Opening], Predictions]:
    history = own_films.opened(bundle, table, reason)
    return history, batch.predict_split(bundle.path, table, "test")


def _seal(
    bundle: Artifact,
    table: Table,
    found: Predictions,
    history: Sequence[Opening],
    config: EvaluateConfig,
) -> Artifact:
    evidence = bundle.evidence or {
        **_evidence(bundle, table, found, history, config.prevalences),
        "variants": judge_variants(
            bundle, found, lambda name: batch.predict_split(bundle.path, table, "test", name)
        ),
    }
    files.write_text(config.report, _report(bundle, table, found, evidence))
    if bundle.evidence is None:
        text = json.dumps(evidence, indent=2, sort_keys=True).encode()
        bundle = readme.seal(bundle, {artifact.EVIDENCE: text})
    return bundle


def _comparable(bundle: Artifact, table: Table, path: Path) -> Artifact:
    """The other model, or a refusal before a film is read."""
    other = Artifact.load(path)
    if other.manifest.data_digest != table.digest or other.evidence is None:
        raise DataError(
            f"{str(path)!r} was not tested on table {table.digest[:12]!r}: a model can "
            "only be compared with one that has evidence on the same films"
        )
    if bundle.model.labels != other.model.labels:
        raise DataError(
            f"{str(path)!r} tells apart {list(other.model.labels)}, this model "
            f"{list(bundle.model.labels)}: they can't be compared"
        )
    return other


def _compare(
    bundle: Artifact, found: Predictions, other: Artifact, others: Predictions
) -> dict[str, Any]:
    card, other_card = bundle.model, other.model
    confidence = card.rule.confidence
    if card.threshold is None or other_card.threshold is None:
        gains = against.of_many(
            found.labels,
            found.probabilities,
            others.probabilities,
            found.patients,
            confidence=confidence,
        )
    else:
        gains = against.of_two(
            found.labels,
            found.probabilities[:, 1],
            others.probabilities[:, 1],
            found.patients,
            thresholds=(card.threshold, other_card.threshold),
            confidence=confidence,
        )
    progress.say(f"    against {other.manifest.name} {other.version}:")
    for line in against.lines(gains):
        progress.say(f"      {line}")
    return {"against": {"model_digest": other.model_digest, **gains}}


def _evidence(
    bundle: Artifact,
    table: Table,
    found: Predictions,
    history: Sequence[Opening],
    prevalences: tuple[float, ...],
) -> dict[str, Any]:
    card = bundle.model
    return {
        "model": {"name": bundle.manifest.name, "digest": bundle.model_digest},
        "data": {"name": table.name, "digest": table.digest, "drawn": table.drawn},
        "rule": card.rule.model_dump(),
        "threshold": card.threshold,
        "temperature": card.temperature,
        "opened_at": next(
            entry["at"] for entry in history if entry["model"] == bundle.model_digest
        ),
        "openings": list(history),
        **assess(found, card, prevalences),
        "calibration": {
            "method": card.calibration.method,
            "test_before": calibration.summary(found.labels, probability.of_classes(found.logits)),
            "test": calibration.summary(found.labels, found.probabilities),
            **card.validation["calibration"],
        },
    }


def _report(bundle: Artifact, table: Table, found: Predictions, evidence: dict[str, Any]) -> str:
    return report.render(
        evidence={
            **evidence,
            "labels": list(bundle.model.labels),
            "calibrator": str(bundle.model.calibrator),
            "command": "python jobs/evaluate.py configs/evaluate/default.yaml",
            "versions": bundle.manifest.versions,
            "config": (bundle.path / artifact.CONFIG).read_text(),
        },
        labels_n=found.labels,
        probabilities_nk=found.probabilities,
        uncalibrated_nk=probability.of_classes(found.logits),
        variants=table_of_variants(bundle, evidence),
        history=json.loads((bundle.path / artifact.HISTORY).read_bytes()),
        cases=_cases(bundle.path, table, found),
    )


def _cases(path: Path, table: Table, found: Predictions) -> list[Case]:
    """The films that the report shows, with overlays where the network gives maps."""
    predictor = Predictor(path)
    card = predictor.card
    if card.threshold is None:
        chosen = cases.of_many(found.labels, found.probabilities, card.labels)
    else:
        chosen = cases.of_two(found.labels, found.probabilities[:, 1], card.threshold)
    films = table.images(found.rows[[each.place for each in chosen]]) if chosen else []
    return [
        Case(
            title=each.title,
            film_png=images.encode_png(images.decode(data)),
            overlay_png=_overlay(predictor, data),
        )
        for each, data in zip(chosen, films, strict=True)
    ]


def _overlay(predictor: Predictor, data: bytes) -> bytes | None:
    if not predictor.explains:
        return None
    return predictor.overlay(data, predictor.predict_bytes(data))
