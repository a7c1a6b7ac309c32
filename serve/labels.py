"""``POST /v1/labels``: what a reader or a later finding says of a film that was answered."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from lucency.config.serve import SITE

from . import problems
from .problems import UnknownLabel
from .recorder import Recorder

# Free text is not stored: names are hashed, and a site has a short name.
_Name = Annotated[str, Field(min_length=1, max_length=128)]


class LateLabel(BaseModel):
    """One reader's word on one film."""

    model_config = ConfigDict(extra="forbid")

    prediction: uuid.UUID = Field(description="the id that /v1/predict answered with")
    label: str = Field(description="one of the model's labels")
    reader: _Name | None = Field(
        None, description="stored as a keyed hash; the caller, where it is left out"
    )
    patient: _Name | None = Field(
        None, description="stored as a keyed hash; intervals then count patients instead of films"
    )
    site: Annotated[str, Field(pattern=rf"^{SITE}$")] | None = None


class Accepted(BaseModel):
    """The label is on the disk."""

    prediction: str
    label: str


def router(recorder: Recorder, labels: tuple[str, ...]) -> APIRouter:
    """
    The route of late labels.

    The prediction is not looked for: another replica may have answered it, and a label must not
    be lost while logs are moved. Labels without a prediction are told of by the re-evaluation.
    Sending one again changes nothing; another label by the same reader takes its place.

    Args:
        labels: Of the model in force.
    """
    routes = APIRouter()

    @routes.post("/v1/labels", status_code=202, responses=problems.RESPONSES)
    async def late_label(late: LateLabel, request: Request) -> Accepted:
        """Take a late label by the id of its prediction."""
        if late.label not in labels:
            raise UnknownLabel(f"found label {late.label!r}, expected one of {list(labels)}")
        told = {**late.model_dump(exclude={"prediction"}), "prediction": str(late.prediction)}
        await recorder.labelled(request.scope, told)
        return Accepted(prediction=str(late.prediction), label=late.label)

    return routes
