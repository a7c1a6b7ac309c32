"""Bundle and films -> a folder of predictions."""

import time
from collections import Counter
from typing import Any

import numpy as np
import pyarrow.dataset as ds

from lucency import bulk, progress
from lucency.bulk import Films, Folder, Rows
from lucency.bundle.artifact import Artifact
from lucency.config.predict import PredictConfig
from lucency.datasets.table import Table
from lucency.errors import DataError


def predict(config: PredictConfig) -> dict[str, Any]:
    """
    Answer every film through the service's predictor, in float32; what an interrupted run has done
    is kept.

    A film that can't be used has a row with the reason in ``refused`` and nothing else.

    Raises:
        DataError: no films, the test split of a model that was not tested, or ``output`` holds
            the predictions of something else.
        ArtifactError: the bundle is damaged.
    """
    began = time.monotonic()
    bundle = Artifact.load(config.bundle)
    films = _films(config, bundle)
    if config.fresh:
        for path in [*config.output.glob("part-*.parquet"), config.output / bulk.MADE_BY]:
            path.unlink(missing_ok=True)
    plan = bulk.plan(bundle, films, config.output)
    left = plan.films_of(plan.missing)
    if left < len(films):
        progress.say(f"    {len(films) - left:,} of {len(films):,} films were answered before")
    if left:
        with progress.meter("predictions", left, "films") as bar:
            for count in bulk.run(plan):
                bar.update(count)
    seconds = time.monotonic() - began
    found = ds.dataset([str(part) for part in plan.parts.values()]).to_table(
        columns=["decision", "refused"]
    )
    refused = Counter(filter(None, found["refused"].to_pylist()))
    if refused:
        why = ", ".join(f"{count} {reason}" for reason, count in refused.most_common())
        progress.say(f"    {refused.total():,} of {len(films):,} films can't be used: {why}")
    return {
        "output": str(config.output),
        "bundle": str(bundle.path),
        "version": bundle.version,
        "films": len(films),
        "kept": len(films) - left,
        "decisions": dict(Counter(filter(None, found["decision"].to_pylist()))),
        "refused": dict(refused),
        "seconds": round(seconds, 1),
        "films_per_s": round(left / seconds, 1),
    }


def _films(config: PredictConfig, bundle: Artifact) -> Films:
    if config.folder is not None:
        return Folder.find(config.folder, config.endings)
    assert config.table is not None, "PredictConfig has one of the two"
    table = Table.open(config.table)
    rows = (
        np.arange(len(table.columns["split"])) if config.split is None else table.rows(config.split)
    )
    untested = bundle.evidence is None and table.digest == bundle.manifest.data_digest
    if untested and "test" in table.columns["split"][rows]:
        raise DataError(
            f"{str(bundle.path)!r} has no test evidence yet, and these are its test films: run "
            "python jobs/evaluate.py first, or give split=validation"
        )
    return Rows(table, rows)
