"""The leak gate: nothing shared, or a refusal with the films to look at."""

import json
from pathlib import Path

import pytest

from lucency import files, images
from lucency.config.leaks import LeaksConfig
from lucency.datasets import prepare
from lucency.datasets import table as tables
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Row, Table
from lucency.errors import LeakFound
from lucency.pipeline.leaks import leaks


@pytest.fixture
def leaky(tmp_path: Path) -> Table:
    """Two patients; a film of the first stands in train and, as another's, in test."""
    one, two = (sample.read() for sample in Phantom(patients=2, size=64, max_films=1))
    rows = [
        Row(data, None, 0, patient, "here", split, *images.size(data), files.sha256(data))
        for data, patient, split in (
            (one, "kept secret", "train"),
            (two, "p1", "test"),
            (one, "p2", "test"),
        )
    ]
    path = tmp_path / "leaky" / tables.NAME
    return tables.write(path, rows, classes=("NORMAL", "PNEUMONIA"), name="made")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A prepared table of drawn films."""
    folder = tmp_path_factory.mktemp("clean")
    source = Phantom(patients=40, size=128, max_films=2)
    return prepare.prepare(source, SplitPlan(), folder, name="phantom").table


def refused(config: LeaksConfig) -> LeakFound:
    """The refusal of a table that shares films."""
    with pytest.raises(LeakFound) as caught:
        leaks(config)
    return caught.value


def test_clean_table_passes(clean: Table, tmp_path: Path) -> None:
    """A prepared table shares nothing, and the list says so."""
    result = leaks(LeaksConfig(table=clean.path, output=tmp_path))

    assert result["leaks"] == {}
    listed = json.loads((tmp_path / "leaks.json").read_text())
    assert listed["pairs"] == []
    assert listed["digest"] == clean.digest
    assert not (tmp_path / "leaks.png").exists()


def test_leak_is_refused_with_counts_and_pictures(leaky: Table, tmp_path: Path) -> None:
    """The message has the pairs by kind and where to look at them."""
    error = refused(LeaksConfig(table=leaky.path, output=tmp_path / "out"))

    sheet = tmp_path / "out" / "leaks.png"
    assert "1 pairs of films are shared that must not be: 1 by bytes" in str(error)
    assert str(sheet) in str(error)
    assert images.decode(sheet.read_bytes()).std() > 10


def test_program_gets_the_same(leaky: Table, tmp_path: Path) -> None:
    """A script finds exit status 3, counts and paths without reading the sentence."""
    error = refused(LeaksConfig(table=leaky.path, output=tmp_path))

    assert error.exit_code == 3
    assert error.figures["leaks"] == {"bytes": 1}
    assert error.figures["sheet"] == str(tmp_path / "leaks.png")
    (pair,) = json.loads(Path(error.figures["list"]).read_text())["pairs"]
    assert (pair["first"]["row"], pair["second"]["row"]) == (0, 2)


def test_message_names_no_patient(leaky: Table, tmp_path: Path) -> None:
    """A refusal ends in logs, where no patient belongs."""
    error = refused(LeaksConfig(table=leaky.path, output=tmp_path))

    assert "kept secret" not in str(error)
    assert "kept secret" not in json.dumps(error.figures)


def test_table_of_another_source_is_compared(clean: Table, tmp_path: Path) -> None:
    """A table held against itself shares every film."""
    config = LeaksConfig(table=clean.path, against=clean.path, output=tmp_path, patients=False)

    error = refused(config)

    assert error.figures["leaks"]["bytes"] == len(clean.columns["label"])
    assert error.figures["against"] == clean.digest


def test_sheet_of_an_earlier_run_does_not_stay(leaky: Table, clean: Table, tmp_path: Path) -> None:
    """After a run that found nothing there are no pictures of leaks."""
    refused(LeaksConfig(table=leaky.path, output=tmp_path))

    leaks(LeaksConfig(table=clean.path, output=tmp_path))

    assert not (tmp_path / "leaks.png").exists()
