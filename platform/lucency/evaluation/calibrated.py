"""
Logits -> calibrated probabilities, as a model card has it. In numpy alone: serving uses it too.

Every step is strictly increasing in the logit. So calibration changes what a probability says,
and neither the order of films, nor what a threshold can tell apart, nor a prediction set.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lucency.evaluation import probability

Method = Literal["temperature", "platt", "isotonic"]

_Share = Annotated[float, Field(ge=0, le=1)]


class Temperature(BaseModel):
    """The temperature alone: nothing follows it (Guo et al., 2017)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["temperature"] = "temperature"

    def probabilities(self, scaled_nk: np.ndarray) -> np.ndarray:
        """Of all classes, from logits over the temperature."""
        return probability.of_classes(scaled_nk)


class Platt(BaseModel):
    """
    A shift of the logit, for two classes; with the temperature, whose inverse is the slope, it is
    Platt's sigmoid (1999). It mends what no temperature can: too many or too few positives
    foretold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["platt"] = "platt"
    intercept: float

    def probabilities(self, scaled_nk: np.ndarray) -> np.ndarray:
        """Of both classes, from one logit over the temperature."""
        return probability.of_classes(scaled_nk + self.intercept)


class Isotonic(BaseModel):
    """
    A rising curve from the scaled probability to the observed share, for two classes; straight
    between its points.

    Attributes:
        given: Of the second class, over the temperature alone; rising.
        observed: The share that was positive where it was given; rising, without a flat stretch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["isotonic"] = "isotonic"
    given: Annotated[tuple[_Share, ...], Field(min_length=2)]
    observed: tuple[_Share, ...]

    @model_validator(mode="after")
    def _rises(self) -> "Isotonic":
        if len(self.given) != len(self.observed):
            raise ValueError(
                f"{len(self.given)} given and {len(self.observed)} observed shares: each point of "
                "the curve has one of both"
            )
        if not all(
            low < high for each in (self.given, self.observed) for low, high in pairwise(each)
        ):
            raise ValueError("given and observed must rise from point to point: no two are equal")
        return self

    def probabilities(self, scaled_nk: np.ndarray) -> np.ndarray:
        """Of both classes, from one logit over the temperature."""
        given_n = probability.sigmoid(scaled_nk[:, 0])
        positive_n = np.interp(given_n, self.given, self.observed)
        return np.stack([1 - positive_n, positive_n], axis=1)


Calibration = Annotated[Temperature | Platt | Isotonic, Field(discriminator="method")]


@dataclass(frozen=True)
class Calibrator:
    """
    What makes probabilities of logits.

    Attributes:
        temperature: Logits are divided by it.
        calibration: What follows the temperature.
    """

    temperature: float
    calibration: Calibration = field(default_factory=Temperature)

    def __call__(self, logits_nk: np.ndarray) -> np.ndarray:
        """
        Probabilities of all classes, one column each; float64.

        Args:
            logits_nk: One column for two classes (the second one's logit), else one a class.
        """
        return self.calibration.probabilities(
            np.asarray(logits_nk, dtype=np.float64) / self.temperature
        )

    def __str__(self) -> str:
        after = self.calibration
        if isinstance(after, Platt):
            return (
                f"Platt's sigmoid, temperature {self.temperature:.3f}, shift {after.intercept:+.3f}"
            )
        if isinstance(after, Isotonic):
            points = len(after.given)
            return f"isotonic curve of {points} points over temperature {self.temperature:.3f}"
        return f"temperature {self.temperature:.3f}"
