"""The prediction job's own rules: what may be predicted, and what is thrown away."""

import json
import shutil
from pathlib import Path

import pytest

from lucency import bulk
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.config.predict import PredictConfig
from lucency.datasets.table import Table
from lucency.errors import ConfigError, DataError
from lucency.pipeline.predict import predict


@pytest.fixture
def own(bundle: Artifact, table: Table, tmp_path: Path) -> Path:
    """A bundle that says it was made from the table."""
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    origin = {**artifact.origin(bundle), "data_digest": table.digest}
    return artifact.write(tmp_path / "own", contents, **origin).path


@pytest.mark.parametrize("split", [None, "test"])
def test_test_films_wait_for_the_evaluation(
    own: Path, table: Table, tmp_path: Path, split: str | None
) -> None:
    """Nobody sees a model's answers on its test films before these are opened on the record."""
    config = PredictConfig(bundle=own, table=table.path, split=split, output=tmp_path / "out")

    with pytest.raises(DataError, match="has no test evidence yet"):
        predict(config)

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "given", [{}, {"folder": "a", "table": "b"}, {"folder": "a", "split": "x"}]
)
def test_one_source_is_given(tmp_path: Path, given: dict[str, str]) -> None:
    """Neither, both, and the split of a folder are refused by the configuration."""
    path = tmp_path / "predict.yaml"
    path.write_text(json.dumps({"bundle": "b", "output": "o", **given}))

    with pytest.raises(ConfigError, match=r"folder"):
        PredictConfig.from_file(path, [])


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_fresh_begins_anew(bundle: Artifact, table: Table, tmp_path: Path) -> None:
    """What another bundle left is in the way, and with fresh=true it is not."""
    output = tmp_path / "out"
    asked = {"bundle": bundle.path, "table": table.path, "split": "validation", "output": output}
    first = predict(PredictConfig.model_validate(asked))
    shutil.copy(output / "part-000000.parquet", output / "part-000009.parquet")
    (output / bulk.MADE_BY).write_text("{}")

    with pytest.raises(DataError, match="fresh=true"):
        predict(PredictConfig.model_validate(asked))
    again = predict(PredictConfig.model_validate({**asked, "fresh": True}))

    assert again["decisions"] == first["decisions"]
    assert (first["kept"], again["kept"]) == (0, 0)
    assert sum(again["decisions"].values()) == len(table.rows("validation"))
    assert not (output / "part-000009.parquet").exists()
