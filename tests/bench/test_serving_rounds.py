"""Turns, ratios and bars of the serving benchmark."""

import argparse
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bench.serving_contestants import Turn
from bench.serving_hosts import Host
from bench.serving_rounds import Bar, Results, judged, rounds


def turn(cpu_s: float, errors: int = 0) -> Turn:
    """A hundred requests."""
    return Turn(100, cpu_s, 1.0, [10.0] * 100, Counter({"500": errors} if errors else {}))


@pytest.fixture
def results() -> Results:
    """Two contestants in three rounds, on a machine that slowed down."""
    return Results(
        {"limit": [turn(1.0), turn(2.0), turn(4.0)], "ours": [turn(1.1), turn(2.4), turn(4.2)]}
    )


def test_ratio_is_taken_round_by_round(results: Results) -> None:
    """What slowed a whole round down leaves its ratio; the median round counts."""
    assert results.ratio("ours", "limit") == pytest.approx(1.1)
    assert results.ms("ours") == pytest.approx(24.0)


@pytest.mark.parametrize(("most", "reached"), [(1.11, True), (1.05, False)])
def test_a_bar_is_reached_or_missed(results: Results, most: float, reached: bool) -> None:
    """The verdict follows the ratio."""
    (told,) = judged(results, [Bar("ours", "limit", most=most)])

    assert told["reached"] is reached


def test_errors_miss_every_bar(results: Results) -> None:
    """Who answers with errors is cheap for no good reason."""
    results.turns["ours"][0] = turn(0.1, errors=1)

    (told,) = judged(results, [Bar("ours", "limit", most=5)])

    assert not told["reached"]


def test_a_bar_of_who_did_not_take_part_is_left_out(results: Results) -> None:
    """With --only there are fewer bars, not wrong ones."""
    assert judged(results, [Bar("ours", "another", most=1)]) == []


@dataclass
class _Contestant:
    """Remembers when it was asked."""

    name: str
    asked: list[str]
    hosts: Sequence[Host] = field(default_factory=tuple)

    def turn(self, requests: int, *, concurrency: int = 1, rate: float = 0.0) -> Turn:
        """One more."""
        self.asked.append(f"{self.name} {requests}")
        return turn(1.0)


def test_contestants_take_turns() -> None:
    """Nobody has two turns before everybody had one; the first, to warm up, is not counted."""
    asked: list[str] = []
    taking = {name: _Contestant(name, asked) for name in ("a", "b")}
    options = argparse.Namespace(rounds=2, requests=100, concurrency=2, idle_s=0.0, until=math.inf)

    found = rounds(taking, options)

    assert asked == ["a 25", "b 25", "a 100", "b 100", "a 100", "b 100"]
    assert {name: len(turns) for name, turns in found.turns.items()} == {"a": 2, "b": 2}


def test_who_answers_at_once_is_asked_more() -> None:
    """Times of processes are told in hundredths of seconds: a short turn would be all rounding."""
    asked: list[str] = []
    taking = {"a, at once": _Contestant("a", asked)}
    options = argparse.Namespace(rounds=1, requests=50, concurrency=1, idle_s=0.0, until=math.inf)

    rounds(taking, options)

    assert asked[-1] == "a 200"


def test_no_round_begins_when_time_is_over() -> None:
    """A first round there is; further ones only while there is time."""
    taking = {"a": _Contestant("a", [])}
    options = argparse.Namespace(rounds=5, requests=8, concurrency=1, idle_s=0.0, until=-math.inf)

    assert len(rounds(taking, options).turns["a"]) == 1
