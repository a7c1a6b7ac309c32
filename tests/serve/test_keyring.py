"""What a file of API keys may hold, and what is said of a broken one."""

import json
from pathlib import Path
from typing import Any

import pytest

from lucency.errors import ConfigError
from serve import keyring
from serve.keyring import Keyring

SECRET = keyring.generate()
LINE = {"id": "ward-3", "sha256": keyring.digest_of(SECRET.encode()), "roles": ["predict"]}


def written(folder: Path, *lines: dict[str, Any]) -> Path:
    """A file of keys."""
    file = folder / "keys.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_key_is_long_and_its_own() -> None:
    """A key is a prefix and 256 random bits, never the same twice."""
    made = {keyring.generate() for _ in range(100)}

    assert len(made) == 100
    assert all(key.startswith("lk_") and len(key) == 3 + 43 for key in made)


def test_owner_is_found_by_the_whole_key(tmp_path: Path) -> None:
    """The key itself has an owner; a part of it, more than it, or its hash has none."""
    ring = Keyring(written(tmp_path, LINE))

    found = ring.owner(SECRET.encode())

    assert found is not None
    assert (found.id, found.roles) == ("ward-3", ("predict",))
    for other in (SECRET[:-1], SECRET + "A", SECRET.upper(), LINE["sha256"], ""):
        assert ring.owner(str(other).encode()) is None


def test_expired_key_has_no_owner(tmp_path: Path) -> None:
    """A key's last moment ends it; one that ends later counts."""
    expired = Keyring(written(tmp_path, LINE | {"expires": "2024-01-01T00:00:00Z"}))
    assert expired.owner(SECRET.encode()) is None

    valid = Keyring(written(tmp_path, LINE | {"expires": "2999-01-01T00:00:00Z"}))
    assert valid.owner(SECRET.encode()) is not None


def test_comments_and_empty_lines_are_nothing() -> None:
    """A person may write between the lines; no line at all is a file without keys."""
    text = f"# wards\n\n{json.dumps(LINE)}\n  # end\n"

    assert [key.id for key in keyring.parse(text.encode())] == ["ward-3"]
    assert keyring.parse(b"") == ()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([LINE | {"roles": ["admin"]}], "line 1: roles"),
        ([LINE | {"roles": []}], "line 1: roles"),
        ([LINE | {"sha256": SECRET}], "line 1: sha256"),
        ([LINE | {"key": SECRET}], "line 1: key: Extra inputs"),
        ([LINE | {"rate": "many"}], "line 1: rate"),
        ([LINE | {"rate": "0/minute"}], "line 1: rate"),
        ([LINE | {"id": ""}], "line 1: id"),
        ([LINE | {"expires": "2027-01-01T00:00:00"}], "line 1: expires"),
        ([LINE, LINE | {"sha256": "0" * 64}], "the same id"),
        ([LINE, LINE | {"id": "ward-4"}], "the same sha256"),
        ([LINE, [SECRET]], "line 2"),
    ],
)
def test_broken_file_is_told_without_secrets(lines: list[Any], said: str) -> None:
    """The message names line and field, and quotes no value: that could be a key."""
    text = "\n".join(json.dumps(line) for line in lines)

    with pytest.raises(ConfigError, match=said) as caught:
        keyring.parse(text.encode())

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
