"""A store in a bucket, on file systems of fsspec that need no server."""

import shutil
import uuid
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pytest

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.errors import ArtifactError, LedgerError, StoreError
from lucency.store.remote import Remote
from lucency.store.store import State, Store


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store behind a URI; ``file`` goes through fsspec here, as a bucket does."""
    name = uuid.uuid4().hex
    uri = f"memory://{name}" if request.param == "memory" else f"file://{tmp_path}/{name}"
    found = Store(f"memory://{name}")
    found.place = Remote(uri, cache=tmp_path / "cache")
    return found


@pytest.fixture
def other(bundle: Artifact, tmp_path: Path) -> Artifact:
    """Another bundle than the shared one."""
    path = tmp_path / "other"
    shutil.copytree(bundle.path, path)
    return artifact.with_files(Artifact.load(path), {"note.txt": b"other"})


def test_life_of_an_alias(store: Store, bundle: Artifact, other: Artifact) -> None:
    """Promotion, challenger and rollback are the same as in a folder."""
    first = store.promote(bundle, "first")
    second = store.promote(other, "try it", challenger=True)
    store.promote(other, "better")
    store.rollback("alarm")

    assert store.aliases() == {"champion": first, "previous": second}
    assert [line["action"] for line in store.history()] == [
        "promote",
        "challenge",
        "promote",
        "rollback",
    ]
    assert Artifact.load(store.path()).digest == bundle.digest


def test_line_that_exists_is_not_written_again(
    store: Store, bundle: Artifact, other: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one who looked before another's move, and writes after it, loses and is told."""
    store.promote(bundle, "first")
    seen = store.state()
    before = store.place.entries()
    store.place.put(other)
    store.roll_out({"stage": 1}, "someone else's", expected=seen)
    looks = iter([before])
    links = store.place._links  # type: ignore[attr-defined]

    def late() -> Any:
        """The first look is from before the other's move."""
        return links()[: len(before)] if next(looks, None) is not None else links()

    monkeypatch.setattr(store.place, "_links", late)
    assert not store.place.append({"id": "mine", "aliases": {}}, after=len(before))

    assert store.state() == State(seen.aliases, {"stage": 1})


def test_own_line_is_known_again(store: Store, bundle: Artifact) -> None:
    """A client that tries again after a lost answer has won, not lost against itself."""
    value = {"id": "mine", "aliases": {}}
    assert store.place.append(value, after=0)
    links = store.place._links  # type: ignore[attr-defined]
    store.place._links = lambda: links()[:0]  # type: ignore[attr-defined]

    assert store.place.append(value, after=0)


def test_bundle_is_fetched_once(store: Store, bundle: Artifact) -> None:
    """What lies whole on this machine is not fetched again."""
    version = store.promote(bundle, "first")
    kept = store.path()
    marked = kept.stat().st_ino

    assert store.place.get(version).stat().st_ino == marked
    assert kept != bundle.path


def test_damaged_copy_is_fetched_again(store: Store, bundle: Artifact) -> None:
    """A cut-off or altered copy on this machine does not answer."""
    store.promote(bundle, "first")
    (store.path() / artifact.GRAPH).write_bytes(b"")

    assert Artifact.load(store.path()).digest == bundle.digest


def test_damaged_bundle_in_the_bucket_is_refused(
    store: Store, bundle: Artifact, tmp_path: Path
) -> None:
    """Its digest tells, on the machine that fetches it, and no copy stays."""
    version = store.promote(bundle, "first")
    place = store.place
    assert isinstance(place, Remote)
    place._fs.pipe_file(place._path("versions", version, artifact.GRAPH), b"evil")
    shutil.rmtree(tmp_path / "cache")

    with pytest.raises(ArtifactError, match=artifact.GRAPH):
        store.path()
    assert not list((tmp_path / "cache").iterdir())


def test_removed_line_is_found(store: Store, bundle: Artifact, other: Artifact) -> None:
    """A history with a hole does not go on."""
    store.promote(bundle, "first")
    store.promote(other, "better")
    store.rollback("alarm")
    place = store.place
    assert isinstance(place, Remote)
    place._fs.rm_file(place._path("history", "00000002.json"))

    with pytest.raises(LedgerError, match="line 2"):
        store.rollback("again")


def test_notes_are_written_read_and_cleared(store: Store) -> None:
    """Each owner's last note is read."""
    store.place.write("rollout", "a", b"1")
    store.place.write("rollout", "a", b"2")
    store.place.write("rollout", "b", b"3")

    found = store.place.read("rollout")
    store.place.clear("rollout")

    assert found == {"a": b"2", "b": b"3"}
    assert store.place.read("rollout") == {}


def test_unknown_protocol_is_said() -> None:
    """What is not installed, or mistyped, is one line."""
    with pytest.raises(StoreError, match=r"nothing://x.*can't be reached"):
        Store("nothing://x")


def test_fsspec_has_conditional_creation() -> None:
    """What the history rests on: the second creation of one name fails."""
    fs = fsspec.filesystem("memory")
    path = f"/{uuid.uuid4().hex}"
    fs.pipe_file(path, b"1", mode="create")

    with pytest.raises(FileExistsError):
        fs.pipe_file(path, b"2", mode="create")
