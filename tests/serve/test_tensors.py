"""What OpenAPI says of inference: a schema that stands alone and fits what clients send."""

import json
from typing import Any

import jsonschema
import numpy as np
import pytest
import tritonclient.http as triton

from serve import tensors
from tests.serve.test_foreign_clients import image


def request_schema() -> dict[str, Any]:
    """Of the JSON of a request."""
    content = tensors.told()["openapi_extra"]["requestBody"]["content"]
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema


def test_schema_leads_nowhere_else() -> None:
    """Each part stands in its place: a reference would be looked for in the whole document."""
    assert "$ref" not in json.dumps(tensors.told()["openapi_extra"])
    assert request_schema()["properties"]["inputs"]["items"]["required"] == [
        "name",
        "shape",
        "datatype",
    ]


@pytest.mark.parametrize("binary", [True, False])
def test_what_triton_sends_fits(binary: bool) -> None:
    """The JSON that the client builds is one that the document promises to take."""
    if binary:
        tensor = image([b"a", b"b"], [2])
    else:
        tensor = triton.InferInput("input", [1, 1, 2, 2], "FP32")
        tensor.set_data_from_numpy(np.zeros((1, 1, 2, 2), np.float32), binary_data=False)
    body, size = triton.InferenceServerClient.generate_request_body(
        [tensor], outputs=[triton.InferRequestedOutput("logits")], request_id="7"
    )

    jsonschema.validate(json.loads(body[:size]), request_schema())


def test_request_without_input_does_not_fit() -> None:
    """Nothing asked is refused by the document as by the service."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"inputs": []}, request_schema())
