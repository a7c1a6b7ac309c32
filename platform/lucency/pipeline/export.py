"""Run -> calibrated bundle."""

from pathlib import Path
from typing import Any

from lucency.bundle import export as exporter
from lucency.config.export import ExportConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.training.trainer import WEIGHTS, Run


def export(config: ExportConfig) -> dict[str, Any]:
    """
    Export a run; gives the bundle's path, digests, temperature and threshold.

    Raises:
        DataError: the table is not the one that the run was trained on.
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
    )
    return {
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "model_digest": bundle.model_digest,
        "temperature": bundle.model.temperature,
        "threshold": bundle.model.threshold,
        "threshold_held": bundle.model.threshold_held,
        "conformal": bundle.model.conformal.model_dump(),
        "validation": bundle.model.validation,
    }
