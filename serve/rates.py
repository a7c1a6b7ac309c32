"""How often a caller may come: a moving window for each, counted here or in one shared place."""

import functools
import logging
import math
import time
from dataclasses import dataclass

import limits
from limits.aio.strategies import MovingWindowRateLimiter as SharedWindow
from limits.errors import ConfigurationError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter as OwnWindow

from lucency.errors import ConfigError

_log = logging.getLogger(__name__)


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
        self._own = OwnWindow(MemoryStorage()) if storage is None else None
        self._shared = None if storage is None else SharedWindow(_remote(storage))

    async def exceeded(self, caller: str, rate: str) -> Exceeded | None:
        """Count one call; what is said to a caller who comes too often."""
        limit = _parsed(rate)
        if self._own is not None:
            if self._own.hit(limit, caller):
                return None
            stats = self._own.get_window_stats(limit, caller)
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
        wait_s = max(1, math.ceil(stats.reset_time - time.time()))
        return Exceeded(limit.amount, limit.get_expiry(), wait_s)


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
