"""A cache holds what decoding gives, is built once, and never half."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucency.augment import Augmentation
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.images import Color
from lucency.preprocess import Preprocess
from lucency.training import cache
from lucency.training.cache import Cached, Decoded
from lucency.training.feed import Renderer

ROOT = Path(__file__).parents[3]
PREPROCESS = Preprocess(size=32)
Usage = namedtuple("Usage", "total used free")

BUILD = """
import sys, time
from pathlib import Path
from lucency.datasets.table import Table
from lucency.preprocess import Preprocess
from lucency.training import cache

class Slow(Preprocess):
    def working(self, *args, **kwargs):
        time.sleep(float(sys.argv[3]))
        print("film", flush=True)
        return super().working(*args, **kwargs)

table = Table.open(sys.argv[1])
cache.Decoded.of(table, "train", table.rows("train"), Slow(size=32), Path(sys.argv[2]), 1)
"""


def decoded(table: Table, folder: Path, preprocess: Preprocess = PREPROCESS) -> Decoded:
    """The cache of the train split."""
    return Decoded.of(table, "train", table.rows("train"), preprocess, folder, 2)


def builder(table: Table, folder: Path, film_s: float) -> "subprocess.Popen[str]":
    """Another process that builds the same cache, slowly."""
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(table.path), str(folder), str(film_s)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/platform"},
        stdout=subprocess.PIPE,
        text=True,
    )


def whole(folder: Path) -> list[str]:
    """Names of the caches that may be read."""
    return sorted(path.stem for path in folder.glob("*.index"))


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """A disk with little space."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))


def test_cache_holds_the_working_films(table: Table, tmp_path: Path) -> None:
    """Every film comes back bit for bit, with its own shape, also when opened again."""
    built, opened = decoded(table, tmp_path), decoded(table, tmp_path)

    encoded = table.images(table.rows("train"))
    assert len(built) == len(encoded)
    for place, data in enumerate(encoded):
        expected = PREPROCESS.working(data, checked=True)
        np.testing.assert_array_equal(built[place], expected)
        np.testing.assert_array_equal(opened[place], expected)


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("color", ["L", "RGB"])
def test_batches_are_those_of_the_predictor(
    table: Table, tmp_path: Path, size: int, color: Color
) -> None:
    """
    Inputs, labels and places belong together and are what serving would feed.

    At 32 px the cache holds inputs whole; at 48 px it holds larger films.
    """
    numbers = {"L": (0.5,), "RGB": (0.4, 0.5, 0.6)}[color]
    preprocess = Preprocess(size=size, color=color, mean=numbers, std=numbers)
    renderer = Renderer(preprocess, None, 0)
    films = Cached(table, "validation", renderer, folder=tmp_path, threads=1)
    planned = [np.array([3, 0]), np.array([2])]
    rows = table.rows("validation")

    found = list(films.batches(planned))

    assert [batch.places.tolist() for batch in found] == [[3, 0], [2]]
    for inputs, labels, places in found:
        expected = [preprocess(data) for data in table.images(rows[places])]
        np.testing.assert_array_equal(inputs, expected)
        assert inputs.dtype == np.float32
        assert labels.tolist() == table.columns["label"][rows[places]].tolist()


def test_films_of_one_shape_are_one_array(table: Table, tmp_path: Path) -> None:
    """They can be taken by the batch; the array is the file itself."""
    films = decoded(table, tmp_path)

    assert films.stacked is not None
    np.testing.assert_array_equal(films.stacked, np.stack(list(films)))
    assert not films.stacked.flags.writeable


def test_number_of_threads_changes_nothing(table: Table, tmp_path: Path) -> None:
    """Varied films are the same from one thread and from four."""
    feeds = [
        Cached(table, "train", Renderer(PREPROCESS, Augmentation(), 5), folder=tmp_path, threads=n)
        for n in (0, 4)
    ]
    planned = [np.arange(start, start + 8) for start in range(0, 40, 8)]

    one, four = (list(each.batches(planned, 2)) for each in feeds)

    for left, right in zip(one, four, strict=True):
        np.testing.assert_array_equal(left.inputs, right.inputs)


def test_cache_is_built_once(table: Table, tmp_path: Path) -> None:
    """Who comes second reads what the first one built."""
    decoded(table, tmp_path)
    (pixels,) = tmp_path.glob("*.pixels")
    built = pixels.stat().st_ino

    decoded(table, tmp_path)

    assert pixels.stat().st_ino == built


@pytest.mark.parametrize(
    ("changes", "same"),
    [({"std": (0.5,)}, True), ({"mean": (0.1,)}, True), ({"size": 48}, False)],
)
def test_key_follows_what_decoding_depends_on(
    table: Table, changes: dict[str, Any], same: bool
) -> None:
    """Normalisation is done after the cache, so it shares one; another size does not."""
    other = PREPROCESS.model_copy(update=changes)

    found = cache.key(table, "train", other) == cache.key(table, "train", PREPROCESS)

    assert found is same
    assert cache.key(table, "train", PREPROCESS) != cache.key(table, "validation", PREPROCESS)


