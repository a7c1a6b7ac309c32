"""
What goes over the wire: the bodies of the service's answers, written there and read by clients.

Needs pydantic alone, so that the client does not bring the platform along.
"""

import base64
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Reason = Literal["clear", "several_labels", "no_label", "set_against_threshold"]
Warned = Literal["blank", "too_small", "inverted", "unlike_validation", "burned_in_text"]
_REASONS = (
    "clear: one label is in the set, and it is the one that is called; several_labels: validation "
    "films of several labels looked like this one; no_label: hardly any validation film of any "
    "label looked like this one; set_against_threshold: the set holds one label, the clinical "
    "threshold calls another"
)
_WARNED = (
    "what is odd about the film; it never changes the answer. blank: all pixels nearly the same; "
    "too_small: smaller than the network's input; inverted: a negative, bones black; "
    "unlike_validation: far from the films that the model was proven on; burned_in_text: a DICOM "
    "header that says so. A lateral film is not recognised, nor is text by its look"
)


class _Body(BaseModel):
    # A client must read the answers of a newer service.
    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelName(_Body):
    """Which model answered."""

    name: str
    version: str = Field(description="first twelve digits of the bundle's SHA-256")


class Answer(_Body):
    """What the model says of one film."""

    id: str = Field(
        description="names this answer in logs and labels; the same for the same film under the "
        "same Idempotency-Key"
    )
    model: ModelName
    label: str = Field(description="what is called")
    probability: float = Field(
        ge=0,
        le=1,
        description="calibrated; of the positive label of two, of the answered one of more",
    )
    probabilities: dict[str, float] = Field(description="calibrated, of every label")
    threshold: float | None = Field(
        description="of the clinical rule, fixed at validation; null for more than two labels"
    )
    decision: str = Field(
        description="positive or negative, the label where there are more; uncertain where the "
        "film is better left to a reader"
    )
    reason: Reason = Field(description=_REASONS)
    labels: tuple[str, ...] = Field(
        description="conformal prediction set: the labels that can't be ruled out"
    )
    warnings: tuple[Warned, ...] = Field(default=(), description=_WARNED)
    timings_ms: dict[str, float] = Field(
        description="decode, infer (with waiting for a batch) and total, milliseconds"
    )
    map_png: str | None = Field(
        default=None, description="with explain=true: the film under its heat map, PNG in base64"
    )

    @property
    def picture(self) -> bytes | None:
        """The map as PNG bytes, where it was asked for."""
        return None if self.map_png is None else base64.b64decode(self.map_png)


class Problem(_Body):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str


class Result(_Body):
    """One film of a batch: its answer, or why there is none."""

    index: int = Field(description="of the part in the form, from 0")
    answer: Answer | None = None
    problem: Problem | None = None


class Results(_Body):
    """A batch, in the order of its parts."""

    results: tuple[Result, ...]


class Described(_Body):
    """The model in force."""

    model: ModelName
    labels: tuple[str, ...]
    input_size: int
    explains: bool = Field(description="whether /v1/explain has a map to show")
    threshold: float | None
    temperature: float
    calibration: str = Field(
        default="temperature", description="what makes probabilities of logits over temperature"
    )
    created: str
    data_digest: str
    drawn_films: bool | None = Field(
        description="true: proven on drawn films only, no clinical meaning; null: no evidence"
    )
    metrics: dict[str, dict[str, float | None]] | None


class Accepted(_Body):
    """A late label is on the disk."""

    prediction: str
    label: str


class Models(_Body):
    """The models that this replica answers with."""

    models: tuple[ModelName, ...]


class Health(_Body):
    """Whether the process lives, or may be sent requests."""

    status: str
