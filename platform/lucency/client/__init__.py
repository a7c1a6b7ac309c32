"""
A typed client of the service, for programs that need nothing else of Lucency.

    with Client("https://films.example", key=KEY) as client:
        answer = client.predict(Path("film.dcm"))
"""

from lucency.client.aio import AsyncClient
from lucency.client.requests import Film, ServiceRefused, ServiceUnreachable
from lucency.client.sync import Client
from lucency.wire import Answer, Described, Problem, Result

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "Described",
    "Film",
    "Problem",
    "Result",
    "ServiceRefused",
    "ServiceUnreachable",
]
