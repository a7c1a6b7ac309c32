"""Ray for one job: join the cluster that ``RAY_ADDRESS`` names, or start one of our own."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray

from lucency.errors import ClusterError

_OBJECT_STORE_BYTES = 256 * 2**20
_TICK_S = 0.25


@contextmanager
def connected() -> Iterator[None]:
    """
    Ray is there inside the block; a cluster that the block started ends with it.

    Raises:
        ClusterError: the cluster of ``RAY_ADDRESS`` does not answer.
    """
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if address:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        else:
            _start()
    except ConnectionError as cause:
        raise ClusterError(
            f"no Ray cluster answers at RAY_ADDRESS={address!r} ({cause}): start it, or unset "
            "RAY_ADDRESS to run on this machine alone"
        ) from cause
    if threading.current_thread() is threading.main_thread():
        # Ray's core answers SIGTERM by aborting the process with a stack of addresses.
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _start() -> None:
    try:
        ray.init(
            address="local",
            # Logical: two, also on one core, so that two workers can be tried anywhere.
            num_cpus=max(2, os.cpu_count() or 2),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as cause:
        # What Ray raises when its processes miss its own limit of 30 s has no class of its own.
        if "timed out during startup" not in str(cause):
            raise
        raise ClusterError(
            "Ray did not start on this machine within its 30 s: the machine is busy; run the same "
            "command again, or set RAY_ADDRESS to a cluster that runs"
        ) from cause


def attended(work: Callable[[], object], tick: Callable[[], None] | None = None) -> None:
    """
    Run in a thread while this one waits for an interrupt.

    In the main thread Ray Train and Tune take over SIGINT and leave the process with status 1 and
    no word; here Ctrl-C arrives as KeyboardInterrupt and the cluster is shut down in order.

    Args:
        tick: Called a few times a second while the work goes on.
    """
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    worker = threading.Thread(target=guarded, daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(_TICK_S)
        if tick is not None:
            tick()
    if failures:
        raise failures[0]


def shared() -> bool:
    """Whether others may use this cluster too, because RAY_ADDRESS names it."""
    return bool(os.environ.get("RAY_ADDRESS"))


def require(cpus: float, gpus: float) -> None:
    """
    Refuse what this cluster can't hold, instead of waiting for it without end.

    A cluster that RAY_ADDRESS names may grow by itself, so only a local one is judged.

    Raises:
        ClusterError: names what is there and what was asked for.
    """
    if shared():
        return
    there = ray.cluster_resources()
    for name, wanted in (("CPU", cpus), ("GPU", gpus)):
        if wanted > there.get(name, 0):
            raise ClusterError(
                f"scaling asks for {wanted:g} {name} in all, this machine has "
                f"{there.get(name, 0):g}: lower scaling.workers or what each of them takes, or set "
                "RAY_ADDRESS to a larger cluster"
            )
