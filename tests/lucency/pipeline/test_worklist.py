"""From a bundle and a table to a list, and from a filled list to corrected figures."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.config.worklist import WorklistConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.evaluation import openings
from lucency.ledger import Ledger
from lucency.pipeline.worklist import worklist

LIMIT = 5


def _config(bundle: Artifact, table: Table, output: Path, **changes: Any) -> WorklistConfig:
    settings = {
        "bundle": str(bundle.path),
        "table": str(table.path),
        "output": str(output),
        "limit": LIMIT,
        **changes,
    }
    return WorklistConfig.from_mapping(settings, "tests")


@pytest.fixture(scope="module")
def own(bundle: Artifact, table: Table, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The small bundle, as made from the small table."""
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    origin = {**artifact.origin(bundle), "data_digest": table.digest}
    return artifact.write(tmp_path_factory.mktemp("worklist") / "bundle", contents, **origin)


@pytest.fixture(scope="module")
def made(
    own: Artifact,
    table: Table,
    tmp_path_factory: pytest.TempPathFactory,
    ray_cluster: None,
) -> WorklistConfig:
    """A list of the small bundle's mistakes; it is untrained, so there are some."""
    config = _config(own, table, tmp_path_factory.mktemp("list"))
    worklist(config)
    return config


@pytest.fixture
def filled(made: WorklistConfig, tmp_path: Path) -> Path:
    """The list, on whose first two cases a reviewer sides with the model."""
    rows = _rows(made.output)
    for row in rows[:2]:
        row |= {"verdict": "agree_with_model", "reviewer": "A"}
    with (tmp_path / "filled.csv").open("w", newline="") as stream:
        lines = csv.DictWriter(stream, rows[0].keys())
        lines.writeheader()
        lines.writerows(rows)
    return tmp_path / "filled.csv"


def _rows(output: Path) -> list[dict[str, str]]:
    with (output / "worklist.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.ray
def test_page_csv_and_record_tell_of_the_same_cases(made: WorklistConfig) -> None:
    """Every case is in the CSV, the first ones are on the page."""
    record = json.loads((made.output / "worklist.json").read_text())
    page = (made.output / "worklist.html").read_text()

    rows = _rows(made.output)

    assert [row["case"] for row in rows] == [case["case"] for case in record["list"]]
    assert sum(record["cases"].values()) == len(rows) > LIMIT
    assert page.count("<figure") == LIMIT


@pytest.mark.ray
def test_no_patient_is_named(made: WorklistConfig, table: Table) -> None:
    """Neither page nor CSV nor record nor ledger holds a patient's name, nor does a file's name."""
    patients = set(table.columns["patient"].tolist())

    for path in made.output.iterdir():
        text = path.name + path.read_text()
        assert not [patient for patient in patients if patient in text], path


@pytest.mark.ray
def test_verdicts_come_back(made: WorklistConfig, filled: Path, table: Table) -> None:
    """Figures stand side by side, labels to correct are named by content, reviewers on record."""
    review = worklist(made.model_copy(update={"verdicts": filled}))

    with (made.output / "label_corrections.csv").open(newline="") as stream:
        corrections = list(csv.DictReader(stream))
    last = Ledger(made.output / "reviews.jsonl").entries()[-1]
    rows = _rows(made.output)
    by_film = dict(zip(table.columns["sha256"], table.columns["label"], strict=True))
    assert review["labels_turned"] == len(corrections) == 2
    assert review["original"] != review["corrected"]
    for row, correction in zip(rows, corrections, strict=False):
        assert correction["sha256"].startswith(row["film"])
        assert (correction["was"], correction["label"]) == (row["label"], row["called"])
        assert table.classes[by_film[correction["sha256"]]] == correction["was"]
    assert (last["action"], last["reviewers"]) == ("reviewed", ["A"])
    assert last["verdicts"] == {"agree_with_model": 2}


@pytest.mark.ray
def test_the_list_may_not_change_under_a_review(
    made: WorklistConfig, filled: Path, tmp_path: Path
) -> None:
    """A record that was edited since is refused: its figures would be nobody's."""
    for name in ("worklist.json", "reviews.jsonl"):
        (tmp_path / name).write_text((made.output / name).read_text())
    path = tmp_path / "worklist.json"
    path.write_text(path.read_text().replace('"confidence": 0.95', '"confidence": 0.90'))

    with pytest.raises(DataError, match="changed since the list was made"):
        worklist(made.model_copy(update={"output": tmp_path, "verdicts": filled}))


def test_an_unmade_list_can_not_be_read_back(own: Artifact, table: Table, tmp_path: Path) -> None:
    """Verdicts need the folder of the list that they are of."""
    with pytest.raises(DataError, match="holds no worklist"):
        worklist(_config(own, table, tmp_path, verdicts=str(tmp_path / "filled.csv")))


def test_the_test_split_waits_for_evidence(own: Artifact, table: Table, tmp_path: Path) -> None:
    """A model without evidence sees no test film here, and no opening is recorded."""
    with pytest.raises(DataError, match="no test evidence yet"):
        worklist(_config(own, table, tmp_path, split="test", reason="errors of label"))

    assert not (table.path.parent / openings.FILE).exists()


def test_another_table_is_refused(bundle: Artifact, table: Table, tmp_path: Path) -> None:
    """Mistakes on films that the model may have learnt are no mistakes of it."""
    with pytest.raises(DataError, match="may have been trained on these films"):
        worklist(_config(bundle, table, tmp_path))
