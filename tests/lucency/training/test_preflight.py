"""Storage, table, cache and room are tried on every node before workers start."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from lucency import cluster
from lucency.datasets.table import Table
from lucency.errors import TrainingError
from lucency.training import cache, preflight
from lucency.training.preflight import Needs
from tests.processes import ROOT, ending, wait_until

# A mount namespace of its own in which one folder is other storage, as on another machine.
_APART = 'mount --make-rprivate / && mount -t tmpfs none {folder}/other && exec "$@"'


@pytest.fixture
def needs(table: Table, tmp_path: Path) -> Needs:
    """Of a small run whose folder was begun."""
    (tmp_path / "run").mkdir()
    return Needs(
        folder=str(tmp_path / "run"),
        table=table.source,
        checkpoint_bytes=1000,
        kept=4,
        cache=str(tmp_path / "cache"),
        cache_bytes=1000,
    )


def problems(needs: Needs) -> str:
    """What this process finds wrong as a node, after the driver has left its probe."""
    with preflight._probe(Path(needs.folder)) as token:
        return "\n".join(preflight.look(needs, "node", token).problems)


def test_node_that_can_do_everything_has_no_problem(needs: Needs) -> None:
    """It says what it is made of, and its probe is gone afterwards."""
    with preflight._probe(Path(needs.folder)) as token:
        answer = preflight.look(needs, "node", token)
        assert not preflight._unseen(Path(needs.folder), "node", token)

    assert answer.problems == ()
    assert answer.hardware["cores"] >= 1
    assert list(Path(needs.folder).iterdir()) == []


def test_folder_without_the_drivers_file_is_other_storage(
    needs: Needs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of the same name on a node's own disk is told apart by what is in it."""
    monkeypatch.setattr(preflight, "_SEEN_WITHIN_S", 0.0)
    (tmp_path / "own").mkdir()

    answer = preflight.look(replace(needs, folder=str(tmp_path / "own")), "node", "token")

    assert len(answer.problems) == 1
    assert "is not the driver's there" in answer.problems[0]
    assert not list((tmp_path / "own").iterdir())


def test_folder_that_can_not_be_written_is_said(needs: Needs, tmp_path: Path) -> None:
    """The driver says so itself: a path that is a file takes no checkpoint."""
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(TrainingError, match=r"can't write to the run folder .*Not a directory"),
        preflight._probe(tmp_path / "file" / "run"),
    ):
        pass


def test_what_a_killed_driver_left_is_no_answer(needs: Needs) -> None:
    """An old probe is swept away before the next look."""
    old = Path(needs.folder) / "preflight"
    old.mkdir()
    (old / "node").write_text("old")

    with preflight._probe(Path(needs.folder)):
        assert [path.name for path in old.iterdir()] == ["driver"]


def test_too_full_a_disk_is_said_with_both_sizes(needs: Needs) -> None:
    """All checkpoints that lie there at a time count."""
    free = shutil.disk_usage(needs.folder).free

    assert "4 checkpoints of" in problems(replace(needs, checkpoint_bytes=free // 3))
    assert not problems(replace(needs, checkpoint_bytes=free // 5))


def test_table_that_is_not_there_is_said(needs: Needs, tmp_path: Path) -> None:
    """A table on the driver's own disk is not on the node's."""
    said = problems(replace(needs, table=str(tmp_path / "nowhere")))

    assert "the table can't be opened: no table at" in said


def test_table_that_was_cut_off_is_said(needs: Needs, table: Table, tmp_path: Path) -> None:
    """A copy whose films are missing opens, and can't be read."""
    (tmp_path / "table.parquet").write_bytes(Path(table.source).read_bytes()[:-2000])

    assert "table" in problems(replace(needs, table=str(tmp_path / "table.parquet")))


@pytest.mark.parametrize("wrong", ["file", "small"])
def test_cache_that_can_not_hold_the_films_is_said(
    needs: Needs, tmp_path: Path, wrong: str
) -> None:
    """Unwritable or too small: another folder or streaming is advised; streaming asks nothing."""
    (tmp_path / "file").write_text("")
    asked = {
        "file": replace(needs, cache=str(tmp_path / "file" / "cache")),
        "small": replace(needs, cache_bytes=cache.room(tmp_path) * 2),
    }[wrong]

    said = problems(asked)

    assert "scaling.feeding=stream" in said
    assert not problems(replace(asked, cache_bytes=0))


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Path]:
    """
    A head and a second node, in a mount namespace where one folder is other storage; the folder
    that both of them see.
    """
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("this user may not make a mount namespace: a second machine can't be stood in")
    if shared := ray.is_initialized():
        ray.shutdown()
    # Unix sockets take 107 bytes, so the folder's name must be short.
    folder = Path(tempfile.mkdtemp(prefix="lu"))
    for name in ("shared", "other"):
        (folder / name).mkdir()
    head = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    line = ["start", "--address", head.address, "--num-cpus", "1", "--block"]
    process = subprocess.Popen(
        [
            *("unshare", "-m", "sh", "-c", _APART.format(folder=folder), "sh"),
            *(sys.executable, "-m", "ray.scripts.scripts", *line),
        ],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": f"{folder}/other/cache"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        with ending(process):
            ray.init(head.address, log_to_driver=False)
            wait_until(lambda: len(_alive()) == 2, 120, "the second node")
            yield folder
    finally:
        ray.shutdown()
        head.shutdown()
        if shared:
            cluster._start()  # what the tests after this one share
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


def _alive() -> list[str]:
    return [node["NodeID"] for node in ray.nodes() if node["Alive"]]


@pytest.mark.ray
@pytest.mark.slow
def test_every_node_is_asked(two_nodes: Path, table: Table) -> None:
    """
    Where all is well both nodes are counted; storage that only bears the same name, and a cache
    that only one node can't write, are said of that node alone.
    """
    needs = Needs(str(two_nodes / "shared"), table.source, 1000, 4, None, 1000)
    second = next(number for number in _alive() if number != _here())

    good = preflight.check(needs, cpus=1, gpus=0)
    with pytest.raises(TrainingError) as other:
        preflight.check(replace(needs, folder=str(two_nodes / "other")), cpus=1, gpus=0)
    nobody = preflight.check(needs, cpus=1, gpus=1)

    assert sum(kind["nodes"] for kind in good) == 2
    assert str(other.value).startswith(f"node {second[:12]}")
    assert "is not the driver's there" in str(other.value)
    assert _here()[:12] not in str(other.value)
    assert nobody == []
    assert not list((two_nodes / "shared").iterdir())


@pytest.mark.ray
@pytest.mark.slow
def test_silent_node_is_named(
    two_nodes: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that does not answer in time is an error with its name, not a wait without end."""
    monkeypatch.setattr(preflight, "_PATIENCE_S", 0.0)
    needs = Needs(str(two_nodes / "shared"), table.source, 1000, 4, None, 0)

    with pytest.raises(TrainingError, match="no answer in 0 s"):
        preflight.check(needs, cpus=1, gpus=0)


def _here() -> str:
    return str(ray.get_runtime_context().get_node_id())
