"""What a trial may be told: its steps, and what ends it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

Share = Annotated[float, Field(gt=0, le=1)]


class Guards(BaseModel):
    """
    What takes a challenger back. Each counts from its least number of films on.

    Attributes:
        confidence: Of every bound; one-sided.
        most_errors: Share of the challenger's films that may fail, over the champion's share.
        most_slower: The challenger's 99th percentile over the champion's.
        most_disagreement: Share of mirrored films that the two decide differently.
        most_abstain_rise: Rise of the share of films that are left to a reader.
        sensitivity_floor: Of late labels; null takes the challenger's own rule.
        least_films: Of each model, before errors, latency, abstentions and disagreement count.
        least_positives: With a late label, before sensitivity counts.
        drift: Whether an alarm of the challenger's drift test takes it back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    most_errors: Annotated[float, Field(ge=0, lt=1)] = 0.01
    most_slower: Annotated[float, Field(gt=1)] = 1.5
    most_disagreement: Annotated[float, Field(gt=0, le=1)] = 0.1
    most_abstain_rise: Annotated[float, Field(gt=0, le=1)] = 0.1
    sensitivity_floor: Annotated[float, Field(gt=0, lt=1)] | None = None
    least_films: Annotated[int, Field(ge=10)] = 30
    least_positives: Annotated[int, Field(ge=1)] = 30
    drift: bool = True


class Plan(BaseModel):
    """
    How a challenger becomes the champion.

    Attributes:
        shares: Of films that it answers, step by step; at 1 it is made the champion.
        shadow: Share of the champion's films that it is shown too; its answers are not used.
        least_films: That it must have answered in a step, or been shown in the first one.
        least_s: That a step lasts.
        queue: Mirrored films that may wait in a replica; more are dropped, and counted.
        patience_s: For the challenger's answer; then the champion answers, and it is an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shares: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.01, 0.05, 0.25, 1.0)
    shadow: Annotated[float, Field(ge=0, le=1)] = 0.1
    least_films: Annotated[int, Field(ge=1)] = 100
    least_s: Annotated[float, Field(ge=0)] = 3600
    queue: Annotated[int, Field(ge=1)] = 16
    patience_s: Annotated[float, Field(gt=0)] = 5
    guards: Guards = Guards()

    @field_validator("shares")
    @classmethod
    def _grow(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if list(shares) != sorted(set(shares)) or shares[-1] != 1:
            raise ValueError(f"found {shares}: shares grow from step to step and end with 1")
        return shares
