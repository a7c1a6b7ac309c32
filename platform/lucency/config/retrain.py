"""What ``jobs/retrain.py`` may be told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from lucency.config.node import Node


class Guard(Node):
    """
    When a new model may be trained by itself.

    Attributes:
        new_labels: Films with a late label that were not there at the last training.
        new_positives: Of them positive ones.
        cool_down_days: Since the last training was submitted, whatever came of it.
        approval: A person must say yes to each request.
        approval_days: For so long a request waits, and a yes is good.
    """

    new_labels: Annotated[int, Field(ge=1)] = 500
    new_positives: Annotated[int, Field(ge=1)] = 100
    cool_down_days: Annotated[float, Field(ge=0)] = 14
    approval: bool = True
    approval_days: Annotated[float, Field(gt=0)] = 14


class Approval(Node):
    """A person's yes or no to the request that waits; both are asked for a reason."""

    by: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]
    granted: bool = True


class Submission(Node):
    """
    How the pipeline is started.

    Attributes:
        config: Of ``jobs/pipeline.py``; its gate is the only way to promotion, as always.
        overrides: Changes to it. ``work`` and ``serve`` are given by the trigger.
        address: Of Ray's job server (http://head:8265); null runs the job here and waits for it.
        runtime_env: For Ray.
        folder: Every training gets a work folder of its own in it; with an address one that all
            nodes share.
    """

    config: Path
    overrides: tuple[str, ...] = ()
    address: str | None = None
    runtime_env: Path = Path("jobs/runtime_env.yaml")
    folder: Path

    @model_validator(mode="after")
    def _kept(self) -> "Submission":
        if self.address is not None and not self.folder.is_absolute():
            raise ValueError(
                f"folder {str(self.folder)!r} is relative, and a job on {self.address} runs in a "
                "copy of the checkout that is thrown away: give a folder that all nodes share"
            )
        return self


class RetrainConfig(Node):
    """
    Reasons to train anew, and what stands between them and doing it.

    Attributes:
        reevaluation: ``reevaluation.json`` of ``jobs/reevaluate.py``.
        drift: A file that exists while a drift alarm is raised; its first line says of what.
        bound: Of sensitivity, held against its floor: with the upper one a fall is certain. The
            lower one, the gate's, asks sooner, and each night that looks at it may be wrong: in
            the simulated month of the tests it called for a new model in the good fortnight.
        fresh_days: An older re-evaluation is no reason for anything.
        ledger: Where every step is recorded.
        approve: The answer to the request that waits.
    """

    reevaluation: Path
    drift: Path | None = None
    bound: Literal["upper", "lower"] = "upper"
    fresh_days: Annotated[float, Field(gt=0)] = 7
    guard: Guard = Guard()
    submission: Submission
    ledger: Path
    approve: Approval | None = None
