"""The logs' key: made once, secret, different for each use."""

import threading
from pathlib import Path

import pytest

from lucency.audit import key as keys
from lucency.audit.key import Key
from lucency.errors import ConfigError


def test_film_is_told_only_under_the_key(key: Key) -> None:
    """The same bytes have the same hash, another under another key, never their plain digest."""
    other = Key(b"another sixteen bytes")

    assert key.film(b"film") == key.film(b"film")
    assert key.film(b"film") != other.film(b"film")
    assert len(key.film(b"film")) == 64


def test_name_of_a_reader_is_no_patients(key: Key) -> None:
    """Names are hashed by kind; letter case and spaces around make no difference."""
    assert key.name("reader", " Dr Who ") == key.name("reader", "dr who")
    assert key.name("reader", "x")[7:] != key.name("patient", "x")[8:]


def test_short_secret_is_refused() -> None:
    """A key that can be guessed is none."""
    with pytest.raises(ConfigError, match="has 5 bytes, expected 16"):
        Key(b"short")


def test_replicas_that_start_together_get_one_key(tmp_path: Path) -> None:
    """The file is made once, for its owner alone, and nothing else is left beside it."""
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(keys.load(tmp_path).id)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert (tmp_path / keys.FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [keys.FILE]


def test_variable_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a secret from outside no file is made."""
    monkeypatch.setenv(keys.VARIABLE, "a secret from outside")

    assert keys.load(tmp_path).id == Key(b"a secret from outside").id
    assert not list(tmp_path.iterdir())


def test_reader_makes_no_key(tmp_path: Path) -> None:
    """Who verifies without the key is told so; a new one would find fault with every line."""
    with pytest.raises(ConfigError, match="can't be had"):
        keys.load(tmp_path, make=False)
