"""What ``jobs/predict.py`` may be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from lucency.config.node import Node


class PredictConfig(Node):
    """
    A bundle, films in a folder or in a prepared table, and the folder for the answers.

    Attributes:
        output: Gets Parquet files of a few hundred films each, readable as one data set.
        endings: Of the files under ``folder`` that are films.
        split: Of the table; all of its films if left out.
        fresh: Throw away what an earlier run left in ``output``.
    """

    bundle: Path
    output: Path
    folder: Path | None = None
    table: Path | None = None
    endings: Annotated[tuple[str, ...], Field(min_length=1)] = (".jpeg", ".jpg", ".png", ".dcm")
    split: str | None = None
    fresh: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> "PredictConfig":
        if (self.folder is None) == (self.table is None):
            raise ValueError("give folder=FOLDER or table=TABLE, and not both")
        if self.split is not None and self.table is None:
            raise ValueError(f"split {self.split!r} is of a table; a folder has none")
        return self
