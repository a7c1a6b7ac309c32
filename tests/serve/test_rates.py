"""Calls are counted by caller, in a window that moves."""

import asyncio

import pytest

from lucency.errors import ConfigError
from serve.rates import Exceeded, Rates


async def _calls(rates: Rates, caller: str, rate: str, number: int) -> list[Exceeded | None]:
    return [await rates.exceeded(caller, rate) for _ in range(number)]


@pytest.mark.parametrize("storage", [None, "memory://"])
def test_calls_over_the_rate_are_refused(storage: str | None) -> None:
    """So many calls pass and the next does not, counted here or through a storage's address."""
    found = asyncio.run(_calls(Rates(storage), "a", "3/minute", 5))

    assert found[:3] == [None, None, None]
    for over in found[3:]:
        assert over is not None
        assert (over.calls, over.window_s) == (3, 60)
        assert 55 <= over.retry_after_s <= 61


def test_callers_are_counted_apart() -> None:
    """One caller's calls are none of another's."""
    rates = Rates(None)

    assert asyncio.run(_calls(rates, "a", "1/minute", 2))[1] is not None
    assert asyncio.run(_calls(rates, "b", "1/minute", 1)) == [None]


def test_window_moves() -> None:
    """After the time that was said the same caller may come again."""

    async def again() -> Exceeded | None:
        rates = Rates(None)
        _, over = await _calls(rates, "a", "1/second", 2)
        assert over is not None
        await asyncio.sleep(over.retry_after_s + 0.05)
        return await rates.exceeded("a", "1/second")

    assert asyncio.run(again()) is None


@pytest.mark.parametrize("uri", ["nothing://user:secret@host", "secret"])
def test_unknown_storage_is_refused_without_its_password(uri: str) -> None:
    """A storage that can't be used is named by its kind alone."""
    with pytest.raises(ConfigError, match=r"access\.rates_storage") as caught:
        Rates(uri)

    assert "user:secret" not in str(caught.value)


def test_lost_storage_lets_callers_in(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the shared count breaks, known callers are served, and the log says so."""
    rates = Rates("memory://")
    assert rates._shared is not None
    monkeypatch.setattr(rates._shared.storage, "acquire_entry", None)

    assert asyncio.run(_calls(rates, "a", "1/minute", 3)) == [None, None, None]
    assert "calls are not counted: TypeError" in caplog.text
