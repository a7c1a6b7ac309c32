"""How often a caller may come: a moving window for each, counted here or in one shared place."""

import functools
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import limits
from limits.aio.strategies import MovingWindowRateLimiter as SharedWindow
from limits.errors import ConfigurationError
from limits.storage import storage_from_string

from lucency.errors import ConfigError

_log = logging.getLogger(__name__)
# Between two looks for callers that have gone.
_TIDY_S = 60.0


@dataclass(frozen=True)
class Exceeded:
    """A limit that is reached: so many calls in a window of so long, room again in a while."""

    calls: int
    window_s: int
    retry_after_s: int

    def headers(self) -> dict[str, str]:
        """Retry-After, and the IETF draft's RateLimit fields (httpapi-ratelimit-headers-10)."""
        return {
            "Retry-After": str(self.retry_after_s),
            "RateLimit-Policy": f'"caller";q={self.calls};w={self.window_s}',
            "RateLimit": f'"caller";r=0;t={self.retry_after_s}',
        }


class Rates:
    """
    Counts calls.

    Args:
        storage: Null counts in this replica alone, so that n replicas let through up to n times
            the rate; a URI of the library ``limits`` (``redis://...``) counts for all of them.

    Raises:
        ConfigError: no such storage, or its package is not installed.
    """

    def __init__(self, storage: str | None) -> None:
        self._own = _OwnWindow() if storage is None else None
        self._shared = None if storage is None else SharedWindow(_remote(storage))

    async def exceeded(self, caller: str, rate: str) -> Exceeded | None:
        """Count one call; what is said to a caller who comes too often."""
        limit = _parsed(rate)
        if self._own is not None:
            wait_s = self._own.wait_s(caller, limit.amount, limit.get_expiry())
            if wait_s == 0:
                return None
        else:
            assert self._shared is not None
            try:
                if await self._shared.hit(limit, caller):
                    return None
                stats = await self._shared.get_window_stats(limit, caller)
            except Exception as error:  # each storage has its own kinds
                # Films are worth more than counts: callers are known by now, so let them in.
                _log.error("calls are not counted: %s", type(error).__name__)
                return None
            wait_s = stats.reset_time - time.time()
        return Exceeded(limit.amount, limit.get_expiry(), max(1, math.ceil(wait_s)))


class _OwnWindow:
    """
    Times of the last calls in this process; for the event loop's thread alone.

    Not the library's storage in memory: it starts a thread every few calls, which costs as much
    as the rest of a request's way through HTTP.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._calls: dict[tuple[str, int], deque[float]] = {}
        self._next_tidy = clock() + _TIDY_S

    def wait_s(self, caller: str, most: int, window_s: int) -> float:
        """Count a call: 0; or leave it out, and say in how many seconds there is room again."""
        now = self._clock()
        if now >= self._next_tidy:
            self._tidy(now)
        calls = self._calls.setdefault((caller, window_s), deque())
        while calls and calls[0] <= now - window_s:
            calls.popleft()
        if len(calls) >= most:
            return calls[0] + window_s - now
        calls.append(now)
        return 0.0

    def _tidy(self, now: float) -> None:
        self._next_tidy = now + _TIDY_S
        # Subjects of tokens come and go without end.
        gone = [key for key, calls in self._calls.items() if calls[-1] <= now - key[1]]
        for key in gone:
            del self._calls[key]


@functools.cache
def _parsed(rate: str) -> limits.RateLimitItem:
    return limits.parse(rate)


def _remote(uri: str) -> limits.aio.storage.Storage:
    try:
        storage = storage_from_string(f"async+{uri}")
    except ConfigurationError as cause:
        # Without the address: it may hold a password.
        scheme = uri.partition(":")[0]
        raise ConfigError(
            f"access.rates_storage: {scheme!r} can't be used ({type(cause).__name__}); "
            "redis:// needs the package coredis"
        ) from None
    assert isinstance(storage, limits.aio.storage.Storage)
    return storage
