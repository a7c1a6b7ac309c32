"""
The Open Inference Protocol, version 2, over HTTP: what clients of KServe and Triton speak.

Tensors come as JSON or as the binary extension has them: their bytes behind the JSON, whose
length ``Inference-Header-Content-Length`` says, and answers go out as they are asked for.
"""

import asyncio
import base64
import binascii
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Input
from lucency.drift import reference as drift
from lucency.preprocess import tables

from . import problems, tensors
from .classifier import Classifier, Timed
from .live import Live
from .origin import Origin
from .problems import BadRequest, UnknownCoding, UnknownModel
from .recorder import Recorder
from .tensors import (
    Datatype,
    InferenceAnswer,
    InferenceOutput,
    InferenceRequest,
    InferenceTensor,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
)

_LENGTH = "inference-header-content-length"
_BYTES: Final = "BYTES"
_FLOATS: Final = "FP32"
_EXTENSIONS = ["binary_tensor_data"]
# Of an input's values, for other rounding than ours.
_ROOM = 1e-3


# What each output is made of, for one film.
_OUTPUTS: dict[str, tuple[Datatype, bool, Callable[[str, Timed], Any]]] = {
    "probability": (_FLOATS, False, lambda _, timed: timed.prediction.probability),
    "probabilities": (_FLOATS, True, lambda _, timed: timed.prediction.probabilities),
    "logits": (_FLOATS, True, lambda _, timed: timed.prediction.logits),
    "label": (_BYTES, False, lambda _, timed: timed.prediction.label),
    "decision": (_BYTES, False, lambda _, timed: timed.prediction.decision),
    "reason": (_BYTES, False, lambda _, timed: timed.prediction.reason),
    "warnings": (_BYTES, False, lambda _, timed: ",".join(timed.prediction.warnings)),
    "id": (_BYTES, False, lambda identity, _: identity),
}


def router(live: Live, recorder: Recorder, *, max_films: int) -> APIRouter:
    """
    The routes.

    Args:
        max_films: In one request.
    """
    routes = APIRouter(tags=["Open Inference Protocol"])

    @routes.get("/v2/health/live")
    async def lives() -> ServerLive:
        """The process lives."""
        return ServerLive()

    @routes.get("/v2/health/ready")
    async def ready() -> ServerReady:
        """The model is loaded."""
        return ServerReady()

    @routes.get("/v2")
    async def server() -> ServerMetadata:
        """Who answers."""
        return ServerMetadata(name="lucency", version="1", extensions=_EXTENSIONS)

    # Each path once more with the version: a default here would make it a parameter of the query.
    @routes.get("/v2/models/{name}", responses=problems.NO_MAP)
    async def metadata(name: str) -> ModelMetadata:
        """Inputs and outputs of the model."""
        return await version_metadata(name, "")

    @routes.get("/v2/models/{name}/versions/{version}", responses=problems.NO_MAP)
    async def version_metadata(name: str, version: str) -> ModelMetadata:
        """Inputs and outputs of the model, if it is of this version."""
        artifact = live.predictor.artifact
        _check(artifact, name, version)
        return _metadata(artifact)

    @routes.get("/v2/models/{name}/ready", responses=problems.NO_MAP)
    async def model_ready(name: str) -> ModelReady:
        """This model is loaded."""
        return await version_ready(name, "")

    @routes.get("/v2/models/{name}/versions/{version}/ready", responses=problems.NO_MAP)
    async def version_ready(name: str, version: str) -> ModelReady:
        """This version of the model is loaded."""
        _check(live.predictor.artifact, name, version)
        return ModelReady(name=name)

    told = tensors.told()

    @routes.post("/v2/models/{name}/infer", **told)
    async def infer(request: Request, name: str) -> Response:
        """Films as ``image`` (BYTES: JPEG, PNG, DICOM) or prepared as ``input`` (FP32)."""
        return await version_infer(request, name, "")

    @routes.post("/v2/models/{name}/versions/{version}/infer", **told)
    async def version_infer(request: Request, name: str, version: str) -> Response:
        """The same, refused where another version is in force."""
        raw = await request.body()  # first: the reason must not meet a client still sending
        _refuse_compressed(request)
        champion = live.champion
        artifact = champion.predictor.artifact
        _check(artifact, name, version)
        asked, binary = _split(raw, request.headers.get(_LENGTH))
        tensor = asked.inputs[0]
        if tensor.name == "image" and tensor.datatype == _BYTES:
            films = _films(tensor, binary, max_films)
            found = await asyncio.gather(
                # By one model, whatever is being tried: such an answer names one for all films.
                *(recorder.classify(request.scope, film, champion) for film in films)
            )
        elif tensor.name == "input" and tensor.datatype == _FLOATS:
            arrays = _arrays(tensor, binary, artifact, max_films)
            found = await asyncio.gather(*(_one(request, a, champion) for a in arrays))
        else:
            raise BadRequest(
                "expected one input, `image` of type BYTES or `input` of type FP32; "
                "GET /v2/models/NAME says their shapes"
            )
        return _answered(artifact, asked, found)

    async def _one(
        request: Request, array_chw: np.ndarray, champion: Classifier
    ) -> tuple[str, Timed]:
        recorder.ready()
        origin = Origin.of(request.scope)
        # An array is made for one model: it never goes to another.
        timed = await champion.answer(Input(array_chw, drift.describe(array_chw), 0.0), origin)
        return await recorder.answered(request.scope, array_chw.tobytes(), timed), timed

    return routes


