"""Errors cross process borders whole, and say what a person needs."""

import pickle
from collections.abc import Iterator

import pytest

from lucency import errors
from lucency.errors import ConfigError, GateRefused, ImageError, LeakFound, LucencyError

# Arguments of the errors that take more than a message.
SPECIAL: dict[type[LucencyError], tuple[object, ...]] = {
    ImageError: ("truncated", "the film ends early"),
    GateRefused: ("sensitivity 0.81 is under 0.9", {"sensitivity": 0.81}),
    LeakFound: ("1 pair of films is shared", {"leaks": {"bytes": 1}}),
}


def family(parent: type[LucencyError] = LucencyError) -> Iterator[type[LucencyError]]:
    """The base and everything below it that ``lucency.errors`` defines."""
    if parent.__module__ == errors.__name__:
        yield parent
    for child in parent.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("kind", list(family()), ids=lambda kind: kind.__name__)
def test_error_survives_a_process_border(kind: type[LucencyError]) -> None:
    """A pickled error comes back with its type, arguments, attributes and message."""
    error = kind(*SPECIAL.get(kind, ("found 3, expected 4",)))

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert copy.args == error.args
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImageError("empty", "send a film"), "send a film"),
        (GateRefused("0.81 is under 0.9", {"sensitivity": 0.81}), "0.81 is under 0.9"),
    ],
)
def test_error_with_several_arguments_shows_its_sentence(error: LucencyError, message: str) -> None:
    """What a person reads is the message, not a tuple of arguments."""
    assert str(error) == message


def test_exit_codes_tell_apart_what_a_script_must() -> None:
    """Failure, wrong configuration and refusal by the gate leave a job with 1, 2 and 3."""
    assert LucencyError.exit_code == 1
    assert ConfigError.exit_code == 2
    assert GateRefused.exit_code == 3
