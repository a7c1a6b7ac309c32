"""The versions of a film that a model is asked about: as it was, corrupted, and probed."""

from collections.abc import Iterator
from dataclasses import dataclass

from lucency import images
from lucency.images import Color
from lucency.registry import Options
from lucency.robustness.base import corrupt, severities
from lucency.robustness.probes import PROBES


@dataclass(frozen=True)
class Versions:
    """
    Makes all versions of one film; travels to Ray's workers.

    Every version, the clean one too, is decoded at full size and encoded without loss: what
    differs from the clean film's answer then comes from the corruption alone.

    Attributes:
        color: What the model's preprocessing takes.
        probes: Names out of ``PROBES``.
    """

    corruptions: tuple[Options, ...]
    probes: tuple[str, ...]
    color: Color
    seed: int

    @property
    def settings(self) -> tuple[tuple[str, int], ...]:
        """Name and severity of each version, in the order in which they are made."""
        return (
            ("clean", 0),
            *(
                (each.name, severity)
                for each in self.corruptions
                for severity in severities(each.name)
            ),
            *((name, 0) for name in self.probes),
        )

    def __call__(self, data: bytes, digest: str) -> Iterator[bytes]:
        """The versions of an encoded film as PNG, one after the other."""
        film_hwc = images.decode(data, color=self.color)
        yield images.encode_png(film_hwc)
        for each in self.corruptions:
            for severity in severities(each.name):
                made = corrupt(film_hwc, each, severity, digest=digest, seed_number=self.seed)
                yield images.encode_png(made)
        for name in self.probes:
            yield images.encode_png(PROBES[name].leave(film_hwc))
