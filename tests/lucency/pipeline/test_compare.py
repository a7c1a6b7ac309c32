"""Architectures side by side: trained for real, in parallel, and drawn up in one table."""

import json
from pathlib import Path

import pytest

from lucency.config.compare import CompareConfig
from lucency.datasets.table import Table
from lucency.errors import TrainingError
from lucency.pipeline.compare import compare


def config(table: Table, output: Path, models: list[object]) -> CompareConfig:
    """Two epochs at most of 32 px films."""
    return CompareConfig.from_mapping(
        {
            "sets": [
                {
                    "name": "phantom",
                    "table": str(table.path),
                    "preprocess": {"size": 32, "color": "L", "mean": [0.5], "std": [0.25]},
                }
            ],
            "models": models,
            "budget": {
                "loss": "cross_entropy",
                "optimizer": "adamw",
                "phases": [{"epochs": 1, "learning_rate": 0.003}],
                "batch_size": 16,
            },
            "concurrent": 2,
            "output": str(output),
        },
        "tests",
    )


@pytest.mark.ray
@pytest.mark.slow
def test_comparison_measures_every_pair(table: Table, ray_cluster: None, tmp_path: Path) -> None:
    """
    Each pair has its costs and its figure, a pair that fails its reason; a second call trains
    nothing again.
    """
    models: list[object] = [{"name": "small", "width": 8, "blocks": 2}, "lenet5"]
    wanted = config(table, tmp_path, models)

    rows = compare(wanted)["rows"]
    again = compare(wanted)["rows"]

    assert [row["model"] for row in rows] == ["small", "lenet5"]
    for row in rows:
        assert row["measure"] == "sensitivity at specificity 0.7"
        assert 0 <= row["figure"]["lower"] <= row["figure"]["value"] <= row["figure"]["upper"] <= 1
        assert row["parameters"] > 0
        assert row["multiply_adds"] > row["parameters"]
        assert row["memory_mib"] > 50
    assert rows[0]["filters"] == ["3x3"]
    assert rows[1]["filters"] == ["5x5"]
    assert again == rows
    page = (tmp_path / "comparison.html").read_text()
    assert "lenet5" in page
    assert json.loads((tmp_path / "comparison.json").read_text())["rows"] == rows


@pytest.mark.ray
@pytest.mark.slow
def test_no_trained_pair_is_an_error(table: Table, ray_cluster: None, tmp_path: Path) -> None:
    """A budget under which nothing can be trained is one error with the reason, not a page."""
    wanted = config(table, tmp_path, [{"name": "small", "width": 8}])
    budget = {**wanted.budget, "phases": [{"epochs": 1, "learning_rate": 1e30}]}
    hopeless = wanted.model_copy(update={"budget": {**budget, "scaling": {"max_failures": 0}}})

    with pytest.raises(TrainingError, match=r"none of 1 pairs could be trained: .*loss is"):
        compare(hopeless)
