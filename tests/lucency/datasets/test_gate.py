"""The gate tells how much is shared and never who."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from lucency import files, images
from lucency.datasets import gate, table
from lucency.datasets.gate import LeakGate
from lucency.datasets.phantom import Phantom
from lucency.datasets.table import Row, Table
from lucency.errors import LeakFound


@pytest.fixture
def shared(tmp_path: Path) -> Table:
    """One patient with two films in train and two in test."""
    films = [sample.read() for sample in Phantom(patients=4, size=64, max_films=1)]
    rows = [
        Row(data, None, 0, "kept secret", "here", split, *images.size(data), files.sha256(data))
        for data, split in zip(films, ("train", "train", "test", "test"), strict=True)
    ]
    return table.write(tmp_path / table.NAME, rows, classes=("NO", "YES"), name="made")


def test_patients_are_counted_once(shared: Table, tmp_path: Path) -> None:
    """Two films of one shared patient are two pairs and one patient."""
    with pytest.raises(LeakFound, match=r"2 by patient \(1 patients\)") as caught:
        gate.refuse_leaks(shared, tmp_path, LeakGate(), {"asked": "this"})

    assert caught.value.figures["patients"] == 1
    assert "kept secret" not in str(caught.value)
    assert json.loads((tmp_path / gate.LIST).read_text())["settings"] == {"asked": "this"}


def test_patients_can_be_left_out(shared: Table, tmp_path: Path) -> None:
    """Without the patients' names these films share nothing."""
    found = gate.refuse_leaks(shared, tmp_path, LeakGate(patients=False), {})

    assert (found["leaks"], found["patients"]) == ({}, 0)
    assert not (tmp_path / gate.SHEET).exists()


def test_sheet_of_an_earlier_search_is_taken_away(shared: Table, tmp_path: Path) -> None:
    """A search that finds nothing leaves no pictures of what another one found."""
    with pytest.raises(LeakFound):
        gate.refuse_leaks(shared, tmp_path, LeakGate(), {})
    assert (tmp_path / gate.SHEET).exists()

    gate.refuse_leaks(shared, tmp_path, LeakGate(patients=False), {})

    assert not (tmp_path / gate.SHEET).exists()


@pytest.mark.parametrize("wrong", [{"bits": 17}, {"similarity": 0.2}, {"nearly": True}])
def test_limits_are_checked(wrong: dict[str, object]) -> None:
    """A value that would find all or nothing is refused, and so is a typo."""
    with pytest.raises(ValidationError):
        LeakGate.model_validate(wrong)