def _check(artifact: Artifact, name: str, version: str) -> None:
    if name != artifact.manifest.name or version not in ("", artifact.version):
        raise UnknownModel(
            f"the model here is {artifact.manifest.name!r}, version {artifact.version!r}"
        )


def _refuse_compressed(request: Request) -> None:
    coding = request.headers.get("content-encoding", "identity")
    if coding != "identity":
        raise UnknownCoding(
            "the request has a Content-Encoding; send it without compression, which films and "
            "tensors hardly gain from",
            {"Accept-Encoding": "identity"},
        )


def _metadata(artifact: Artifact) -> ModelMetadata:
    card = artifact.model
    side, classes = card.preprocess.size, len(card.labels)
    widths = {"probabilities": classes, "logits": 1 if classes == 2 else classes}
    return ModelMetadata(
        name=artifact.manifest.name,
        versions=[artifact.version],
        platform="lucency_onnx",
        inputs=[
            TensorMetadata(name="image", datatype="BYTES", shape=[-1]),
            TensorMetadata(
                name="input", datatype="FP32", shape=[-1, card.preprocess.channels, side, side]
            ),
        ],
        outputs=[
            TensorMetadata(name=name, datatype=kind, shape=[-1, widths[name]] if wide else [-1])
            for name, (kind, wide, _) in _OUTPUTS.items()
        ],
    )


def _split(raw: bytes, length: str | None) -> tuple[InferenceRequest, bytes]:
    """The JSON of a request and the bytes behind it."""
    if length is not None and not (length.isdecimal() and int(length) <= len(raw)):
        raise BadRequest(f"Inference-Header-Content-Length is no number up to {len(raw)}")
    end = len(raw) if length is None else int(length)
    try:
        asked = InferenceRequest.model_validate_json(raw[:end])
    except ValidationError as cause:
        # Not the values: a film may be among them.
        wrong = "; ".join(
            f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
            for error in cause.errors(include_input=False, include_context=False)[:4]
        )
        raise BadRequest(f"the request's JSON is not as the protocol has it: {wrong}") from None
    return asked, raw[end:]


def _count(tensor: InferenceTensor, shape: Sequence[int], most: int) -> int:
    """The films in a tensor."""
    count = math.prod(shape) if all(side > 0 for side in shape) else 0
    if not 1 <= count <= most:
        raise BadRequest(f"shape {tensor.shape} holds {count} films; expected 1 to {most}")
    return count


def _films(tensor: InferenceTensor, binary: bytes, most: int) -> list[bytes]:
    count = _count(tensor, tensor.shape, most)
    if tensor.parameters.binary_data_size is not None:
        films = list(_elements(_binary(tensor, binary)))
    else:
        films = [_decoded(element) for element in tensor.data or ()]
    if len(films) != count:
        raise BadRequest(f"shape {tensor.shape} promises {count} films, found {len(films)}")
    return films


