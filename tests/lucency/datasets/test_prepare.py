"""From folders of films to a table and a report, the way a job does it."""

import dataclasses
import functools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from lucency import files, images
from lucency.datasets import prepare, splits
from lucency.datasets.base import Dataset, Sample
from lucency.datasets.chest_xray import ChestXray
from lucency.datasets.gate import LeakGate
from lucency.datasets.medmnist import MedMnist
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Table
from lucency.errors import DataError, LeakFound


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve children of each class to train on, three of each to test, two films a child."""
    drawn = iter(Phantom(patients=60, size=64))
    for split, patients in (("train", 12), ("test", 3)):
        for number in range(patients):
            for film in (1, 2):
                ill = f"{split}/PNEUMONIA/person{number}{len(split)}_virus_{film}.jpeg"
                well = f"{split}/NORMAL/IM-{number:03}{len(split)}-000{film}.jpeg"
                for name in (ill, well):
                    path = tmp_path / "films" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(next(drawn).read())
    return tmp_path / "films"


def prepared(root: Path, output: Path, **plan: object) -> prepare.Prepared:
    """The folder prepared under a plan."""
    return prepare.prepare(
        ChestXray(root=root), SplitPlan.model_validate(plan), output, name="chest_xray"
    )


def test_every_film_gets_a_row(root: Path, tmp_path: Path) -> None:
    """The table holds each usable film with its own bytes, label and patient."""
    table = prepared(root, tmp_path / "out").table

    film = (root / "train" / "PNEUMONIA" / "person05_virus_1.jpeg").read_bytes()
    (place,) = np.flatnonzero(table.columns["sha256"] == files.sha256(film)).tolist()
    assert len(table.columns["label"]) == 60
    assert table.images([place]) == [film]
    assert table.columns["patient"][place] == "person05_virus"
    assert table.columns["label"][place] == 1


def test_no_patient_is_shared(root: Path, tmp_path: Path) -> None:
    """The written table has each patient in one split."""
    columns = prepared(root, tmp_path / "out").table.columns

    splits.refuse_leaks(list(columns["patient"]), list(columns["split"]))
    assert set(columns["split"]) == set(splits.SPLITS)


def test_official_test_films_stay_the_test_films(root: Path, tmp_path: Path) -> None:
    """With the official split kept, the test rows are the films of the test folder."""
    table = prepared(root, tmp_path / "out", keep_official_test=True).table

    stored = set(table.images(table.rows("test")))
    assert stored == {path.read_bytes() for path in (root / "test").rglob("*.jpeg")}


def test_neighbours_are_strangers(root: Path, tmp_path: Path) -> None:
    """Classes and patients follow each other as in a shuffled deck, whatever the files' names."""
    columns = prepared(root, tmp_path / "out").table.columns

    changes = np.count_nonzero(np.diff(columns["label"]))
    together = np.count_nonzero(columns["patient"][1:] == columns["patient"][:-1])
    assert changes > 15  # of 59; sorted by name it would be 3
    assert together < 8  # of 30 pairs


def test_failure_after_writing_leaves_nothing(root: Path, tmp_path: Path) -> None:
    """A film that goes away while the page is drawn costs the table, half-proven ones too."""
    source = ChestXray(root=root)
    reads: dict[str, int] = {}

    class Vanishing:
        classes = source.classes

        def __len__(self) -> int:
            return len(source)

        def __iter__(self) -> Iterator[Sample]:
            for sample in source:
                yield dataclasses.replace(sample, read=functools.partial(self._read, sample))

        def _read(self, sample: Sample) -> bytes:
            reads[sample.name] = reads.get(sample.name, 0) + 1
            if reads[sample.name] > 2:
                raise OSError(5, "gone")
            return sample.read()

    with pytest.raises(DataError, match="can't be read again"):
        prepare.prepare(Vanishing(), SplitPlan(), tmp_path / "out", name="chest_xray")

    assert not list((tmp_path / "out").glob("*.parquet"))
    assert not list((tmp_path / "out").glob(".*"))


def test_preparing_twice_gives_the_same_table(root: Path, tmp_path: Path) -> None:
    """The same films under the same plan have the same digest, another seed has another."""
    first = prepared(root, tmp_path / "a").table
    second = prepared(root, tmp_path / "b").table
    other = prepared(root, tmp_path / "c", seed=1).table

    assert first.digest == second.digest
    assert first.digest != other.digest


