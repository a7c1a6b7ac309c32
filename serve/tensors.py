"""The bodies of the Open Inference Protocol, and what OpenAPI says of them."""

from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from . import docs, problems

Datatype = Literal["BYTES", "FP32"]


class InferenceParameters(BaseModel):
    """Of a request or a tensor; those of the binary extension count here, others are ignored."""

    model_config = ConfigDict(extra="ignore")

    binary_data_size: int | None = Field(None, ge=0)
    binary_data: bool | None = None
    binary_data_output: bool = False


class InferenceTensor(BaseModel):
    """An input; without ``data`` its bytes follow the JSON."""

    model_config = ConfigDict(extra="ignore")

    name: str
    shape: list[int] = Field(min_length=1, max_length=4)
    datatype: str
    parameters: InferenceParameters = InferenceParameters()
    data: list[Any] | None = None


class InferenceOutput(BaseModel):
    """An output that is asked for."""

    name: str
    parameters: InferenceParameters = InferenceParameters()


class InferenceRequest(BaseModel):
    """The JSON of a request."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field("", max_length=255)
    parameters: InferenceParameters = InferenceParameters()
    inputs: list[InferenceTensor] = Field(min_length=1, max_length=1)
    outputs: list[InferenceOutput] | None = Field(None, max_length=32)


class ServerLive(BaseModel):
    """The process lives; clients read the member, not the status alone."""

    live: bool = True


class ServerReady(BaseModel):
    """The model is loaded."""

    ready: bool = True


class ModelReady(ServerReady):
    """This model is loaded."""

    name: str


class TensorMetadata(BaseModel):
    """One input or output."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a client must know to ask."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(BaseModel):
    """Who answers, and which extensions it knows."""

    name: str
    version: str
    extensions: list[str]


class InferenceAnswer(BaseModel):
    """The JSON of an answer."""

    model_name: str
    model_version: str
    id: str
    outputs: list[dict[str, Any]]


def told() -> dict[str, Any]:
    """What OpenAPI says of inference beside its paths."""
    length = {"name": "Inference-Header-Content-Length", "in": "header", "required": False}
    length |= {"schema": {"type": "integer", "minimum": 0}}
    length["description"] = "Bytes of the JSON, where tensors follow it as the extension has them."
    asked, answered = _schema(InferenceRequest), _schema(InferenceAnswer)
    binary = {"schema": {"type": "string", "format": "binary"}}

    def content(schema: dict[str, Any]) -> dict[str, Any]:
        return {"application/json": {"schema": schema}, "application/octet-stream": binary}

    return {
        "response_class": Response,
        "responses": {
            200: {"content": content(answered)},
            **problems.NO_MAP,
            **problems.RESPONSES,
        },
        "openapi_extra": {
            "parameters": [*docs.TENSORS["parameters"], length],
            "requestBody": {"required": True, "content": content(asked)},
        },
    }


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """With all in its place: a reference into the schema leads nowhere inside OpenAPI."""
    whole = model.model_json_schema()
    parts = whole.pop("$defs", {})

    def placed(part: Any) -> Any:
        if isinstance(part, list):
            return [placed(each) for each in part]
        if not isinstance(part, dict):
            return part
        named = parts[part["$ref"].rpartition("/")[2]] if "$ref" in part else {}
        return {key: placed(value) for key, value in {**named, **part}.items() if key != "$ref"}

    found: dict[str, Any] = placed(whole)
    return found
