"""A film's answer: its id, and what the model said as the body that is sent."""

import base64
import hashlib
import time
import uuid

from starlette.datastructures import Headers
from starlette.types import Scope

from lucency.bundle.artifact import Artifact

from .access import Caller
from .classifier import Timed
from .problems import BadRequest
from .schemas import Answer, ModelName

KEY_HEADER = "idempotency-key"
_MOST_KEY = 255
# Names our ids apart from any other use of the same key.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:lucency:answer")


def identity(scope: Scope, data: bytes) -> str:
    """
    The id of the answer to a film.

    With an Idempotency-Key it follows from caller, key and film: who sends a request again, since
    no answer came, has the same id, so that logs and labels count the film once. The answer
    itself is worked out anew; by another model, where one was put in force in between.

    Raises:
        BadRequest: the key is too long.
    """
    key = Headers(scope=scope).get(KEY_HEADER)
    if key is None:
        return str(uuid.uuid4())
    if not 0 < len(key) <= _MOST_KEY:
        raise BadRequest(f"Idempotency-Key has {len(key)} characters; expected 1 to {_MOST_KEY}")
    caller = scope.get("state", {}).get("caller")
    who = caller.id if isinstance(caller, Caller) else ""
    film = hashlib.sha256(data).hexdigest()
    return str(uuid.uuid5(_NAMESPACE, f"{len(who)}:{who}{key}\0{film}"))


def body(identifier: str, timed: Timed, began: float) -> Answer:
    """
    What is sent for a prediction.

    Args:
        began: ``time.perf_counter`` at the request's beginning.
    """
    found, artifact = timed.prediction, timed.classifier.predictor.artifact
    card = artifact.model
    return Answer(
        id=identifier,
        model=model_name(artifact),
        label=found.label,
        probability=found.probability,
        probabilities=dict(zip(card.labels, found.probabilities, strict=True)),
        threshold=card.threshold,
        decision=found.decision,
        reason=found.reason,
        labels=found.labels,
        warnings=found.warnings,
        timings_ms={
            "decode": round(timed.decode_s * 1e3, 3),
            "infer": round(timed.infer_s * 1e3, 3),
            "total": round((time.perf_counter() - began) * 1e3, 3),
        },
    )


def model_name(artifact: Artifact) -> ModelName:
    """How answers name a model."""
    return ModelName(name=artifact.manifest.name, version=artifact.version)


def with_map(answer: Answer, png: bytes) -> Answer:
    """The answer and its picture."""
    return answer.model_copy(update={"map_png": base64.b64encode(png).decode()})
