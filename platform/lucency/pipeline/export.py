"""Run -> calibrated bundle."""

from pathlib import Path
from typing import Any

import numpy as np

from lucency.bundle import export as exporter
from lucency.bundle import formats, offered, readme, variants
from lucency.bundle.artifact import Artifact
from lucency.config.export import ExportConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.training.trainer import WEIGHTS, Run


def export(config: ExportConfig) -> dict[str, Any]:
    """
    Export a run; gives the bundle's path, digests, calibration and threshold.

    Raises:
        DataError: the table is not the one that the run was trained on, or the calibration does
            not take so many classes.
        ArtifactError: something exported answers otherwise than the training code, or a variant
            can't be made on this machine.
    """
    run = Run.open(config.run)
    table = Table.open(config.table or Path(run.record["table"]))
    if table.digest != run.record["data_digest"]:
        raise DataError(
            f"{str(table.path)!r} has digest {table.digest[:12]!r}, run {run.folder.name!r} was "
            f"trained on {run.record['data_digest'][:12]!r}: give its own table, or train again"
        )
    bundle = exporter.export(
        name=config.name,
        run=run.folder.name,
        recipe=run.recipe,
        weights=run.folder / WEIGHTS,
        history=run.history,
        table=table,
        output=config.output,
        coverage=config.coverage,
        use=config.use,
        method=config.calibration,
    )
    if config.formats:
        bundle = _with_formats(bundle, run, table, config.formats)
    if config.variants:
        bundle = variants.add(bundle, table, config.variants)
    return {
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "model_digest": bundle.model_digest,
        "temperature": bundle.model.temperature,
        "calibration": bundle.model.calibration.model_dump(),
        "threshold": bundle.model.threshold,
        "threshold_held": bundle.model.threshold_held,
        "conformal": bundle.model.conformal.model_dump(),
        "validation": bundle.model.validation,
        "variants": {
            each.name: {"offered": each.offered, "speed": each.speed.ratio, **each.validation}
            for each in offered.read(bundle)
        },
    }


def _with_formats(
    bundle: Artifact, run: Run, table: Table, wanted: tuple[formats.Format, ...]
) -> Artifact:
    rows = table.rows("validation")
    # Another number than the traced batch's: a format that fixed it would speak here.
    samples = table.images(rows[np.linspace(0, len(rows) - 1, 5).astype(int)])
    films_nchw = np.stack([run.recipe.preprocess(film) for film in samples])
    model = exporter.rebuild(run.recipe, run.folder / WEIGHTS, len(table.classes))
    return readme.seal(bundle, formats.files(model, films_nchw, wanted))
