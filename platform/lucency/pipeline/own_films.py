"""A model on films of its own table: which table that is, and the lock of its test films."""

from lucency.bundle.artifact import Artifact
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.evaluation import openings
from lucency.evaluation.openings import Opening


def refuse_others(bundle: Artifact, table: Table, advice: str = "") -> None:
    """
    Ask whether a table is the one that a bundle was made from.

    Args:
        advice: What else the caller has to offer.

    Raises:
        DataError: it is another one.
    """
    if table.digest != bundle.manifest.data_digest:
        raise DataError(
            f"{str(table.path)!r} has digest {table.digest[:12]!r}, the bundle was made from "
            f"{bundle.manifest.data_digest[:12]!r}: on another division of the patients the model "
            f"may have been trained on these films{advice}"
        )


def refuse_untested(bundle: Artifact, split: str) -> None:
    """
    Ask whether anybody may look at a split already.

    Raises:
        DataError: it is the test split of a model that was not evaluated.
    """
    if split == "test" and bundle.evidence is None:
        raise DataError(
            f"{str(bundle.path)!r} has no test evidence yet: its first sight of the test split is "
            "the evaluation; run python jobs/evaluate.py configs/evaluate/default.yaml "
            f"bundle={bundle.path}, or take split=validation"
        )


def opened(bundle: Artifact, table: Table, reason: str) -> list[Opening]:
    """
    Record that a model sees the test films of a table, before it does; gives all such records.

    Raises:
        TestSplitOpened: another model of this name saw them, and no reason is given.
    """
    return openings.opened(
        table.path.parent,
        lineage=bundle.manifest.name,
        model=bundle.model_digest,
        data=table.digest,
        reason=reason,
    )
