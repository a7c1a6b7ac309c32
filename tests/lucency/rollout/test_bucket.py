"""A key's place is its own, everywhere, and places are spread evenly."""

from lucency.rollout.bucket import place

KEYS = [str(number).encode() for number in range(4000)]


def test_place_is_the_same_on_every_machine() -> None:
    """A key's place follows from the key alone: this one is recorded."""
    assert place(b"patient 7", "v1") == place(b"patient 7", "v1")
    assert round(place(b"patient 7", "v1"), 6) == 0.209446


def test_shares_are_met() -> None:
    """Of many keys a share of about that size falls under it."""
    for share in (0.01, 0.05, 0.25):
        under = sum(place(key) < share for key in KEYS) / len(KEYS)
        assert abs(under - share) < 4 * (share * (1 - share) / len(KEYS)) ** 0.5


def test_purposes_know_nothing_of_each_other() -> None:
    """Who is tried on first in one trial is no likelier to be in the next."""
    both = sum(place(key, "a") < 0.25 and place(key, "b") < 0.25 for key in KEYS) / len(KEYS)

    assert abs(both - 0.0625) < 0.02
