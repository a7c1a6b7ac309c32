"""The client for programs that wait."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import httpx

from lucency.client import requests
from lucency.client.requests import Call, Film
from lucency.wire import Accepted, Answer, Described, ModelName, Models, Result, Results


class Client:
    """
    Asks one service; safe to use from several threads.

    Not answered, or answered 429 or 503, a request is sent again under the same Idempotency-Key,
    so that the service's logs count the film once.

    Args:
        url: Of the service, with its prefix where it has one.
        key: An API key or a bearer token.
        timeout: Seconds for one try.
        tries: At most; 1 never sends anything twice.
        transport: For tests, or for a proxy of one's own.

    Raises:
        ServiceRefused: (every method) the service answered with a problem.
        ServiceUnreachable: (every method) it did not answer, or something else did.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        tries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._tries = tries
        self._http = httpx.Client(
            base_url=url, headers=requests.head(key), timeout=timeout, transport=transport
        )

    def predict(
        self,
        film: Film,
        *,
        explain: bool = False,
        key: str | None = None,
        site: str | None = None,
        view: str | None = None,
    ) -> Answer:
        """
        What the model says of one film, a path or its bytes: JPEG, PNG or DICOM.

        Args:
            explain: With the heat map, ``answer.picture``.
            key: Idempotency key; drawn where none is given. Give one to send the film again from
                another process.
            site: Where the film was taken, by the service's list; drift is told for each site.
            view: Of the film in DICOM's words, such as ``PA``, alike.
        """
        call = requests.predict(film, explain=explain, key=key, site=site, view=view)
        return requests.read(Answer, self._send(call))

    def predict_batch(
        self,
        films: Sequence[Film],
        *,
        key: str | None = None,
        site: str | None = None,
        view: str | None = None,
    ) -> tuple[Result, ...]:
        """An answer or a problem for each of several films, in their order."""
        call = requests.predict_batch(films, key=key, site=site, view=view)
        return requests.read(Results, self._send(call)).results

    def explain(
        self,
        film: Film,
        *,
        key: str | None = None,
        site: str | None = None,
        view: str | None = None,
    ) -> bytes:
        """The film under its heat map, PNG."""
        return self._send(requests.explain(film, key=key, site=site, view=view)).content

    def model(self) -> Described:
        """The model in force."""
        return requests.read(Described, self._send(requests.MODEL))

    def models(self) -> tuple[ModelName, ...]:
        """The models that answer."""
        return requests.read(Models, self._send(requests.MODELS)).models

    def label(
        self,
        prediction: str,
        label: str,
        *,
        reader: str | None = None,
        patient: str | None = None,
        site: str | None = None,
    ) -> Accepted:
        """
        Tell what a film turned out to show.

        Args:
            prediction: The answer's id.
            reader: Who says so; stored as a keyed hash, as is ``patient``.
        """
        call = requests.label(prediction, label, reader=reader, patient=patient, site=site)
        return requests.read(Accepted, self._send(call))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, call: Call) -> httpx.Response:
        for tries in range(1, self._tries + 1):
            response = None
            try:
                response = self._http.request(**call.arguments())
            except httpx.TransportError as cause:
                if tries == self._tries:
                    raise requests.lost(tries, cause) from cause
            pause_s = requests.pause_s(tries, response)
            if response is not None and (pause_s is None or tries == self._tries):
                return requests.checked(response)
            time.sleep(pause_s or 0.0)
        raise AssertionError("tries is at least 1")
