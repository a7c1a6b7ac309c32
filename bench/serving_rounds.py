"""Turns, rounds and ratios of ``serving.py``."""

import argparse
import math
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.serving_contestants import AT_ONCE, Contestant, Turn
from bench.serving_hosts import watch_idle


@dataclass
class Results:
    """Turns by contestant, as many as rounds, and each host's share of a core when idle."""

    turns: dict[str, list[Turn]] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)

    def ms(self, name: str) -> float:
        """CPU milliseconds a request, the median round."""
        return statistics.median(turn.ms for turn in self.turns[name])

    def ratio(self, name: str, other: str) -> float:
        """How much more CPU a request takes than of another, the median over rounds."""
        pairs = zip(self.turns[name], self.turns[other], strict=True)
        return statistics.median(one.ms / two.ms for one, two in pairs)

    def errors(self, name: str) -> Counter[str]:
        """Of all rounds."""
        return sum((turn.errors for turn in self.turns[name]), Counter())

    def plain(self, reference: str) -> dict[str, Any]:
        """For the JSON line."""
        return {
            "ms": {name: round(self.ms(name), 3) for name in self.turns},
            "ratio": {name: round(self.ratio(name, reference), 3) for name in self.turns},
            "errors": {name: dict(self.errors(name)) for name in self.turns if self.errors(name)},
            "idle": {name: round(share, 4) for name, share in self.idle.items()},
        }


@dataclass(frozen=True)
class Bar:
    """What the ratio of one contestant's cost to another's must not pass."""

    name: str
    to: str
    most: float = math.inf
    least: float = 0.0


def rounds(taking: Mapping[str, Contestant], options: argparse.Namespace) -> Results:
    """Everybody in turn, again and again; rounds begin with quiet, to learn what idling costs."""
    found = Results({name: [] for name in taking})
    hosts = list({id(host): host for each in taking.values() for host in each.hosts}.values())
    for each in taking.values():
        each.turn(max(8, options.requests // 4), concurrency=options.concurrency)
    quiet: dict[str, list[float]] = {host.name: [] for host in hosts}
    for number in range(options.rounds):
        if number and time.monotonic() > options.until:
            break
        for name, share in watch_idle(hosts, options.idle_s).items():
            quiet[name].append(share)
        for host in hosts:
            host.idle = statistics.mean(quiet[host.name])
        for name, each in taking.items():
            # Of what is answered at once, more: processes' times are told in hundredths of seconds.
            requests = options.requests * (4 if name.endswith(AT_ONCE) else 1)
            found.turns[name].append(each.turn(requests, concurrency=options.concurrency))
    found.idle = {host.name: host.idle for host in hosts}
    return found


def table(found: Results, reference: str) -> None:
    """For people."""
    print(f"{'':<30} CPU ms  x {reference}   req/s  p50 ms  first film's answer  errors")
    for name, turns in found.turns.items():
        latencies = [each for turn in turns for each in turn.latencies_ms]
        p50 = statistics.median(latencies) if latencies else math.nan
        rate = statistics.median(turn.requests / turn.wall_s for turn in turns)
        ratio = found.ratio(name, reference) if reference in found.turns else math.nan
        errors = dict(found.errors(name)) or ""
        print(
            f"  {name:<28} {found.ms(name):6.2f} {ratio:7.3f} {rate:8.1f} {p50:7.2f} "
            f"{_answer(turns[0]):<20} {errors}"
        )
    for name, share in found.idle.items():
        if share > 0.001:
            print(f"  {name}: {share:.1%} of a core when idle")


def _answer(turn: Turn) -> str:
    """So that it is seen who answers alike."""
    return next(
        (f"{key} {turn.answer[key]:.4f}" for key in ("logit", "probability") if key in turn.answer),
        "",
    )


def parts(found: Results) -> None:
    """CPU milliseconds a request by kind of process, idle cost and all."""
    for name, turns in found.turns.items():
        kinds = {kind for turn in turns for kind in turn.parts_s}
        spent = {
            kind: statistics.median(
                1e3 * turn.parts_s.get(kind, 0) / turn.requests for turn in turns
            )
            for kind in kinds
        }
        told = [f"{kind} {ms:.2f}" for kind, ms in sorted(spent.items(), key=lambda each: -each[1])]
        if len(told) > 1:
            print(f"  {name}: " + ", ".join(one for one in told if not one.endswith(" 0.00")))


def judged(found: Results, bars: Sequence[Bar]) -> list[dict[str, Any]]:
    """Print each bar as reached or missed."""
    told = []
    for bar in bars:
        if bar.name not in found.turns or bar.to not in found.turns:
            continue
        ratio = found.ratio(bar.name, bar.to)
        reached = bar.least <= ratio <= bar.most and not found.errors(bar.name)
        limit = f"at most {bar.most}" if bar.most < math.inf else f"at least {bar.least}"
        print(f"{'reached' if reached else 'MISSED '} {bar.name} / {bar.to}: {ratio:.3f}, {limit}")
        told.append({"bar": f"{bar.name} / {bar.to}", "ratio": round(ratio, 3), "reached": reached})
    return told