def test_bad_films_are_set_aside_with_their_reason(root: Path, tmp_path: Path) -> None:
    """A damaged film and a copy are left out of the table and stand in the report."""
    healthy = sorted((root / "train" / "NORMAL").iterdir())
    healthy[0].write_bytes(healthy[0].read_bytes()[:-400])
    (root / "train" / "NORMAL" / "IM-9999-0001.jpeg").write_bytes(healthy[1].read_bytes())

    result = prepared(root, tmp_path / "out")

    told = {entry["name"]: entry["reason"] for entry in result.report["set_aside"]}
    assert told == {
        f"train/NORMAL/{healthy[0].name}": "truncated",
        "train/NORMAL/IM-9999-0001.jpeg": "duplicate",
    }
    assert len(result.table.columns["label"]) == 59


def test_report_lies_beside_the_table(root: Path, tmp_path: Path) -> None:
    """Programs read report.json and people report.html, both about this very table."""
    result = prepared(root, tmp_path / "out")

    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored == result.report
    assert stored["digest"] == result.table.digest
    assert result.table.digest in result.report_path.read_text()


def test_report_runs_nothing_that_a_name_holds(root: Path, tmp_path: Path) -> None:
    """A file name is shown as text, whatever it would mean in a page."""
    (root / "train" / "NORMAL" / "<script>alert(1)<|script>.png").write_bytes(b"GIF89a")

    page = prepared(root, tmp_path / "out").report_path.read_text()

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_source_without_a_usable_film_is_refused(root: Path, tmp_path: Path) -> None:
    """A set of which nothing is left is an error, with how many films were tried."""
    for path in root.rglob("*.jpeg"):
        path.write_bytes(b"")

    with pytest.raises(DataError, match="none of the 60 films of 'chest_xray' can be used"):
        prepared(root, tmp_path / "out")


def test_failed_preparation_leaves_no_table(root: Path, tmp_path: Path) -> None:
    """Patients that can't be divided as planned cost no half-written output."""
    with pytest.raises(DataError, match="would hold no patient of class"):
        prepared(root, tmp_path / "out", validation=0.01)

    assert not (tmp_path / "out").exists()


class Shuffled:
    """A source that names the films of another in another order."""

    def __init__(self, source: Dataset) -> None:
        self.classes = source.classes
        self._samples = list(source)
        random.Random(3).shuffle(self._samples)

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self._samples)


def run(source: Dataset, output: Path, leaks: LeakGate | None = None) -> prepare.Prepared:
    """Any source, under the plan of the tests."""
    return prepare.prepare(source, SplitPlan(), output, name="made", leaks=leaks)


