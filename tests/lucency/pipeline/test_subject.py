"""What is taken apart: an architecture as it starts, a finished run, or neither."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lucency import files
from lucency.config.analyze import AnalyzeConfig
from lucency.config.train import Recipe
from lucency.errors import ConfigError, TrainingError
from lucency.models.base import Classifier
from lucency.pipeline import subject
from lucency.pipeline.subject import find
from lucency.training import trainer

SMALL = {"name": "small", "width": 4, "blocks": 2}


def config(**values: Any) -> AnalyzeConfig:
    """What a person asked for; nothing is written."""
    given = values if {"run", "chain", "model"} & set(values) else {"model": SMALL, **values}
    return AnalyzeConfig.from_mapping({"output": "nowhere", **given}, "test")


@pytest.fixture
def run(tmp_path: Path, recipe: Recipe, network: Classifier) -> Path:
    """A finished run of the shared small network, whose first filters are known."""
    folder = tmp_path / "runs" / "made"
    state = {key: value.clone() for key, value in network.state_dict().items()}
    files.write_text(folder / trainer.RECIPE, recipe.to_yaml())
    files.write_json(folder / trainer.RECORD, {"classes": ["NORMAL", "PNEUMONIA"]})
    save_file(state, folder / trainer.WEIGHTS)
    return folder


def test_architecture_gets_its_usual_input() -> None:
    """Size and colour are the architecture's own unless given; gray where it takes both."""
    shapes = [
        found.shape
        for found in (
            find(config(model="lenet5")),
            find(config(model=SMALL)),
            find(config(model=SMALL, size=64, color="RGB")),
        )
        if found
    ]

    assert shapes == [(1, 28, 28), (1, 224, 224), (3, 64, 64)]


def test_same_seed_starts_the_same_network() -> None:
    """The filters on the page are those that training with this seed would begin with."""
    one, two, other = (find(config(model=SMALL, seed=seed)) for seed in (1, 1, 2))

    assert one is not None
    assert two is not None
    assert other is not None
    first = [next(each.model.parameters()) for each in (one, two, other)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


def test_chain_alone_has_no_network() -> None:
    """Nothing is built where nothing was asked for."""
    assert find(config(chain=[{"kernel_size": 3}])) is None


def test_run_brings_its_own_weights(tmp_path: Path, run: Path, network: Classifier) -> None:
    """Network, input and weights come from the run's folder, whatever the generator gives."""
    torch.manual_seed(5)

    found = find(config(run=str(run)))

    assert found is not None
    assert found.shape == (1, 32, 32)
    assert found.weights == "of the finished run made"
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found.model.state_dict()[key], value)


def test_names_of_a_run_are_those_of_the_trainer() -> None:
    """The files that are looked for are the files that training leaves."""
    here = (subject._RECIPE, subject._RECORD, subject._WEIGHTS)

    assert here == (trainer.RECIPE, trainer.RECORD, trainer.WEIGHTS)


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """An empty folder, or a bundle, is told what to give instead."""
    with pytest.raises(TrainingError, match="not a finished run"):
        find(config(run=str(tmp_path)))


def test_weights_of_another_network_are_refused(tmp_path: Path, run: Path) -> None:
    """A weights file that does not fit its recipe is not half loaded."""
    save_file({"other": torch.zeros(1)}, run / trainer.WEIGHTS)

    with pytest.raises(TrainingError, match="does not hold the weights of the recipe") as caught:
        find(config(run=str(run)))

    assert "\n" not in str(caught.value)


def test_size_that_no_preprocessing_takes_is_refused() -> None:
    """The platform's smallest side holds here too."""
    with pytest.raises(ConfigError, match="size"):
        find(config(size=8))
