"""What both clients share: how a request looks, when it is sent again, how an answer is read."""

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from lucency.errors import LucencyError
from lucency.wire import Problem

Film = Path | str | bytes
Body = TypeVar("Body", bound=BaseModel)

KEY_HEADER = "Idempotency-Key"
# Not now: over the rate, not ready, or lost on the way with the replica that had it, of which Ray
# and proxies tell as 500, 502 or 504. Anything else is answered the same the next time.
_AGAIN = frozenset({429, 500, 502, 503, 504})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0
# A service that asks for more patience than this is down, and its caller should hear of it.
_MOST_PATIENCE_S = 60.0


class ServiceRefused(LucencyError):
    """
    The service answered with a problem.

    Args:
        problem: RFC 9457 problem details; of an answer that has none, its status.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def reason(self) -> str | None:
        """Of a film that can't be used: ``truncated``, ``too_many_pixels``, ..."""
        _, found, reason = self.problem.type.partition("urn:lucency:")
        return reason if found else None

    def __str__(self) -> str:
        return f"{self.problem.status} {self.problem.title}: {self.problem.detail}"


class ServiceUnreachable(LucencyError):
    """No answer, or none that can be read, after every try."""


@dataclass(frozen=True)
class Call:
    """One request; it is the same at every try, its key above all."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    files: Sequence[tuple[str, tuple[str, bytes]]] | None = None
    json: Any = None

    def arguments(self) -> dict[str, Any]:
        """For ``httpx.Client.request``."""
        return {
            "method": self.method,
            "url": self.path,
            "headers": dict(self.headers),
            "params": dict(self.params),
            "content": self.content,
            "files": self.files,
            "json": self.json,
        }


def predict(
    film: Film, *, explain: bool, key: str | None, site: str | None, view: str | None
) -> Call:
    """One film to its answer."""
    params = {"explain": "true"} if explain else {}
    return Call("POST", "/v1/predict", _told(key, site, view), params, content=_bytes(film))


def predict_batch(
    films: Sequence[Film], *, key: str | None, site: str | None, view: str | None
) -> Call:
    """Several films to their answers."""
    # Names of files may be names of patients: the parts have numbers.
    files = [("image", (str(number), _bytes(film))) for number, film in enumerate(films)]
    return Call("POST", "/v1/predict:batch", _told(key, site, view), files=files)


def explain(film: Film, *, key: str | None, site: str | None, view: str | None) -> Call:
    """One film to its heat map."""
    return Call("POST", "/v1/explain", _told(key, site, view), content=_bytes(film))


def label(
    prediction: str, label: str, *, reader: str | None, patient: str | None, site: str | None
) -> Call:
    """A late label; sending one again changes nothing."""
    said = {"reader": reader, "patient": patient, "site": site}
    given = {name: value for name, value in said.items() if value is not None}
    return Call("POST", "/v1/labels", json={"prediction": prediction, "label": label, **given})


MODEL = Call("GET", "/v1/model")
MODELS = Call("GET", "/v1/models")


def head(key: str | None) -> dict[str, str]:
    """Headers of every request; ``key`` is an API key or a bearer token."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def pause_s(tries: int, response: httpx.Response | None) -> float | None:
    """
    Seconds until the next try, after ``tries`` of them; None where another would be in vain.

    Exponential with full jitter, so that many clients do not come back together; never less than
    the service asks for.
    """
    if response is not None and response.status_code not in _AGAIN:
        return None
    drawn = random.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (tries - 1)))
    asked = response.headers.get("retry-after", "") if response is not None else ""
    least = float(asked) if asked.isdecimal() else 0.0
    return None if least > _MOST_PATIENCE_S else least + drawn


def checked(response: httpx.Response) -> httpx.Response:
    """
    A response that is an answer.

    Raises:
        ServiceRefused: it is a problem.
    """
    if response.is_success:
        return response
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:  # from a proxy on the way
        problem = Problem(
            type="about:blank",
            title=response.reason_phrase,
            status=response.status_code,
            detail="the answer holds no problem details",
        )
    raise ServiceRefused(problem)


def read(body: type[Body], response: httpx.Response) -> Body:
    """
    The typed body of an answer.

    Raises:
        ServiceUnreachable: it is none of ours.
    """
    try:
        return body.model_validate_json(response.content)
    except ValidationError as cause:
        raise ServiceUnreachable(
            f"{response.url.host} answered {response.status_code} with a body that is no "
            f"{body.__name__}; is this the service?"
        ) from cause


def lost(tries: int, cause: Exception) -> ServiceUnreachable:
    """What is raised when the last try had no answer."""
    return ServiceUnreachable(f"no answer in {tries} tries ({type(cause).__name__}: {cause})")


def _told(key: str | None, site: str | None, view: str | None) -> dict[str, str]:
    origin = {"Lucency-Site": site, "Lucency-View": view}
    given = {name: value for name, value in origin.items() if value is not None}
    return {KEY_HEADER: key or str(uuid.uuid4()), **given}


def _bytes(film: Film) -> bytes:
    return film if isinstance(film, bytes) else Path(film).read_bytes()