def _elements(binary: bytes) -> Sequence[bytes]:
    """BYTES as the extension has them: before each element its length, four bytes."""
    found, place = [], 0
    while place < len(binary):
        size = int.from_bytes(binary[place : place + 4], "little")
        place += 4
        if place + size > len(binary):
            raise BadRequest("an element of the BYTES tensor is longer than the tensor")
        found.append(binary[place : place + size])
        place += size
    return found


def _decoded(element: object) -> bytes:
    try:
        return base64.b64decode(element if isinstance(element, str) else b"!", validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("in JSON the elements of `image` are films in base64") from None


def _binary(tensor: InferenceTensor, binary: bytes) -> bytes:
    if tensor.parameters.binary_data_size != len(binary):
        raise BadRequest(
            f"binary_data_size is {tensor.parameters.binary_data_size}, {len(binary)} bytes follow "
            "the JSON"
        )
    return binary


def _arrays(
    tensor: InferenceTensor, binary: bytes, artifact: Artifact, most: int
) -> list[np.ndarray]:
    recipe = artifact.model.preprocess
    wanted = [recipe.channels, recipe.size, recipe.size]
    if tensor.shape[1:] != wanted:
        raise BadRequest(f"found shape {tensor.shape}, expected {['n', *wanted]}")
    count = _count(tensor, tensor.shape[:1], most)
    if tensor.parameters.binary_data_size is not None:
        content = _binary(tensor, binary)
        values = np.frombuffer(content[: len(content) // 4 * 4], "<f4")
    else:
        values = _numbers(tensor.data or [])
    if values.size != count * math.prod(wanted):
        raise BadRequest(f"shape {tensor.shape} does not fit {values.size} values")
    levels = tables(recipe.mean, recipe.std)
    # Written so that NaN fails too. A network is proven on nothing outside of what a film gives.
    if not (values.min() >= levels.min() - _ROOM and values.max() <= levels.max() + _ROOM):
        raise BadRequest(
            f"`input` must hold finite numbers from {levels.min():g} to {levels.max():g}, as the "
            "model's preprocessing gives them"
        )
    return list(values.astype(np.float32).reshape(count, *wanted))


def _numbers(data: list[Any]) -> np.ndarray:
    try:
        return np.asarray(data, np.float32).ravel()
    except (TypeError, ValueError, OverflowError):
        raise BadRequest(
            "`input` holds something that is no number, or lists of two lengths"
        ) from None


def _answered(
    artifact: Artifact, asked: InferenceRequest, found: Sequence[tuple[str, Timed]]
) -> Response:
    wanted = asked.outputs or [InferenceOutput(name=name) for name in _OUTPUTS]
    outputs, tail = [], b""
    for each in wanted:
        if each.name not in _OUTPUTS:
            raise BadRequest(f"there is no such output; there are {list(_OUTPUTS)}")
        kind, _, take = _OUTPUTS[each.name]
        values = [take(identity, timed) for identity, timed in found]
        array = np.asarray(values, np.float32) if kind == _FLOATS else np.asarray(values, object)
        output: dict[str, Any] = {"name": each.name, "datatype": kind, "shape": list(array.shape)}
        asks = each.parameters.binary_data
        if asked.parameters.binary_data_output if asks is None else asks:
            content = array.astype("<f4").tobytes() if kind == _FLOATS else _packed(values)
            output["parameters"] = {"binary_data_size": len(content)}
            tail += content
        else:
            output["data"] = array.ravel().tolist()
        outputs.append(output)
    head = (
        InferenceAnswer(
            id=asked.id,
            model_name=artifact.manifest.name,
            model_version=artifact.version,
            outputs=outputs,
        )
        .model_dump_json()
        .encode()
    )
    if not tail:
        return Response(head, media_type="application/json")
    return Response(
        head + tail,
        media_type="application/octet-stream",
        headers={"Inference-Header-Content-Length": str(len(head))},
    )


def _packed(values: Sequence[str]) -> bytes:
    encoded = [value.encode() for value in values]
    return b"".join(len(each).to_bytes(4, "little") + each for each in encoded)
