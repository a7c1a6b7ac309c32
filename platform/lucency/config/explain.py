"""What ``jobs/explain.py`` may be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from lucency.config.node import Node
from lucency.config.train import Location


class ExplainConfig(Node):
    """
    A finished run, and how many validation films explain it.

    No key names a split: films for the test are never opened here.

    Attributes:
        run: Folder of a finished run.
        table: Where the run's own table lies now, if it was moved.
        films: Validation films, of each class alike as far as there are so many.
        randomised_films: Of these, how many go through the cascade of random weights, which
            explains each of them ten times over.
        shown: Films on the page.
        drawn_seed: Seed of the phantom set that the films are of; their lungs follow from it.
    """

    run: Path
    table: Location | None = None
    films: Annotated[int, Field(ge=2, le=200)] = 48
    randomised_films: Annotated[int, Field(ge=2, le=200)] = 12
    shown: Annotated[int, Field(ge=1, le=24)] = 8
    batch_size: Annotated[int, Field(ge=1, le=256)] = 16
    drawn_seed: int = 0
    seed: Annotated[int, Field(ge=0)] = 0
    output: Path
