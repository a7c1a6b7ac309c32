"""Threads whose work nobody waits for as one waits for a prediction."""

import os

_NICE = 10


def give_way() -> None:
    """Of the calling thread: predictions of the same machine go first. On Linux, per thread."""
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
