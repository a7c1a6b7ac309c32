"""From a finished run to its page; validation films only."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lucency import files
from lucency.config.explain import ExplainConfig
from lucency.config.train import Recipe
from lucency.datasets import prepare
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Table
from lucency.errors import ConfigError, DataError, TrainingError
from lucency.models.base import PooledClassifier
from lucency.pipeline.explain import chosen, explain


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory,
    recipe: Recipe,
    network: PooledClassifier,
    table: Table,
) -> Path:
    """A finished run of the shared network on the shared table, as training leaves it."""
    folder = tmp_path_factory.mktemp("runs") / "made"
    record = {
        "classes": list(table.classes),
        "table": table.source,
        "data_digest": table.digest,
    }
    files.write_text(folder / "recipe.yaml", recipe.to_yaml())
    files.write_json(folder / "run.json", record)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    return folder


def config(run: Path, output: Path, **values: Any) -> ExplainConfig:
    """A few films of a run."""
    given = {"run": str(run), "output": str(output), "films": 6, "randomised_films": 2, **values}
    return ExplainConfig.from_mapping(given, "test")


@pytest.fixture(scope="module")
def result(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one job answers."""
    return explain(config(run, tmp_path_factory.mktemp("out")))


def test_result_has_the_figures(result: dict[str, Any]) -> None:
    """By method, with intervals, in the answer and in the file beside the page."""
    page = Path(result["report"])

    stored = json.loads((page.parent / "explain.json").read_text())
    assert stored["methods"] == result["methods"]
    assert set(result["methods"]) == {"cam", "grad_cam", "integrated_gradients", "saliency"}
    for found in result["methods"].values():
        assert found["pointing"].keys() == {"opacity", "lungs"}
        assert len(found["randomised"]) == len(result["randomised_steps"])
    assert page.read_text().startswith("<!doctype html>")


def test_drawn_films_bring_their_targets(result: dict[str, Any]) -> None:
    """Half of the films are ill, their opacities are known and their lungs drawn anew."""
    assert result["drawn"] is True
    assert result["films_by_target"] == {"opacity": 3, "lungs": 3}
    assert result["unmeasured"] == {}
    chance = result["chance"]["pointing"]
    assert 0 < chance["opacity"]["value"] < chance["lungs"]["value"] < 0.5


def test_films_are_of_validation(table: Table, result: dict[str, Any]) -> None:
    """Classes in turn, none twice, and no film of another split; the test stays unopened."""
    rows = chosen(table, 10, 0)

    assert set(table.columns["split"][rows]) == {"validation"}
    assert len(set(rows.tolist())) == 10
    assert np.bincount(table.columns["label"][rows]).tolist() == [5, 5]
    assert result["split"] == "validation"
    assert not list(table.path.parent.glob("test_openings*"))


def test_config_can_name_no_split(run: Path, tmp_path: Path) -> None:
    """There is no key by which the test films could be asked for."""
    with pytest.raises(ConfigError, match="split: unknown key"):
        config(run, tmp_path, split="test")


def test_lungs_of_another_seed_are_left_out(run: Path, tmp_path: Path) -> None:
    """A seed that does not draw these films gives no lungs, and the answer says why."""
    found = explain(config(run, tmp_path, drawn_seed=7, films=2))

    assert set(found["films_by_target"]) == {"opacity"}
    assert "drawn_seed 7 gives the opacities of 0 of 1" in found["unmeasured"]["lungs"]


def test_films_without_masks_have_no_targets(
    run: Path, tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody knows where the disease is, no figure pretends to."""
    monkeypatch.setattr(Table, "masks", lambda self, rows: [None] * len(rows))

    found = explain(config(run, tmp_path, films=2))

    assert found["films_by_target"] == {}
    assert "no mask is known" in found["unmeasured"]["opacity"]
    assert found["methods"]["cam"]["pointing"] == {}


def test_table_of_other_films_is_refused(run: Path, tmp_path: Path) -> None:
    """On another division validation films may have been learnt from: nothing is written."""
    other = prepare.prepare(
        Phantom(patients=30, size=64, seed=1), SplitPlan(), tmp_path / "table", name="phantom"
    ).table

    with pytest.raises(DataError, match="the run learnt from"):
        explain(config(run, tmp_path / "out", table=str(other.path)))

    assert not (tmp_path / "out").exists()


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """An empty folder is told what to give instead."""
    with pytest.raises(TrainingError, match="not a finished run"):
        explain(config(tmp_path, tmp_path / "out"))


def test_threads_are_as_before(run: Path, tmp_path: Path) -> None:
    """One thread is enough; who called gets theirs back, after a refusal too."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(TrainingError):
            explain(config(tmp_path, tmp_path / "out"))
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)

    assert after == 3
