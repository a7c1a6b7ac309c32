"""The bodies that the service answers with; OpenAPI shows them."""

from pydantic import BaseModel, Field

from lucency.evaluation.conformal import REASONS, Reason


class ModelName(BaseModel):
    """Which model answered."""

    name: str
    version: str = Field(description="first twelve digits of the bundle's SHA-256")


class Answer(BaseModel):
    """What the model says of one film."""

    id: str
    model: ModelName
    label: str
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
    reason: Reason = Field(description="; ".join(f"{k}: {v}" for k, v in REASONS.items()))
    labels: tuple[str, ...] = Field(
        description="conformal prediction set: the labels that can't be ruled out"
    )
    timings_ms: dict[str, float]


class Described(BaseModel):
    """The model in force."""

    model: ModelName
    labels: tuple[str, ...]
    input_size: int
    explains: bool = Field(description="whether /v1/explain has a map to show")
    threshold: float | None
    temperature: float
    created: str
    data_digest: str
    drawn_films: bool | None = Field(
        description="true: proven on drawn films only, no clinical meaning; null: no evidence"
    )
    metrics: dict[str, dict[str, float | None]] | None


class Health(BaseModel):
    """Whether the process lives, or may be sent requests."""

    status: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
