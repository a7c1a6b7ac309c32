"""
Every error that Lucency raises on purpose.

A message says what was found, what was expected and what to do. Errors cross process
borders inside Ray, so every constructor argument goes to ``super().__init__``.
"""

from typing import Any


class LucencyError(Exception):
    """A mistake that the person or program calling can correct."""

    exit_code = 1


class ConfigError(LucencyError):
    """A configuration file or an override is wrong."""

    exit_code = 2


class DataError(LucencyError):
    """A data set, a stored table or a split is not what it must be."""


class ImageError(LucencyError):
    """
    The bytes of one film can't be used.

    Args:
        reason: Code for reports and metrics, one of a small fixed set (``truncated``, ...).
        message: What was found and what was expected.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message


class WeightsError(LucencyError):
    """Pretrained weights are missing or belong to another network."""


class TrainingError(LucencyError):
    """A training run could not start or could not end."""


class SearchError(LucencyError):
    """A search can't go on as it was begun, or has found nothing."""


class ArtifactError(LucencyError):
    """A bundle is damaged, incomplete or of another format."""


class LedgerError(LucencyError):
    """A record that only grows was changed."""


class StoreError(LucencyError):
    """The model store has no such version or alias, or is being written by someone else."""


class ClusterError(LucencyError):
    """Ray can't give what the configuration asks for."""


class ServiceError(LucencyError):
    """The service can't take this request; ``status`` is chosen in ``serve/problems.py``."""


class GateRefused(LucencyError):
    """
    The promotion rule was not met.

    Args:
        message: The figures and the floors, for people.
        figures: The same for programs.
    """

    exit_code = 3

    def __init__(self, message: str, figures: dict[str, Any]) -> None:
        super().__init__(message, figures)
        self.message = message
        self.figures = figures

    def __str__(self) -> str:
        return self.message


class TestSplitOpened(LucencyError):
    """Another model of the same lineage was tested on these films already."""

    exit_code = 3
    # The name says what happened; pytest would take it for a class of tests.
    __test__ = False


class LeakFound(GateRefused):
    """Films or patients stand in two splits, or in a table and in the one held against it."""
