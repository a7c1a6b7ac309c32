"""Ids of answers: new for each film, the same for one that is sent again under its key."""

import uuid

import pytest
from starlette.types import Scope

from serve.access import Caller
from serve.answers import identity
from serve.problems import BadRequest


def asked(key: str | None, caller: str | None = None) -> Scope:
    """A request's scope."""
    headers = [] if key is None else [(b"idempotency-key", key.encode())]
    state = {"caller": Caller(caller, frozenset())} if caller else {}
    return {"type": "http", "headers": headers, "state": state}


def test_without_a_key_each_answer_is_new() -> None:
    """Two answers to one film are two."""
    first, second = identity(asked(None), b"film"), identity(asked(None), b"film")

    assert first != second
    assert uuid.UUID(first).version == 4


def test_with_a_key_the_same_film_has_the_same_id() -> None:
    """A request that is sent again is counted once, by any replica."""
    first, second = (identity(asked("abc", "key:1"), b"film") for _ in range(2))

    assert first == second
    assert uuid.UUID(first).version == 5


@pytest.mark.parametrize(
    ("scope", "data"),
    [
        (asked("abd", "key:1"), b"film"),
        (asked("abc", "key:2"), b"film"),
        (asked("abc"), b"film"),
        (asked("abc", "key:1"), b"other"),
        (asked("1abc", "key:"), b"film"),
    ],
)
def test_another_key_caller_or_film_is_another_answer(scope: Scope, data: bytes) -> None:
    """No caller meets another one's ids, and a key used for two films names two answers."""
    assert identity(scope, data) != identity(asked("abc", "key:1"), b"film")


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_key_has_bounds(key: str) -> None:
    """An empty key is a mistake, a very long one a load."""
    with pytest.raises(BadRequest, match="expected 1 to 255"):
        identity(asked(key), b"film")
