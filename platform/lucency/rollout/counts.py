"""What is counted of a trial, so that the counts of all replicas can be added up."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

# Upper bounds in seconds, each a quarter over the one before: a percentile is read to that.
BOUNDS_S = tuple(0.001 * 1.25**step for step in range(56))


@dataclass
class Arm:
    """
    One model's films in one step.

    Attributes:
        films: Asked of it, with those that failed.
        errors: That failed by the model's fault, not the film's.
        abstains: Left to a reader.
        latency: Films by time, one count a bound and one for what is over the last.
        drift: 1 if a drift test of any replica is in alarm.
        positives: Films with disease by a late label, and ``found`` those of them called so.
    """

    films: int = 0
    errors: int = 0
    abstains: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    drift: int = 0
    positives: int = 0
    found: int = 0

    def answered(self, seconds: float, *, abstained: bool) -> None:
        """One film."""
        self.films += 1
        self.abstains += abstained
        over = (n for n, bound in enumerate(BOUNDS_S) if seconds <= bound)
        self.latency[next(over, len(BOUNDS_S))] += 1

    def failed(self) -> None:
        """One film without an answer."""
        self.films += 1
        self.errors += 1

    def percentile_s(self, share: float) -> float:
        """The bound that this share of answers keeps; NaN without any."""
        total, below = sum(self.latency), 0
        for count, bound in zip(self.latency, (*BOUNDS_S, math.inf), strict=True):
            below += count
            if total and below >= share * total:
                return bound
        return math.nan


@dataclass
class Counts:
    """
    Both models' films in one step, and those that both have seen.

    Attributes:
        mirrored: The champion's films that the challenger has decided too.
        disagreed: Of them decided otherwise.
        dropped: Not mirrored, since the replica was busy.
        failed: Mirrored films that the challenger failed on.
    """

    champion: Arm = field(default_factory=Arm)
    challenger: Arm = field(default_factory=Arm)
    mirrored: int = 0
    disagreed: int = 0
    dropped: int = 0
    failed: int = 0

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Counts":
        """What ``plain`` gave."""
        arms = {name: Arm(**plain[name]) for name in ("champion", "challenger")}
        return cls(**{**plain, **arms})


def total(several: Iterable[Counts]) -> Counts:
    """The counts of several replicas as one."""
    found = Counts()
    for each in several:
        for arm in ("champion", "challenger"):
            _add(getattr(found, arm), getattr(each, arm))
        for name in ("mirrored", "disagreed", "dropped", "failed"):
            setattr(found, name, getattr(found, name) + getattr(each, name))
    found.champion.drift = min(1, found.champion.drift)
    found.challenger.drift = min(1, found.challenger.drift)
    return found


def _add(to: Arm, more: Arm) -> None:
    for each in fields(Arm):
        mine: int | Sequence[int] = getattr(to, each.name)
        other = getattr(more, each.name)
        added = (
            mine + other
            if isinstance(mine, int)
            else [one + two for one, two in zip(mine, other, strict=True)]
        )
        setattr(to, each.name, added)
