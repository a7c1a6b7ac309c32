"""From a promoted bundle to the evidence pack."""

import json
import shutil
from pathlib import Path

import pytest

from lucency.datasets.table import Table
from lucency.errors import GateRefused
from lucency.pipeline.release import release
from lucency.release import archive
from tests.lucency.release.conftest import Built, built, tree

__all__ = ["built", "tree"]


def test_built_twice_it_is_the_same_file(built: Built, tmp_path: Path) -> None:
    """The pack of one release has one digest, whenever it is built."""
    config = built()

    first = release(config)
    second = release(config.model_copy(update={"output": tmp_path / "again.tar"}))

    assert first["digest"] == second["digest"]
    assert (tmp_path / "again.tar").read_bytes() == config.output.read_bytes()


def test_a_pack_inside_the_source_tree_is_no_change_to_it(built: Built, tree: Path) -> None:
    """The first build's pack lies there when the second one asks git, and both are the same."""
    config = built().model_copy(update={"output": tree / "packs" / "release.tar"})
    try:
        first = release(config)

        assert release(config)["digest"] == first["digest"]
    finally:
        shutil.rmtree(config.output.parent)


def test_the_pack_holds_the_proof_and_no_film(built: Built) -> None:
    """Card, digests, gate record, calibration, sites, run, bill and documents; no pixels."""
    config = built()

    release(config)

    parts = archive.read(config.output)
    assert parts.keys() >= {
        *("bundle/manifest.json", "bundle/model.json", "bundle/evidence.json"),
        *("calibration.json", "checklist.json", "data/digests.json", "gate.json", "run.json"),
        *("sbom.cdx.json", "sites.json", "documents/intended-use.md"),
    }
    assert not [data for data in parts.values() if data.startswith((b"\x89PNG", b"\xff\xd8"))]
    assert json.loads(parts["gate.json"])["history"][0]["reason"] == "holds"
    assert "table" not in json.loads(parts["run.json"])


def test_a_missing_item_is_refused_and_nothing_is_written(built: Built) -> None:
    """Status 3 as at the gate, every missing item listed, no pack."""
    config = built(code=None, seed=7)

    with pytest.raises(GateRefused) as refused:
        release(config)

    assert refused.value.exit_code == 3
    assert [line.partition(":")[0] for line in refused.value.figures["missing"]] == [
        *("code", "seed", "tests")
    ]
    assert not config.output.exists()


def test_a_part_that_names_a_patient_is_refused(built: Built, tmp_path: Path) -> None:
    """A patient's name in any part keeps the pack from being written."""
    config = built()
    path = config.run / "run.json"
    record = json.loads(path.read_text())
    patient = str(_patients(Path(record["table"]))[0])
    path.write_text(json.dumps({**record, "note": f"as with {patient}"}))

    with pytest.raises(GateRefused, match=r"\['run.json'\] name patients"):
        release(config)


def test_a_search_is_told_without_paths(built: Built, tmp_path: Path) -> None:
    """Of a search its figures are kept, not where it lay."""
    config = built()
    found = {"run": "/somewhere/trial_3", "figure": "auroc", "report": "/somewhere/search.html"}
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "search.json").write_text(json.dumps(found))

    release(config.model_copy(update={"search": tmp_path / "search"}))

    kept = json.loads(archive.read(config.output)["search.json"])
    assert kept == {"run": "trial_3", "figure": "auroc", "verdicts": []}


def _patients(path: Path) -> list[str]:
    return list(Table.open(path).columns["patient"])