def test_order_of_files_does_not_matter(root: Path, tmp_path: Path) -> None:
    """The table and the saved splits are the same byte for byte, whatever comes first."""
    healthy = sorted((root / "train" / "NORMAL").iterdir())
    (root / "train" / "NORMAL" / "IM-9999-0001.jpeg").write_bytes(healthy[1].read_bytes())
    source = ChestXray(root=root)

    run(source, tmp_path / "a")
    run(Shuffled(source), tmp_path / "b")

    for name in ("table.parquet", "splits.json", "report.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_hash_seed_does_not_matter(root: Path, tmp_path: Path) -> None:
    """Processes whose sets and dicts are ordered differently give the same table."""
    code = (
        "import sys, pathlib; from lucency.datasets import prepare; "
        "from lucency.datasets.chest_xray import ChestXray; "
        "from lucency.datasets.splits import SplitPlan; "
        "print(prepare.prepare(ChestXray(root=pathlib.Path(sys.argv[1])), SplitPlan(), "
        "pathlib.Path(sys.argv[2]), name='chest_xray').table.digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(root), str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert digests == {f"{prepared(root, tmp_path / 'here').table.digest}\n"}


def test_second_run_changes_nothing(root: Path, tmp_path: Path) -> None:
    """Preparing a finished set again leaves every file as it was, and none besides."""
    run(ChestXray(root=root), tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    run(ChestXray(root=root), tmp_path / "out")

    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_rows_are_mixed(root: Path, tmp_path: Path) -> None:
    """Rows read one after the other give both classes and all splits, so they can be streamed."""
    columns = prepared(root, tmp_path / "out").table.columns

    assert len(set(columns["label"][:12])) == 2
    assert len(set(columns["split"][:30])) == 3
    assert list(columns["patient"]) != sorted(columns["patient"])


def test_saved_splits_are_used_again(root: Path, tmp_path: Path) -> None:
    """A table made under a saved division has its digest, whatever the seed."""
    first = prepared(root, tmp_path / "a").table

    again = prepared(root, tmp_path / "b", file=tmp_path / "a" / "splits.json", seed=5).table

    assert again.splits_digest == first.splits_digest
    assert json.loads((tmp_path / "b" / "splits.json").read_text())["digest"] == first.splits_digest


@pytest.mark.parametrize("change", ["other bytes", None])
def test_film_that_changes_meanwhile_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str | None
) -> None:
    """Bytes that are not those that were judged are never stored, and no table is left."""
    film = root / "train" / "NORMAL" / "IM-0005-0001.jpeg"
    assign = splits.assign

    def meanwhile(samples: Sequence[Sample], plan: SplitPlan) -> list[str]:
        film.unlink() if change is None else film.write_text(change)
        return assign(samples, plan)

    monkeypatch.setattr(splits, "assign", meanwhile)

    with pytest.raises(DataError, match=r"IM-0005-0001\.jpeg' (changed|was read once)"):
        prepared(root, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_run_left_is_cleared(root: Path, tmp_path: Path) -> None:
    """A process killed while it wrote leaves an unfinished file, which the next one removes."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "..unproven.parquet.x1").write_bytes(b"half")
    (out / ".unproven.parquet").write_bytes(b"whole, but never judged")

    prepared(root, out)

    assert not [path for path in out.iterdir() if "unproven" in path.name]


def copied(root: Path) -> None:
    """One child's film of train, stored anew, in test under another child's name."""
    pixels = images.decode((root / "train" / "NORMAL" / "IM-0005-0001.jpeg").read_bytes())
    path = root / "test" / "NORMAL" / "IM-9999-0001.jpeg"
    path.write_bytes(images.encode_png(pixels))


def gated(root: Path, output: Path) -> prepare.Prepared:
    """The official test kept, identical films looked for."""
    return prepare.prepare(
        ChestXray(root=root),
        SplitPlan(keep_official_test=True),
        output,
        name="chest_xray",
        leaks=LeakGate(near=False),
    )


def test_leak_refuses_the_table(root: Path, tmp_path: Path) -> None:
    """A table that leaks is kept under another name, with the pairs and their pictures."""
    copied(root)

    with pytest.raises(LeakFound, match=r"1 by pixels.* kept as .*refused\.parquet"):
        gated(root, tmp_path / "out")

    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "leaks.json", "leaks.png", "refused.parquet",
    }  # fmt: skip


def test_gate_takes_back_what_passed_without_it(root: Path, tmp_path: Path) -> None:
    """A table made without the gate does not stay once the gate refuses the same films."""
    copied(root)
    prepared(root, tmp_path / "out", keep_official_test=True)

    with pytest.raises(LeakFound):
        gated(root, tmp_path / "out")

    assert not (tmp_path / "out" / "table.parquet").exists()


def test_refusal_leaves_another_table_alone(root: Path, tmp_path: Path) -> None:
    """The table of the films as they were before stays; mended films clear the refusal away."""
    good = gated(root, tmp_path / "out").table
    copied(root)
    with pytest.raises(LeakFound):
        gated(root, tmp_path / "out")
    assert Table.open(tmp_path / "out").digest == good.digest

    (root / "test" / "NORMAL" / "IM-9999-0001.jpeg").unlink()
    gated(root, tmp_path / "out")

    assert not (tmp_path / "out" / "refused.parquet").exists()
    assert not (tmp_path / "out" / "leaks.png").exists()


def test_gate_that_is_off_still_keeps_patients_apart(root: Path, tmp_path: Path) -> None:
    """Without a search a patient on both sides of the official test is still refused."""
    train = root / "train" / "NORMAL" / "IM-0005-0001.jpeg"
    (root / "test" / "NORMAL" / "IM-0005-0007.jpeg").write_bytes(train.read_bytes())
    plan = SplitPlan(keep_official_test=True)

    with pytest.raises(DataError, match="1 patients are in more than one split"):
        prepare.prepare(
            ChestXray(root=root), plan, tmp_path / "out", name="x", leaks=LeakGate(gate=False)
        )


def test_report_says_what_the_gate_did(root: Path, tmp_path: Path) -> None:
    """Whether pixels were compared stands in the report, with what was asked."""
    assert prepared(root, tmp_path / "a").report["leak_gate"] == {"gate": False}
    assert gated(root, tmp_path / "b").report["leak_gate"]["near"] is False


@pytest.mark.skipif("LUCENCY_DATA" not in os.environ, reason="LUCENCY_DATA is not set: real set")
@pytest.mark.parametrize(
    ("rows", "told"),
    [(False, "8 by bytes"), (True, r"225 by patient, 8 by bytes \(190 patients\)")],
)
def test_published_split_of_pneumoniamnist_is_refused(
    tmp_path: Path, rows: bool, told: str
) -> None:
    """As published it shares 8 films by the file alone, and 190 patients where they are known."""
    folder = Path(os.environ["LUCENCY_DATA"]) / "pneumoniamnist"
    source = MedMnist(
        path=folder / "pneumoniamnist.npz", rows=folder / "rows.csv" if rows else None
    )
    plan = SplitPlan(keep_official=True)

    with pytest.raises(LeakFound, match=told):
        prepare.prepare(source, plan, tmp_path, name="medmnist", leaks=LeakGate(near=False))
