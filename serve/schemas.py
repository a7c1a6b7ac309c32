"""The bodies that the service answers with: those that its client reads."""

from lucency.wire import (
    Answer,
    Described,
    Health,
    ModelName,
    Models,
    Problem,
    Result,
    Results,
)

__all__ = [
    "Answer",
    "Described",
    "Health",
    "ModelName",
    "Models",
    "Problem",
    "Result",
    "Results",
]
