"""Names that say nothing, and the key that makes them."""

import re
import stat
from pathlib import Path

import pytest

from lucency.dicom import salt
from lucency.dicom.salt import VARIABLE, Salt
from lucency.errors import DataError

KEY = b"k" * 32


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_same_key_same_name() -> None:
    """In every run, and whatever spaces or letter case an archive adds."""
    assert Salt(KEY).name("patient", "Ab1") == Salt(KEY).name("patient", " aB1\0 ")


def test_another_key_another_name() -> None:
    """Without the key nobody can tell that two names are one patient's."""
    assert Salt(KEY).name("patient", "1") != Salt(b"j" * 32).name("patient", "1")


def test_kinds_do_not_mix() -> None:
    """A patient and a film of the same number have nothing in common."""
    (patient, film) = (Salt(KEY).name(kind, "1").split("-")[1] for kind in ("patient", "film"))

    assert patient != film


def test_uid_is_lawful_and_consistent() -> None:
    """64 characters at most, digits and dots, no leading zero (PS3.5 section 9)."""
    uids = {Salt(KEY).uid(f"1.2.{n}") for n in range(200)}

    assert len(uids) == 200
    assert all(re.fullmatch(r"2\.25\.(0|[1-9]\d*)", uid) and len(uid) <= 64 for uid in uids)
    assert Salt(KEY).uid("1.2.3") == Salt(KEY).uid("1.2.3\0")


def test_key_file_is_made_for_its_owner_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first use makes it, says so and does not show it; the second reads it."""
    path = tmp_path / "secrets" / "key"

    first = salt.load(path).name("patient", "1")
    said = capsys.readouterr().err

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "keep it secret" in said
    assert path.read_text().strip() not in said
    assert salt.load(path).name("patient", "1") == first
    assert capsys.readouterr().err == ""


def test_variable_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster gives its secrets by the environment; no file is made then."""
    monkeypatch.setenv(VARIABLE, KEY.decode())

    assert salt.load(tmp_path / "key").name("patient", "1") == Salt(KEY).name("patient", "1")
    assert not (tmp_path / "key").exists()


def test_no_key_is_an_error() -> None:
    """There is no key by default: a known one would be none."""
    with pytest.raises(DataError, match=VARIABLE):
        salt.load(None)


def test_short_key_is_an_error() -> None:
    """All short keys can be tried."""
    with pytest.raises(DataError, match="expected 16"):
        Salt(b"secret")


def test_key_is_not_shown() -> None:
    """Whatever prints the object prints no key."""
    assert KEY.decode() not in repr(Salt(KEY))
