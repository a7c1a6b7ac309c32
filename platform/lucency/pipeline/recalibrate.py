"""Bundle and a site's validation films -> a bundle for that site, to be tested there."""

import json
from typing import Any

from lucency import cluster, progress
from lucency.batch import Predictions
from lucency.bundle import artifact, offered, readme, variants
from lucency.bundle.artifact import Artifact, ModelCard
from lucency.config.recalibrate import RecalibrateConfig
from lucency.datasets.table import Table
from lucency.drift import reference as drift
from lucency.drift.reference import DriftReference
from lucency.errors import DataError
from lucency.evaluation import calibration, conformal, drop, external, metrics
from lucency.evaluation.calibrated import Method
from lucency.pipeline import unseen


def recalibrate(config: RecalibrateConfig) -> dict[str, Any]:
    """
    Calibration, threshold and drift reference of a site's validation films, by the bundle's rule.

    The network stays as it is, and so do its variants: each that the bundle offers is judged anew
    by the new threshold, on the site's validation films. The new bundle is another model: it has
    no evidence, and ``jobs/evaluate.py`` opens the site's test split for it.

    Raises:
        DataError: it is the bundle's own table, a class has no counterpart or no films, the
            calibration does not take so many classes, or the new bundle would take the place of
            the old one.
        LeakFound: the model was trained on some of the table's films, or their patients.
    """
    bundle, table = Artifact.load(config.bundle), Table.open(config.table)
    if config.output.resolve() == config.bundle.resolve():
        raise DataError(f"output {str(config.output)!r} is the bundle itself: name another folder")
    method = config.calibration or bundle.model.calibration.method
    calibration.refuse_many(method, len(bundle.model.labels))
    meant = unseen.counterparts(bundle, table, config.labels)
    if meant.tolist() != list(range(len(bundle.model.labels))):
        # Its test split is opened by the table's own classes.
        raise DataError(
            f"the table's classes are {list(table.classes)}, the model's "
            f"{list(bundle.model.labels)}: prepare the table with the model's classes, in order"
        )
    # Its test films too: on them the new bundle will be judged.
    proof = unseen.refuse_seen(bundle, table, unseen.all_rows(table), config, config.output)
    with cluster.connected():
        found = unseen.predict(bundle, table, ["validation"], config.labels)
        _refuse_lost(bundle, table, found)
        made = readme.write(
            config.output,
            _contents(bundle, found, method, {**proof, "from": bundle.model_digest}),
            **{**artifact.origin(bundle), "data_digest": table.digest},
        )
        made = variants.carry(
            bundle,
            made,
            found,
            lambda name: unseen.predict(bundle, table, ["validation"], config.labels, name),
        )
    return {
        "bundle": str(made.path),
        "digest": made.digest,
        "model_digest": made.model_digest,
        **{
            name: {"before": getattr(bundle.model, name), "after": getattr(made.model, name)}
            for name in ("temperature", "threshold", "threshold_held")
        },
        "calibration": {
            "before": bundle.model.calibration.model_dump(),
            "after": made.model.calibration.model_dump(),
        },
        "validation": made.model.validation,
        "variants": {
            each.name: {"offered": each.offered, **each.validation} for each in offered.read(made)
        },
    }


def _refuse_lost(bundle: Artifact, table: Table, found: Predictions) -> None:
    labels = bundle.model.labels
    if lost := sorted(set(range(len(labels))) - set(found.labels.tolist())):
        raise DataError(
            f"the validation films of {str(table.path)!r} have none of "
            f"{[labels[label] for label in lost]}: nothing can be fitted on them"
        )


def _contents(
    bundle: Artifact, found: Predictions, method: Method, origin: dict[str, Any]
) -> dict[str, bytes]:
    """All files but evidence and variants: figures don't pass from one model to another."""
    card, reference = _fitted(bundle, found, method, origin)
    kept = {
        name: (bundle.path / name).read_bytes()
        for name in bundle.manifest.files
        if name not in (artifact.EVIDENCE, artifact.VARIANTS)
        and not name.startswith((drop.FOLDER, variants.FOLDER))
    }
    return {
        **kept,
        artifact.MODEL: card.model_dump_json(indent=2).encode(),
        artifact.DRIFT: reference.model_dump_json(indent=2).encode(),
        artifact.VALIDATION: json.dumps(
            {"labels": found.labels.tolist(), "logits": found.logits.tolist()}
        ).encode(),
    }


def _fitted(
    bundle: Artifact, found: Predictions, method: Method, origin: dict[str, Any]
) -> tuple[ModelCard, DriftReference]:
    card = bundle.model
    calibrator, point = external.fit(found.logits, found.labels, found.patients, card.rule, method)
    given_nk = calibrator(found.logits)
    decision = "most probable class" if point.threshold is None else f"{point.threshold:.4f}"
    progress.say(
        f"    {calibrator}, threshold {decision} on the site's validation films: "
        + "; ".join(point.verdict.reasons)
    )
    watched_n = given_nk[:, 1] if len(card.labels) == 2 else given_nk.max(axis=1)
    return (
        card.model_copy(
            update={
                "temperature": calibrator.temperature,
                "calibration": calibrator.calibration,
                "threshold": point.threshold,
                "threshold_held": point.verdict.passed,
                "conformal": conformal.fit(
                    found.labels, given_nk, found.patients, card.conformal.coverage
                ),
                "validation": {
                    "sensitivity": metrics.plain(point.sensitivity),
                    "specificity": metrics.plain(point.specificity),
                    "calibration": {
                        **calibration.assess(found.logits, found.labels, found.patients, method),
                        # As it was before: the old calibration, on these films.
                        "before": calibration.summary(found.labels, found.probabilities),
                    },
                    unseen.ORIGIN: origin,
                },
            }
        ),
        drift.fit({**found.features, "probability": watched_n}),
    )
