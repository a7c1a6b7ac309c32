"""Bundle and table -> how the model holds up on films made worse, and what shortcuts it takes."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from lucency import batch, files, images, progress
from lucency.bundle.artifact import Artifact, ModelCard
from lucency.config.robustness import RobustnessConfig
from lucency.datasets.table import Table
from lucency.evaluation import metrics
from lucency.pipeline import own_films, writable
from lucency.robustness import figures, probes, report
from lucency.robustness.base import corrupt, every, severities
from lucency.robustness.probes import PROBES
from lucency.robustness.report import Example
from lucency.robustness.versions import Versions

_SHOWN = (1, 3, 5)
_SIZE_AND_SHAPE = "size, learnt"


def robustness(config: RobustnessConfig) -> dict[str, Any]:
    """
    Ask a model about films made worse, at its own threshold, and write report and figures.

    Raises:
        DataError: the table is not the one that the bundle was made from, or the test split is
            asked for before the model has evidence.
        TestSplitOpened: as ``evaluate``.
    """
    began = time.monotonic()
    bundle, table = Artifact.load(config.bundle), Table.open(config.table)
    _check(bundle, table, config)
    writable.ready(config.report.parent)
    rows = _chosen(table, config)
    versions = Versions(
        corruptions=config.corruptions if config.corruptions is not None else every(),
        probes=tuple(PROBES),
        color=bundle.model.preprocess.color,
        seed=config.seed,
    )
    count = len(versions.settings)
    with (
        progress.stage(f"{len(rows)} films of {config.split}, {count} versions of each"),
        progress.meter("predictions", len(rows) * count, "films") as bar,
    ):
        given = batch.predict_versions(
            bundle.path, table, rows, versions, lambda films: bar.update(films * count)
        )
    record = {
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "model": {"name": bundle.manifest.name, "digest": bundle.model_digest},
        "data": {"name": table.name, "digest": table.digest, "drawn": table.drawn},
        "split": config.split,
        "seed": config.seed,
        "threshold": bundle.model.threshold,
        "rule": bundle.model.rule.model_dump(),
        **_record(bundle.model, table, rows, versions, given, config.shortcut_auroc),
    }
    files.write_json(config.report.with_suffix(".json"), record)
    files.write_text(config.report, report.render(record, _examples(table, rows, versions)))
    for line in report.lines(record):
        progress.say(f"    {line}")
    seconds = round(time.monotonic() - began, 1)
    return {**record, "report": str(config.report), "seconds": seconds}


def _check(bundle: Artifact, table: Table, config: RobustnessConfig) -> None:
    own_films.refuse_others(bundle, table)
    own_films.refuse_untested(bundle, config.split)
    if config.split == "test":
        own_films.opened(bundle, table, config.reason)


def _chosen(table: Table, config: RobustnessConfig) -> np.ndarray:
    rows = table.rows(config.split)
    if config.films is None:
        return rows
    return figures.choose(rows, table.columns["patient"][rows], config.films, config.seed)


def _record(
    card: ModelCard,
    table: Table,
    rows: np.ndarray,
    versions: Versions,
    given_nvk: np.ndarray,
    bar: float,
) -> dict[str, Any]:
    labels_n, patients_n = table.columns["label"][rows], table.columns["patient"][rows]
    found = {
        setting: figures.assess(
            labels_n, given_nvk[:, v], patients_n, threshold=card.threshold, clinical_rule=card.rule
        )
        for v, setting in enumerate(versions.settings)
    }
    clean = found["clean", 0]
    by_name = {
        each.name: figures.summarise(
            clean, {severity: found[each.name, severity] for severity in severities(each.name)}
        )
        for each in versions.corruptions
    }
    probed = {name: _probed(found[name, 0]["auroc"], name, bar) for name in versions.probes}
    probed[_SIZE_AND_SHAPE] = _size_learnt(card, table, rows, bar)
    return {
        "films": len(rows),
        "patients": len(np.unique(patients_n)),
        "clean": clean,
        "corruptions": by_name,
        "mean_corruption_drop": figures.mean_drop([each["drop"] for each in by_name.values()]),
        "shortcut_auroc": bar,
        "probes": probed,
        "shortcuts": [each["sentence"] for each in probed.values() if each["shortcut"]],
    }


def _probed(area: Mapping[str, float | None], name: str, bar: float) -> dict[str, Any]:
    probe = PROBES[name]
    shortcut = probes.is_shortcut(area, bar)
    return {
        "auroc": dict(area),
        "shows": probe.shows,
        "shortcut": shortcut,
        "sentence": probes.sentence(
            f"the model answers from {probe.relies_on}", area, bar, shortcut
        ),
    }


def _size_learnt(card: ModelCard, table: Table, rows: np.ndarray, bar: float) -> dict[str, Any]:
    """What width and height give away in these data, learnt from the training films."""
    shows = "width, height and aspect ratio, by a logistic regression on the training films"
    train = table.rows("train")
    sides = np.stack([table.columns[side] for side in ("width", "height")], axis=1)
    labels = table.columns["label"]
    scores_nk = probes.size_scores(sides[train], labels[train], sides[rows])
    if scores_nk is None or scores_nk.shape[1] != len(card.labels):
        return {
            "auroc": None,
            "shows": shows,
            "shortcut": False,
            "sentence": "not tried: the training films of this table have one size or lack a class",
        }
    area = metrics.plain(
        figures.area(labels[rows], scores_nk, table.columns["patient"][rows], card.rule.confidence)
    )
    shortcut = probes.is_shortcut(area, bar)
    what = "the data give the class away by the film's size or aspect ratio"
    return {
        "auroc": area,
        "shows": shows,
        "shortcut": shortcut,
        "sentence": probes.sentence(what, area, bar, shortcut),
    }


def _examples(table: Table, rows: np.ndarray, versions: Versions) -> list[Example]:
    """One positive film under every corruption at some severities, and as each probe leaves it."""
    positive = rows[table.columns["label"][rows] == len(table.classes) - 1]
    row = (positive if positive.size else rows)[0]
    (data,) = table.images([row])
    digest = str(table.columns["sha256"][row])
    film_hwc = images.decode(data, color=versions.color)
    shown = [Example("clean", 0, film_hwc)]
    for each in versions.corruptions:
        for severity in severities(each.name):
            if severity in _SHOWN:
                made = corrupt(film_hwc, each, severity, digest=digest, seed_number=versions.seed)
                shown.append(Example(each.name, severity, made))
    return shown + [Example(name, 0, PROBES[name].leave(film_hwc)) for name in versions.probes]
