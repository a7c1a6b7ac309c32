"""Robustness from a bundle and a table to figures and a page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.robustness import RobustnessConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.evaluation import openings
from lucency.pipeline.robustness import robustness
from lucency.robustness import figures

FILMS = 16


def _sealed_for(bundle: Artifact, table: Table, folder: Path, **added: bytes) -> Artifact:
    """A copy of a bundle that was made from this table."""
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    origin = bundle.manifest.model_dump(exclude={"format", "created", "files", "data_digest"})
    return artifact.write(folder, {**contents, **added}, **origin, data_digest=table.digest)


def _config(bundle: Artifact, table: Table, folder: Path, **changes: Any) -> RobustnessConfig:
    settings = {
        "bundle": str(bundle.path),
        "table": str(table.path),
        "report": str(folder / "robustness.html"),
        "corruptions": ["inverted", "gaussian_noise"],
        "films": FILMS,
        **changes,
    }
    return RobustnessConfig.from_mapping(settings, "tests")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the bundle and its report are."""
    return tmp_path_factory.mktemp("robustness")


@pytest.fixture(scope="module")
def own(bundle: Artifact, table: Table, folder: Path) -> Artifact:
    """The small bundle, as made from the small table."""
    return _sealed_for(bundle, table, folder / "bundle")


@pytest.fixture(scope="module")
def copied(table: Table, folder: Path) -> Table:
    """The small table where openings may be written beside it."""
    file = folder / "table" / table.path.name
    file.parent.mkdir()
    file.write_bytes(table.path.read_bytes())
    return Table.open(file)


@pytest.fixture(scope="module")
def found(ray_cluster: None, own: Artifact, copied: Table, folder: Path) -> dict[str, Any]:
    """One run over some test films, for a model that has evidence."""
    proven = _sealed_for(own, copied, folder / "proven", **{artifact.EVIDENCE: b"{}"})
    return robustness(_config(proven, copied, folder, split="test", reason="a new scanner"))


@pytest.mark.ray
def test_clean_figures_are_those_of_the_predictor(
    found: dict[str, Any], own: Artifact, copied: Table
) -> None:
    """The chosen films, asked one by one at the card's threshold, give the same sensitivity."""
    rows = copied.rows("test")
    rows = figures.choose(rows, copied.columns["patient"][rows], FILMS, 0)
    predictor = Predictor(own.path)
    called = [predictor.predict_bytes(film).probability >= 0.5 for film in copied.images(rows)]
    positive = copied.columns["label"][rows] == 1

    assert found["films"] == len(rows) <= FILMS
    assert found["clean"]["sensitivity"]["value"] == np.mean(np.array(called)[positive])
    assert found["clean"]["specificity"]["value"] == np.mean(~np.array(called)[~positive])


@pytest.mark.ray
def test_every_corruption_and_probe_has_its_figures(found: dict[str, Any]) -> None:
    """Each severity, the drops, the rule and every probe stand in the result and in the JSON."""
    stored = json.loads(Path(found["report"]).with_suffix(".json").read_text())

    assert list(found["corruptions"]["gaussian_noise"]["severities"]) == list("12345")
    assert list(found["corruptions"]["inverted"]["severities"]) == ["1"]
    assert set(found["mean_corruption_drop"]) == {"auroc", "sensitivity", "specificity"}
    assert set(found["probes"]) == {"border only", "centre blanked", "size only", "size, learnt"}
    assert stored.items() <= found.items()


@pytest.mark.ray
def test_one_gray_film_tells_nothing(found: dict[str, Any]) -> None:
    """Films of one size, all gray, have one score; their sizes can't be learnt from either."""
    assert found["probes"]["size only"]["auroc"]["value"] == 0.5
    assert found["probes"]["size, learnt"]["auroc"] is None
    assert found["probes"]["size, learnt"]["shortcut"] is False


@pytest.mark.ray
def test_the_page_shows_films_and_says_they_are_drawn(found: dict[str, Any]) -> None:
    """One film a corruption and severity shown, one clean, one a probe; nothing is loaded."""
    page = Path(found["report"]).read_text()

    assert page.count("data:image/png;base64,") == 1 + 1 + 3 + 3
    assert "Drawn phantom films, not a clinical result" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_films_of_another_table_are_refused(bundle: Artifact, table: Table, tmp_path: Path) -> None:
    """Another division of the patients may hold films that the model was trained on."""
    with pytest.raises(DataError, match="another division of the patients"):
        robustness(_config(bundle, table, tmp_path))


def test_the_test_split_is_first_seen_by_the_evaluation(
    own: Artifact, table: Table, tmp_path: Path
) -> None:
    """A bundle without evidence is refused, and no opening is recorded."""
    with pytest.raises(DataError, match=r"jobs/evaluate\.py"):
        robustness(_config(own, table, tmp_path, split="test", reason="curious"))

    assert not (table.path.parent / openings.FILE).exists()


@pytest.mark.ray
def test_opening_the_test_split_again_is_recorded(found: dict[str, Any], copied: Table) -> None:
    """Who reads the test films, of which model and why, is written down beside the table."""
    (line,) = (copied.path.parent / openings.FILE).read_text().splitlines()

    assert "a new scanner" in line
    assert found["model"]["digest"] in line
    assert found["split"] == "test"