def test_second_process_waits_for_the_first(table: Table, tmp_path: Path) -> None:
    """While another process builds, this one waits, and then decodes nothing itself."""
    other = builder(table, tmp_path, 0.02)
    assert other.stdout is not None
    other.stdout.readline()
    assert not whole(tmp_path)

    found = decoded(table, tmp_path)

    assert other.wait(timeout=20) == 0
    assert len(found) == len(table.rows("train"))
    assert len(list(tmp_path.glob("*.pixels"))) == 1
    assert other.stdout.read().count("film") == len(found) - 1


def test_killed_builder_leaves_neither_lock_nor_half_a_cache(table: Table, tmp_path: Path) -> None:
    """After SIGKILL in the middle the next process builds at once, and clears what was left."""
    other = builder(table, tmp_path, 0.05)
    assert other.stdout is not None
    for _ in range(3):
        other.stdout.readline()
    other.send_signal(signal.SIGKILL)
    other.wait(timeout=20)
    assert list(tmp_path.glob(".*.pixels.*"))
    assert not whole(tmp_path)
    began = time.monotonic()

    decoded(table, tmp_path)

    assert time.monotonic() - began < 20
    assert len(whole(tmp_path)) == 1
    assert not list(tmp_path.glob(".*.pixels.*"))


def test_pixels_without_an_index_are_no_cache(table: Table, tmp_path: Path) -> None:
    """The index is written last: without it everything is decoded anew."""
    decoded(table, tmp_path)
    (pixels,) = tmp_path.glob("*.pixels")
    pixels.with_suffix(".index").unlink()
    pixels.write_bytes(b"torn")

    again = decoded(table, tmp_path)

    (first,) = table.images(table.rows("train")[:1])
    np.testing.assert_array_equal(again[0], PREPROCESS.working(first, checked=True))


def test_failed_build_leaves_nothing(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the middle leaves no cache, no temporary file and no lock."""
    with monkeypatch.context() as broken:
        broken.setattr(Table, "images", lambda *_: [b"no film"])
        with pytest.raises(Exception, match="neither JPEG nor PNG"):
            decoded(table, tmp_path)

    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert len(decoded(table, tmp_path)) == len(table.rows("train"))


def test_full_disk_is_said_before_any_work(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that has no room is refused with its size and the way out."""
    disk(monkeypatch, 1000)

    with pytest.raises(DataError, match=r"scaling\.cache, or set scaling\.feeding=stream"):
        decoded(table, tmp_path)

    assert not list(tmp_path.glob("*.pixels"))


def test_oldest_cache_makes_room(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where three don't fit, the one not used for longest goes; a mapped one stays readable."""
    sizes = [PREPROCESS.model_copy(update={"size": size}) for size in (32, 40, 48)]
    first = decoded(table, tmp_path, sizes[0])
    before = first[0].copy()
    decoded(table, tmp_path, sizes[1])
    keys = [cache.key(table, "train", preprocess) for preprocess in sizes]
    for age, key in zip((200, 100), keys, strict=False):
        os.utime(tmp_path / f"{key}.index", (time.time() - age, time.time() - age))
    used = sum(path.stat().st_size for path in tmp_path.glob("*.pixels"))
    wanted = cache.most_bytes(table, table.rows("train"), sizes[2])
    # Half of free and used together holds the newest and the next one, not all three.
    disk(monkeypatch, 2 * (used + wanted - 1) - used)

    decoded(table, tmp_path, sizes[2])

    assert whole(tmp_path) == sorted(keys[1:])
    np.testing.assert_array_equal(first[0], before)


def test_opened_cache_counts_as_used(table: Table, tmp_path: Path) -> None:
    """Whoever opens a cache renews it, so one that every run takes is not the oldest."""
    decoded(table, tmp_path)
    (index,) = tmp_path.glob("*.index")
    os.utime(index, (0, 0))

    decoded(table, tmp_path)

    assert index.stat().st_mtime > time.time() - 60


def test_purge_cut_short_leaves_no_half_a_cache(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index goes before its pixels: alone it would be taken for a cache."""
    decoded(table, tmp_path)
    disk(monkeypatch, 0)
    unlink = Path.unlink
    removed: list[str] = []

    def killed_after_one(path: Path, **options: Any) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(path.suffix)
        unlink(path, **options)

    with monkeypatch.context() as cut_short:
        cut_short.setattr(Path, "unlink", killed_after_one)
        with pytest.raises(KeyboardInterrupt):
            cache.make_room(tmp_path, 1)

    assert removed == [".index"]
    assert not whole(tmp_path)


def test_bound_is_over_what_is_written(table: Table, tmp_path: Path) -> None:
    """The space that is asked for before decoding is enough, and not absurdly more."""
    decoded(table, tmp_path)
    (pixels,) = tmp_path.glob("*.pixels")

    bound = cache.most_bytes(table, table.rows("train"), PREPROCESS)

    assert pixels.stat().st_size <= bound <= 8 * pixels.stat().st_size


def test_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME is honoured; without it the cache is below the home folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch")
    assert cache.default_folder() == Path("/scratch/lucency")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.default_folder() == Path.home() / ".cache" / "lucency"
