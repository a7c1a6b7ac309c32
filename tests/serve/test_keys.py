"""The command that makes, lists and revokes keys."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lucency.errors import ConfigError
from serve import keys
from serve.keyring import Keyring


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where keys are to be kept."""
    return tmp_path / "keys.jsonl"


def test_new_key_is_printed_and_never_stored(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """stdout is the key alone; the file, for its owner's eyes, holds a hash that knows it."""
    status = keys.main(["new", "--role", "predict", "--role", "label", "--id", "a", str(file)])

    secret = capsys.readouterr().out.strip()
    owner = Keyring(file).owner(secret.encode())
    assert status == 0
    assert secret not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert owner is not None
    assert owner.roles == ("predict", "label")
    assert owner.expires is None


def test_options_are_the_keys(file: Path) -> None:
    """Rate and end stand in the file as they were asked for."""
    keys.new(file, "a", ["operate"], rate="5/second", days=90)

    line = json.loads(file.read_text())

    assert line["rate"] == "5/second"
    assert line["created"] < line["expires"]


def test_list_shows_all_but_hashes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who may do what, until when; nothing from which a key could be guessed at."""
    keys.new(file, "ward-3", ["predict"])
    keys.new(file, "old", ["label", "operate"], rate="9/hour", days=0)

    assert keys.main(["list", str(file)]) == 0

    shown = capsys.readouterr().out
    first, second = shown.splitlines()
    assert first.split("\t") == ["ward-3", "predict", "default rate", "no end"]
    assert second.split("\t")[:3] == ["old", "label,operate", "9/hour"]
    assert second.split("\t")[3].startswith("expired ")
    assert all(json.loads(line)["sha256"] not in shown for line in file.read_text().splitlines())


def test_revoked_key_has_no_owner(file: Path) -> None:
    """Of two keys the one that is named goes, also when it is the last."""
    first, second = (keys.new(file, name, ["predict"]) for name in ("a", "b"))

    keys.revoke(file, "a")
    ring = Keyring(file)
    assert ring.owner(first.encode()) is None
    assert ring.owner(second.encode()) is not None

    keys.revoke(file, "b")
    assert Keyring(file).owner(second.encode()) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new", "--role", "predict", "--id", "a"], "has a key 'a' already"),
        (["new", "--role", "predict", "--id", "a b"], "id: found 'a b'"),
        (["new", "--role", "predict", "--id", "b", "--rate", "x"], "rate: found 'x'"),
        (["revoke", "--id", "b"], r"has no key 'b', expected one of ['a']"),
    ],
)
def test_mistake_changes_nothing(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """What can't be done is said on stderr with exit status 2, and the file stays as it was."""
    keys.new(file, "a", ["predict"])
    before = file.read_bytes()

    status = keys.main([*arguments, str(file)])

    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert said in err
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_missing_file_and_folder_are_said(tmp_path: Path) -> None:
    """Nothing to list or revoke in, and no folder to write to: both are told by name."""
    with pytest.raises(ConfigError, match=r"keys\.jsonl can't be read: No such file"):
        keys.revoke(tmp_path / "keys.jsonl", "a")
    with pytest.raises(ConfigError, match="nowhere can't be opened: No such file"):
        keys.new(tmp_path / "nowhere" / "keys.jsonl", "a", ["predict"])


def test_broken_file_is_not_written_over(file: Path) -> None:
    """A file that can't be read is left for a person to mend."""
    file.write_text("no key\n")

    with pytest.raises(ConfigError, match=r"keys\.jsonl: line 1"):
        keys.new(file, "a", ["predict"])

    assert file.read_text() == "no key\n"


def test_two_writers_lose_nothing(file: Path) -> None:
    """Keys made at the same time are all in the file."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: keys.new(file, f"k{number}", ["predict"]), range(24)))

    assert len(file.read_text().splitlines()) == 24
