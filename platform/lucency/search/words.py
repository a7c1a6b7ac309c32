"""Values and outcomes of trials for people."""

from collections.abc import Mapping
from typing import Any

from lucency.search.outcome import Outcome


def short(value: Any) -> str:
    """A value of an open key."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return " ".join(str(x) for x in value.values())
    return str(value)


def said(values: Mapping[str, Any]) -> str:
    """All values of a trial."""
    return ", ".join(f"{path.removeprefix('recipe.')} {short(x)}" for path, x in values.items())


def line(found: Outcome) -> str:
    """One ended trial."""
    name = found.folder.name
    if found.interval is None:
        return f"{name} failed after {found.epochs} epochs: {found.reason}"
    low, high = found.interval.lower, found.interval.upper
    return (
        f"{name} {found.state} after {found.epochs} epochs, {found.figure} "
        f"{found.interval.value:.4f} ({low:.4f} to {high:.4f}) in epoch {found.best_epoch}: "
        f"{found.reason}"
    )
