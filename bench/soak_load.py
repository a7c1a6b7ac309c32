"""The load of ``soak.py``: requests of every kind, and what is kept of their answers."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from lucency.client import Answer, Client, ServiceRefused, ServiceUnreachable

_SAME = 1e-4
_FILMS_OF_A_BATCH = 3
_TOLD = 30
Asks = Mapping[str, tuple[int, Callable[[], None]]]


@dataclass(frozen=True)
class Film:
    """Bytes of one film, and the probability that each version has for it."""

    kind: str
    data: bytes
    expected: Mapping[str, float]


@dataclass
class Kept:
    """
    What all clients saw; shared by their threads.

    Attributes:
        answered: Ids of predictions that were sent to somebody.
        labelled: Ids whose label was accepted.
    """

    requests: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    hostile: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    wrong: int = 0
    answered: set[str] = field(default_factory=set)
    labelled: set[str] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, film: Film, identity: str, version: str, probability: float) -> None:
        """One film's answer, held against what that version itself says of it."""
        with self.lock:
            self.answered.add(identity)
            self.versions[version] += 1
            expected = film.expected.get(version)
            if expected is None or abs(expected - probability) > _SAME:
                self.wrong += 1
                self._tell(f"wrong: {film.kind} {version} {probability} {expected}")

    def failure(self, what: str, why: str) -> None:
        """A request that should have been answered."""
        with self.lock:
            self.failed[what] += 1
            self._tell(f"{what}: {why[:200]}")

    def _tell(self, line: str) -> None:
        if len(self.told) < _TOLD:
            self.told.append(f"{time.strftime('%H:%M:%S')} {line}")


class Caller:
    """
    A thread that asks one thing after another, until told to end.

    Args:
        rate: Requests a second, about.
    """

    def __init__(self, name: str, asks: Asks, kept: Kept, rate: float) -> None:
        self._name = name
        self._asks = asks
        self._kept = kept
        self._pause_s = 1 / rate
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let the last answer come."""
        self._ended.set()
        self._thread.join(60)

    def _run(self) -> None:
        random_ = random.Random(self._name)
        kinds = list(self._asks)
        weights = [self._asks[kind][0] for kind in kinds]
        while not self._ended.wait(random_.uniform(0.5, 1.5) * self._pause_s):
            (kind,) = random_.choices(kinds, weights)
            what = f"{self._name.partition(' ')[0]} {kind}"
            began = time.perf_counter()
            try:
                self._asks[kind][1]()
            except (httpx.HTTPError, ServiceRefused, ServiceUnreachable, Unexpected) as error:
                self._kept.failure(what, repr(error))
            with self._kept.lock:
                self._kept.requests[what] += 1
                self._kept.seconds.append(time.perf_counter() - began)


class Unexpected(Exception):
    """A status that is no answer."""


class Asking:
    """Requests without anything that sends them again; the last answered film is told a label."""

    def __init__(
        self, name: str, films: Sequence[Film], hostile: Sequence[bytes], kept: Kept
    ) -> None:
        self.kept = kept
        self._films = films
        self._hostile = hostile
        self._random = random.Random(len(films))
        self._last = ""
        self._infer_path = f"/v2/models/{name}/infer"

    def asks(self, http: httpx.Client) -> Asks:
        """Each kind with its weight."""
        return {
            "predict": (12, partial(self.predict, http)),
            "batch": (2, partial(self.batch, http)),
            "explain": (2, partial(self.explain, http)),
            "label": (2, partial(self.label, http)),
            "infer": (3, partial(self.infer, http)),
            "hostile": (3, partial(self.hostile, http)),
        }

    def predict(self, http: httpx.Client) -> None:
        film = self._film()
        self._note(film, _checked(http.post("/v1/predict", content=film.data)).json())

    def batch(self, http: httpx.Client) -> None:
        films = [self._film() for _ in range(_FILMS_OF_A_BATCH)]
        files = [("image", (str(n), film.data)) for n, film in enumerate(films)]
        found = _checked(http.post("/v1/predict:batch", files=files)).json()["results"]
        for film, result in zip(films, found, strict=True):
            self._note(film, result["answer"])

    def explain(self, http: httpx.Client) -> None:
        film = self._film()
        head = _checked(http.post("/v1/explain", content=film.data)).headers
        probability = float(head["Lucency-Probability"])
        self.kept.answer(film, head["Lucency-Prediction"], head["Lucency-Model"], probability)

    def label(self, http: httpx.Client) -> None:
        if last := self._last:
            body = {"prediction": last, "label": "PNEUMONIA"}
            _checked(http.post("/v1/labels", json=body))
            self.kept.labelled.add(last)

    def infer(self, http: httpx.Client) -> None:
        film = self._film()
        content = len(film.data).to_bytes(4, "little") + film.data
        sized = {"binary_data_size": len(content)}
        tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": sized}
        head = json.dumps({"inputs": [tensor]}).encode()
        told = {"Inference-Header-Content-Length": str(len(head))}
        answer = _checked(http.post(self._infer_path, content=head + content, headers=told)).json()
        outputs = {each["name"]: each["data"][0] for each in answer["outputs"]}
        probability = float(outputs["probability"])
        self.kept.answer(film, outputs["id"], answer["model_version"], probability)

    def hostile(self, http: httpx.Client) -> None:
        answer = http.post("/v1/predict", content=self._random.choice(self._hostile))
        with self.kept.lock:
            self.kept.hostile[str(answer.status_code)] += 1
            if answer.status_code == 200:  # a flipped bit may leave a film
                self.kept.answered.add(answer.json()["id"])
        if answer.status_code >= 500:
            raise Unexpected(f"{answer.status_code} {answer.text}")

    def _film(self) -> Film:
        return self._random.choice(self._films)

    def _note(self, film: Film, answer: Mapping[str, Any]) -> None:
        version = answer["model"]["version"]
        self._last = answer["id"]
        self.kept.answer(film, answer["id"], version, answer["probability"])


class AskingAgain:
    """Requests of ``lucency.client``, which sends them again under their keys."""

    def __init__(self, films: Sequence[Film], kept: Kept) -> None:
        self.kept = kept
        self._films = films
        self._random = random.Random(1)
        self._last = ""

    def asks(self, client: Client) -> Asks:
        """Each kind with its weight."""
        return {
            "predict": (8, partial(self.predict, client)),
            "batch": (2, partial(self.batch, client)),
            "label": (2, partial(self.label, client)),
        }

    def predict(self, client: Client) -> None:
        film = self._random.choice(self._films)
        self._note(film, client.predict(film.data))

    def batch(self, client: Client) -> None:
        films = [self._random.choice(self._films) for _ in range(_FILMS_OF_A_BATCH)]
        found = client.predict_batch([film.data for film in films])
        for film, result in zip(films, found, strict=True):
            if result.answer is None:
                raise Unexpected(str(result.problem))
            self._note(film, result.answer)

    def label(self, client: Client) -> None:
        if last := self._last:
            client.label(last, "PNEUMONIA")
            self.kept.labelled.add(last)

    def _note(self, film: Film, answer: Answer) -> None:
        self._last = answer.id
        self.kept.answer(film, answer.id, answer.model.version, answer.probability)


def _checked(response: httpx.Response) -> httpx.Response:
    if not response.is_success:
        raise Unexpected(f"{response.status_code} {response.text}")
    return response
