"""What ``jobs/release.py`` may be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

import lucency
from lucency.config.node import Node
from lucency.evaluation.drop import MostDrop
from lucency.evaluation.rule import ClinicalRule

_ROOT = Path(lucency.__file__).parents[2]


class ReleaseConfig(Node):
    """
    A promoted bundle, where it came from, and the file for the evidence pack.

    Attributes:
        store: A folder, or the URI of one in a bucket.
        run: Folder of the training run that the bundle was exported from.
        search: Folder of the search that found the run's settings, if there was one.
        table: Of the bundle's test films; the one that the run was trained on if left out.
        output: The pack, a tar file; written only where the checklist is whole.
        rule: The rule in force here; the bundle's own is not asked.
        most_drop: What figures may fall by at other sites.
        root: The source tree whose lock, documents and tests are looked at: a git work tree at the
            revision that trained the run.
        tests: Of preprocessing and inference, relative to ``root``.
        run_tests: Run them now.
        junit: A JUnit report of them instead, made after the revision that is checked out.
    """

    bundle: Path
    store: str | Path
    run: Path
    output: Path
    search: Path | None = None
    table: Path | None = None
    rule: ClinicalRule = ClinicalRule()
    most_drop: MostDrop = MostDrop()
    root: Path = _ROOT
    tests: Annotated[tuple[Path, ...], Field(min_length=1)]
    run_tests: bool = False
    junit: Path | None = None

    @model_validator(mode="after")
    def _one_source_of_results(self) -> "ReleaseConfig":
        if self.run_tests and self.junit is not None:
            raise ValueError("run_tests runs the tests, junit says that they were run: give one")
        return self
