"""Bundle and another site's table -> what the model is worth there, sealed into the bundle."""

import json
from datetime import UTC, datetime
from typing import Any

from lucency import cluster, environment, files, progress
from lucency.batch import Predictions
from lucency.bundle import readme
from lucency.bundle.artifact import Artifact
from lucency.config.evaluate import EvaluateConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.evaluation import drop, external, external_page
from lucency.evaluation.external import Suggestion
from lucency.evaluation.metrics import plain
from lucency.pipeline import own_films, unseen
from lucency.pipeline.assessment import assess, judge_variants, table_of_variants


def validate(config: EvaluateConfig) -> dict[str, Any]:
    """
    Judge a bundle as it is on films of a site that it has never seen; nothing is fitted anew.

    Where test films are among them, that is an opening: a model recalibrated for the site and
    tested there afterwards is a second one.

    Raises:
        DataError: it is the bundle's own table, the bundle was not tested on its own films, or a
            class of the table has no counterpart.
        LeakFound: the model was trained on some of the films, or their patients.
        TestSplitOpened: another model of this name saw the test films, and no reason is given.
    """
    bundle, table = Artifact.load(config.bundle), Table.open(config.table)
    internal = _internal(bundle)
    splits: list[str] = [config.split] if config.split else unseen.splits_of(table)
    rows = table.rows(config.split) if config.split else unseen.all_rows(table)
    proof = unseen.refuse_seen(bundle, table, rows, config, config.report)
    unseen.counterparts(bundle, table, config.labels)
    # Ray first: no opening is recorded where it does not start.
    with cluster.connected():
        if "test" in splits:
            own_films.opened(bundle, table, config.reason)
        found = unseen.predict(bundle, table, splits, config.labels)
        variants = judge_variants(
            bundle,
            found,
            lambda name: unseen.predict(bundle, table, splits, config.labels, name),
        )
    card = bundle.model
    suggestion = external.suggest(
        found.logits,
        found.labels,
        found.patients,
        card.rule,
        len(card.labels),
        card.calibration.method,
    )
    evidence = {
        **_origin(bundle, table, splits, config),
        "unseen": proof,
        "internal": {"data": bundle.manifest.data_digest, "metrics": internal},
        **_findings(bundle, internal, found, suggestion, config.prevalences),
        "variants": variants,
    }
    text = json.dumps(evidence, indent=2, sort_keys=True).encode()
    bundle = readme.seal(bundle, {drop.file_name(table.digest): text})
    page = external_page.render(
        evidence=evidence,
        labels_n=found.labels,
        probabilities_nk=found.probabilities,
        suggested_nk=suggestion.probabilities if suggestion else None,
        variants=table_of_variants(bundle, evidence, own=False),
    )
    files.write_text(config.report, page)
    for line in drop.lines(drop.read(evidence["drop"])):
        progress.say(f"    {line}")
    return {
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "model_digest": bundle.model_digest,
        "report": str(config.report),
        **{
            key: evidence[key]
            for key in (
                *("films", "patients", "unseen", "metrics", "sites", "drop"),
                *("reliability", "suggestion", "verdict", "variants"),
            )
        },
    }


def _internal(bundle: Artifact) -> dict[str, Any]:
    evidence = bundle.evidence
    if evidence is None or evidence["model"]["digest"] != bundle.model_digest:
        raise DataError(
            f"{str(bundle.path)!r} has no evidence on its own test films, from which a drop could "
            "be measured: run python jobs/evaluate.py configs/evaluate/default.yaml first"
        )
    metrics: dict[str, Any] = evidence["metrics"]
    return {name: metrics[name] for name in drop.MEASURES if name in metrics}


def _origin(
    bundle: Artifact, table: Table, splits: list[str], config: EvaluateConfig
) -> dict[str, Any]:
    card = bundle.model
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": environment.user(),
        "model": {"name": bundle.manifest.name, "digest": bundle.model_digest},
        "data": {
            "name": table.name,
            "digest": table.digest,
            "drawn": table.drawn,
            "splits": splits,
        },
        "labels": list(card.labels),
        "renamed": dict(config.labels),
        "rule": card.rule.model_dump(),
        "threshold": card.threshold,
        "temperature": card.temperature,
        "calibrator": str(card.calibrator),
    }


def _findings(
    bundle: Artifact,
    internal: dict[str, Any],
    found: Predictions,
    suggestion: Suggestion | None,
    prevalences: tuple[float, ...],
) -> dict[str, Any]:
    figures = assess(found, bundle.model, prevalences)
    return {
        **figures,
        "drop": {name: plain(fall) for name, fall in drop.of(internal, figures["metrics"]).items()},
        "reliability": external.reliability(
            found.labels,
            found.probabilities,
            found.patients,
            bundle.model.rule.confidence,
        ),
        "suggestion": suggestion.record(found.labels) if suggestion else None,
    }
