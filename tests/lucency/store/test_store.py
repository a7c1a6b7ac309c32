"""The store: aliases that move as a whole or not at all, and a line for every move."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.errors import ArtifactError, StoreError
from lucency.store.store import Store

# Stands still in the middle of a change.
HOLD = """
import sys
from pathlib import Path
from lucency.store.store import Store

with Store(Path(sys.argv[1]))._locked():
    print("held", flush=True)
    sys.stdin.read()
"""
# Dies as by a power cut at the moment in which the store would write its history.
DIE = """
import os, signal, sys
from pathlib import Path
from lucency.bundle.artifact import Artifact
from lucency.store.store import Store

def die(event, arguments):
    if event == "open" and str(arguments[0]).endswith(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

candidate = Artifact.load(Path(sys.argv[2]))
sys.addaudithook(die)
Store(Path(sys.argv[1])).promote(candidate, "dies")
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def bundles(bundle: Artifact, tmp_path: Path) -> list[Artifact]:
    """Three bundles of different digests."""
    found = []
    for number in range(3):
        path = tmp_path / f"candidate_{number}"
        shutil.copytree(bundle.path, path)
        found.append(artifact.with_files(Artifact.load(path), {"note.txt": bytes([number])}))
    return found


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Another process that knows lucency."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_first_promotion_makes_a_champion(store: Store, bundles: list[Artifact]) -> None:
    """A bundle becomes a version named by its digest, whole and loadable."""
    version = store.promote(bundles[0], "first")

    assert store.aliases() == {"champion": version}
    assert version == bundles[0].digest[:12]
    assert Artifact.load(store.path()).digest == bundles[0].digest


def test_promotion_keeps_the_champion_before(store: Store, bundles: list[Artifact]) -> None:
    """The champion before is the previous one, and its files stay."""
    first, second = (store.promote(each, "better") for each in bundles[:2])

    assert store.aliases() == {"champion": second, "previous": first}
    assert Artifact.load(store.path("previous")).version == first


def test_second_promotion_of_the_champion_changes_nothing(
    store: Store, bundles: list[Artifact]
) -> None:
    """A job that is run again moves no alias and writes no line."""
    store.promote(bundles[0], "first")
    store.promote(bundles[1], "better")
    before = (store.aliases(), store.history())

    store.promote(bundles[1], "again")

    assert (store.aliases(), store.history()) == before


def test_rollback_is_its_own_inverse(store: Store, bundles: list[Artifact]) -> None:
    """Champion and previous change places, and a second rollback undoes the first."""
    first, second = (store.promote(each, "better") for each in bundles[:2])

    back = store.rollback("alarm")
    after = store.aliases()
    forth = store.rollback("false alarm")

    assert (back, forth) == (first, second)
    assert after == {"champion": first, "previous": second}
    assert store.aliases() == {"champion": second, "previous": first}


def test_rollback_without_another_version_is_refused(store: Store, bundles: list[Artifact]) -> None:
    """An empty store, and one that has seen a single version, have nothing to go back to."""
    with pytest.raises(StoreError, match="no previous version"):
        store.rollback("alarm")
    store.promote(bundles[0], "first")

    with pytest.raises(StoreError, match="no previous version"):
        store.rollback("alarm")


def test_rollback_to_a_damaged_version_is_refused(store: Store, bundles: list[Artifact]) -> None:
    """A version that can't be loaded does not take the place of one that answers."""
    first, second = (store.promote(each, "better") for each in bundles[:2])
    (store.root / "versions" / first / artifact.GRAPH).write_bytes(b"")

    with pytest.raises(ArtifactError, match=artifact.GRAPH):
        store.rollback("alarm")

    assert store.aliases()["champion"] == second


def test_history_says_who_moved_what_and_why(store: Store, bundles: list[Artifact]) -> None:
    """Every move is one line with a time, a person, the reason and the aliases after it."""
    first, second = (store.promote(each, "better") for each in bundles[:2])
    store.rollback("alarm")

    lines = store.history()

    assert [line["action"] for line in lines] == ["promote", "promote", "rollback"]
    assert [line["reason"] for line in lines] == ["better", "better", "alarm"]
    assert lines[-1]["aliases"] == store.aliases() == {"champion": first, "previous": second}
    assert all(line["who"] and line["at"].endswith("+00:00") for line in lines)


def test_reading_makes_nothing(store: Store) -> None:
    """A store that is only looked at is not created, so a mistyped path leaves no folder."""
    assert (store.aliases(), store.history()) == ({}, [])
    with pytest.raises(StoreError, match=r"has no alias 'champion'.*promote a bundle"):
        store.path()

    assert not store.root.exists()


def test_version_that_is_gone_is_said(store: Store, bundles: list[Artifact]) -> None:
    """An alias that names a removed folder is a store error, not a missing file somewhere."""
    version = store.promote(bundles[0], "first")
    shutil.rmtree(store.root / "versions" / version)

    with pytest.raises(StoreError, match=f"names '{version}'"):
        store.path()


def test_store_locked_by_another_process_is_refused(store: Store, bundles: list[Artifact]) -> None:
    """Two processes never move aliases at once; after the first has ended the second may."""
    with python(HOLD, store.root) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="being changed by another process"):
            store.promote(bundles[0], "first")
        other.communicate("")

    assert store.promote(bundles[0], "first") == bundles[0].version


@pytest.mark.parametrize("moment", ["history.jsonl", "graph.onnx"])
def test_process_that_dies_leaves_the_old_champion(
    store: Store, bundles: list[Artifact], moment: str
) -> None:
    """Killed while copying, or between copy and alias, it changes nothing and blocks nothing."""
    old = store.promote(bundles[0], "first")

    with python(DIE, store.root, bundles[1].path, moment) as other:
        returned = other.wait(60)

    assert returned == -signal.SIGKILL
    assert store.aliases()["champion"] == old
    assert len(store.history()) == 1
    assert store.promote(bundles[1], "once more") == store.path().name


def test_bundle_damaged_since_it_was_judged_is_refused(
    store: Store, bundles: list[Artifact]
) -> None:
    """A damaged copy is thrown away again, so the whole bundle can be promoted later."""
    graph = bundles[0].path / artifact.GRAPH
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-1])

    with pytest.raises(ArtifactError, match=artifact.GRAPH):
        store.promote(bundles[0], "first")
    graph.write_bytes(whole)

    assert store.aliases() == {}
    assert store.promote(bundles[0], "whole again") == bundles[0].version


def test_bundle_sealed_anew_since_it_was_judged_is_refused(
    store: Store, bundles: list[Artifact]
) -> None:
    """What the gate has seen is what is promoted, not what lies in its place by then."""
    artifact.with_files(bundles[0], {"note.txt": b"changed"})

    with pytest.raises(StoreError, match="sealed anew"):
        store.promote(bundles[0], "first")

    assert store.aliases() == {}
