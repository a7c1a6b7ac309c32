"""The store: aliases that move as a whole or not at all, and a line for every move."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.errors import ArtifactError, LedgerError, StoreError
from lucency.store.store import State, Store

# Round by round, promotes one of the bundles that are not the champion that it saw.
PROMOTE = """
import sys
from pathlib import Path
from lucency.bundle.artifact import Artifact
from lucency.errors import StoreError
from lucency.store.store import Store

store, place = Store(Path(sys.argv[1])), int(sys.argv[2])
bundles = [Artifact.load(Path(path)) for path in sys.argv[3:]]
while True:
    seen = store.state()
    free = [each for each in bundles if each.version != seen.aliases["champion"]]
    print("ready", flush=True)
    if not sys.stdin.readline():
        break
    try:
        print("won", store.promote(free[place], "mine", expected=seen), flush=True)
    except StoreError as cause:
        print("lost", cause, flush=True)
    sys.stdin.readline()
"""
# Promotes in a child that dies at its n-th change of the disk, for every n that there is.
DIE = """
import os, shutil, signal, sys
from pathlib import Path
from lucency.bundle.artifact import Artifact
from lucency.store.store import Store

stores, candidate = Path(sys.argv[1]), Artifact.load(Path(sys.argv[2]))
left = 0

