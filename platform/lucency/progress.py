"""What people see during long work: how far, how fast, how long still. All of it on stderr."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def say(text: str) -> None:
    """One line for people."""
    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Announce a stage, and say how long it took."""
    say(f"==> {name}")
    started = time.monotonic()
    yield
    say(f"    {name}: {time.monotonic() - started:.1f} s")


def meter(label: str, total: int, unit: str) -> "tqdm[None]":
    """
    A bar with rate and time left; call ``update(n)``, use it as a context.

    A log that is no terminal gets a state every ten seconds instead of five a second.
    """
    moving = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=f"    {label}",
        unit=f" {unit}",
        file=sys.stderr,
        mininterval=0.2 if moving else 10.0,
        dynamic_ncols=moving,
        leave=True,
    )


def track(items: Iterable[T], label: str, total: int, unit: str) -> Iterator[T]:
    """Pass items through and show how far they are."""
    with meter(label, total, unit) as bar:
        for item in items:
            yield item
            bar.update()
