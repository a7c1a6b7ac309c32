"""A store in a bucket of a real S3 server: two processes, listings that are kept, one winner."""

import contextlib
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.errors import StoreError
from lucency.store.remote import Remote
from lucency.store.store import Store

pytest.importorskip("s3fs", reason="s3fs is not installed: nothing speaks s3:// here")
server = pytest.importorskip("moto.server", reason="moto is not installed: there is no S3 server")

_ROUNDS = 4


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URI of an empty bucket on a server of this machine."""
    found = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    found.start()
    host, port = found.get_host_and_port()
    access = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in access.items():
            patch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem().mkdir("models")
        yield "s3://models"
    found.stop()


def store(uri: str, cache: Path) -> Store:
    """The store at a URI, its copies of bundles where they are told to be."""
    found = Store(uri)
    found.place = Remote(uri, cache=cache)
    return found


def contend(uri: str, folder: Path, name: str, together: Any, won: Any) -> None:
    """One of two processes that promote in turns what is not champion, having seen the same."""
    mine = store(uri, folder / f"cache-{name}")
    bundles = [Artifact.load(folder / each) for each in ("first", "second")]
    for number in range(_ROUNDS):
        together.wait()
        seen = mine.state()
        together.wait()
        other = next(each for each in bundles if each.version != seen.aliases.get("champion"))
        with contextlib.suppress(StoreError):
            mine.promote(other, f"{name} {number}", expected=seen)
            won.put((number, name))


def test_of_two_processes_exactly_one_wins(bucket: str, bundle: Artifact, tmp_path: Path) -> None:
    """Each round has one winner, who stands in the history; the other is told, and goes on."""
    for name in ("first", "second"):
        shutil.copytree(bundle.path, tmp_path / name)
    artifact.with_files(Artifact.load(tmp_path / "second"), {"note.txt": b"other"})
    uri, context = f"{bucket}/race", multiprocessing.get_context("spawn")
    together, won = context.Barrier(2, timeout=60), context.Queue()
    processes = [
        context.Process(target=contend, args=(uri, tmp_path, name, together, won)) for name in "pq"
    ]
    for process in processes:
        process.start()
    winners = dict(won.get(timeout=120) for _ in range(_ROUNDS))
    for process in processes:
        process.join(timeout=60)

    assert [process.exitcode for process in processes] == [0, 0]
    assert won.empty()
    told = [line["reason"] for line in store(uri, tmp_path / "cache").history()]
    assert told == [f"{winners[number]} {number}" for number in range(_ROUNDS)]


def test_way_back_and_notes(bucket: str, bundle: Artifact, tmp_path: Path) -> None:
    """Promotion, rollback and notes work as in a folder; the champion arrives whole."""
    shutil.copytree(bundle.path, tmp_path / "other")
    other = artifact.with_files(Artifact.load(tmp_path / "other"), {"note.txt": b"other"})
    own = store(f"{bucket}/{os.getpid()}", tmp_path / "cache")
    first = own.promote(bundle, "first")
    own.promote(other, "better")

    assert own.rollback("alarm") == first
    assert Artifact.load(own.path()).digest == bundle.digest
    own.place.write("rollout", "a", b"1")
    assert own.place.read("rollout") == {"a": b"1"}
    own.place.clear("rollout")
    assert own.place.read("rollout") == {}


def test_bucket_that_is_not_there_is_not_made(
    bucket: str, bundle: Artifact, tmp_path: Path
) -> None:
    """A bucket that somebody misspelt is an error that says so, not a new store."""
    nowhere = store("s3://modles/store", tmp_path / "cache")

    with pytest.raises(StoreError, match="could not be written to: The specified bucket does not"):
        nowhere.promote(bundle, "first")
    with pytest.raises(StoreError, match="could not be written to: The specified bucket does not"):
        nowhere.place.append({"id": "mine", "aliases": {}}, after=0)