def die(event, arguments):
    global left
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ("os.rename", "os.mkdir", "os.chmod", "os.truncate", "os.utime"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

for moment in range(1000):
    root = stores / f"{moment:04d}"
    shutil.copytree(stores / "old", root)
    child = os.fork()
    if not child:
        left = moment
        sys.addaudithook(die)
        Store(root).promote(candidate, "dies")
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print("finished at", moment)
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
    second = [store.promote(each, "better") for each in bundles[:2]][1]
    (store.path("previous") / artifact.GRAPH).write_bytes(b"")

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

    assert not Path(store.name).exists()


def test_version_that_is_gone_is_said(store: Store, bundles: list[Artifact]) -> None:
    """An alias that names a removed folder is a store error, not a missing file somewhere."""
    version = store.promote(bundles[0], "first")
    shutil.rmtree(store.path())

    with pytest.raises(StoreError, match=f"{version}' is gone"):
        store.path()


def test_of_two_that_promote_at_once_one_wins(store: Store, bundles: list[Artifact]) -> None:
    """Two processes that saw one state move it once, and the second is told by whom it was."""
    store.promote(bundles[2], "first")
    paths = [each.path for each in bundles]

    with (
        python(PROMOTE, store.name, 0, *paths) as one,
        python(PROMOTE, store.name, 1, *paths) as other,
    ):
        rounds = [play((one, other)) for _ in range(8)]
        one.communicate("")
        other.communicate("")

    for said in rounds:
        assert sorted(line.split()[0] for line in said) == ["lost", "won"]
        (lost,) = (line for line in said if line.startswith("lost"))
        assert "champion went from" in lost
    assert len(store.history()) == 1 + len(rounds)


def play(processes: "tuple[subprocess.Popen[str], ...]") -> list[str]:
    """One round: all have looked, all are let go, all have said what became of it."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        tell(process)
    said = [process.stdout.readline() for process in processes if process.stdout]
    for process in processes:
        tell(process)
    return said


def tell(process: "subprocess.Popen[str]") -> None:
    """Let it go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_crash_leaves_the_state_before_or_after(
    store: Store, bundles: list[Artifact], tmp_path: Path
) -> None:
    """Killed at each of its changes of the disk, a promotion has happened or has not."""
    old = store.promote(bundles[0], "first")
    Path(store.name).rename(tmp_path / "stores_old")
    (tmp_path / "stores").mkdir()
    (tmp_path / "stores_old").rename(tmp_path / "stores" / "old")

    with python(DIE, tmp_path / "stores", bundles[1].path) as other:
        out, _ = other.communicate()

    states = [State({"champion": old}), State({"champion": bundles[1].version, "previous": old})]
    found = [Store(path) for path in sorted((tmp_path / "stores").glob("[0-9]*"))]
    moved = [states.index(each.state()) for each in found]
    assert out == f"finished at {len(found) - 1:d}\n"
    assert len(found) > 20
    assert moved == sorted(moved)
    assert moved[0] == 0
    assert moved[-1] == 1
    for each, happened in zip(found, moved, strict=True):
        assert len(each.history()) == 1 + happened
        assert Artifact.load(each.path()).version == each.aliases()["champion"]
    assert found[0].promote(bundles[1], "once more") == bundles[1].version


@pytest.mark.parametrize(
    "move",
    [
        lambda store, bundle, seen: store.promote(bundle, "best", expected=seen),
        lambda store, _, seen: store.rollback("alarm", expected=seen),
        lambda store, _, seen: store.withdraw("no more", expected=seen),
    ],
    ids=["promote", "rollback", "withdraw"],
)
def test_who_looked_at_another_state_moves_nothing(
    store: Store, bundles: list[Artifact], move: Callable[[Store, Artifact, State], str]
) -> None:
    """A move that expects what is over is refused, whichever it is."""
    for each in bundles[:2]:
        store.promote(each, "better")
    store.promote(bundles[2], "try it", challenger=True)
    seen = store.state()
    store.rollback("alarm")
    before = store.state()

    with pytest.raises(StoreError, match="changed since you looked: champion went from"):
        move(store, bundles[2], seen)

    assert store.state() == before


def test_challenger_stands_beside_the_champion(store: Store, bundles: list[Artifact]) -> None:
    """What answers stays the same; made the champion, the challenger leaves its alias."""
    first = store.promote(bundles[0], "first")
    second = store.promote(bundles[1], "try it", challenger=True)
    beside = store.aliases()

    store.promote(Artifact.load(store.path("challenger")), "it is better")

    assert beside == {"champion": first, "challenger": second}
    assert store.aliases() == {"champion": second, "previous": first}


def test_challenger_is_withdrawn_and_the_line_says_why(
    store: Store, bundles: list[Artifact]
) -> None:
    """The champion stays, and the figures that decided are kept."""
    first = store.promote(bundles[0], "first")
    second = store.promote(bundles[1], "try it", challenger=True)

    gone = store.withdraw("it errs", errors=7)

    assert gone == second
    assert store.aliases() == {"champion": first}
    assert store.history()[-1]["figures"] == {"errors": 7}


def test_challenger_needs_another_champion(store: Store, bundles: list[Artifact]) -> None:
    """Against no model, and against itself, a model can't be tried."""
    with pytest.raises(StoreError, match="no champion"):
        store.promote(bundles[0], "try it", challenger=True)
    store.promote(bundles[0], "first")

    with pytest.raises(StoreError, match=r"champion of store .* already"):
        store.promote(bundles[0], "try it", challenger=True)
    with pytest.raises(StoreError, match="no challenger"):
        store.withdraw("nothing there")


def test_step_of_a_rollout_is_taken_once(store: Store, bundles: list[Artifact]) -> None:
    """Of two replicas that take one step the second is refused; a move of an alias ends it."""
    store.promote(bundles[0], "first")
    store.promote(bundles[1], "try it", challenger=True)
    seen = store.state()
    store.roll_out({"stage": 1}, "begins", expected=seen)

    with pytest.raises(StoreError, match="the rollout from None to"):
        store.roll_out({"stage": 1}, "begins", expected=seen)
    assert store.state().rollout == {"stage": 1}
    store.withdraw("enough")

    assert store.state().rollout is None


def test_edited_history_is_not_followed(store: Store, bundles: list[Artifact]) -> None:
    """Aliases that were changed by hand are in force for nobody."""
    second = [store.promote(each, "better") for each in bundles[:2]][1]
    history = Path(store.name) / "history.jsonl"
    history.write_text(history.read_text().replace(f'"champion":"{second}"', '"champion":"evil"'))

    with pytest.raises(LedgerError, match="line 2"):
        store.aliases()


def test_aliases_of_an_earlier_layout_do_not_linger(store: Store, bundles: list[Artifact]) -> None:
    """A file that would go on telling of the old champion leaves with the first move."""
    store.promote(bundles[0], "first")
    (Path(store.name) / "aliases.json").write_text("{}")

    store.promote(bundles[1], "better")

    assert not (Path(store.name) / "aliases.json").exists()


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
