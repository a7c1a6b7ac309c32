"""A space is judged whole at load: every value that a search could draw makes a recipe."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lucency.config.tune import Range, TuneConfig
from lucency.errors import ConfigError
from tests.conftest import SMALL

RATE = "recipe.phases.0.learning_rate"


def config(folder: Path, space: dict[str, Any], *overrides: str, **recipe: Any) -> TuneConfig:
    """A search over the tests' recipe with the given open keys."""
    base = {"table": "data", "runs": "runs", "recipe": {**SMALL, **recipe}}
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    search = {
        "train": str(folder / "base.yaml"),
        "space": space,
        "trials": 2,
        "output": str(folder / "out"),
    }
    (folder / "tune.yaml").write_text(yaml.safe_dump(search))
    return TuneConfig.from_file(folder / "tune.yaml", overrides)


def test_recipe_differs_at_the_open_keys_alone(tmp_path: Path) -> None:
    """Drawn values take their places; everything else is the base recipe's."""
    found = config(tmp_path, {RATE: {"log_uniform": [1e-4, 1e-2]}})

    recipe = found.recipe({RATE: 0.0007})

    assert recipe.phases[0].learning_rate == 0.0007
    phases = (recipe.phases[0].model_copy(update={"learning_rate": 0.003}),)
    assert recipe.model_copy(update={"phases": phases}) == found.base.recipe


def test_command_line_opens_and_changes_keys(tmp_path: Path) -> None:
    """A path of the file and the same path on the command line are one key; the last wins."""
    found = config(
        tmp_path,
        {RATE: {"log_uniform": [1e-4, 1e-2]}},
        f"space.{RATE}.uniform=[0.1, 0.2]",
        "space.recipe.batch_size.choice=[8, 16]",
    )

    assert found.space == {
        RATE: Range(uniform=(0.1, 0.2)),
        "recipe.batch_size": Range(choice=(8, 16)),
    }


def test_overrides_change_the_base(tmp_path: Path) -> None:
    """What the train job would be told on its command line, the search tells its trials."""
    found = config(
        tmp_path, {RATE: {"uniform": [0.1, 0.2]}}, "overrides=[recipe.batch_size=4, table=other]"
    )

    assert found.base.recipe.batch_size == 4
    assert found.base.table == Path("other")


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"recipe.modle.width": {"int": [8, 16]}}, "did you mean 'model'?"),
        ({"recipe.model.widht": {"int": [8, 16]}}, "did you mean 'width'?"),
        ({"recipe.phases.1.learning_rate": {"uniform": [0.1, 0.2]}}, "'1' is not a position"),
        ({"recipe.batch_size.size": {"int": [1, 2]}}, "recipe.batch_size is 16"),
        ({RATE: {"uniform": [0.0, 0.2]}}, "space, at recipe.phases.0.learning_rate=0.0"),
        ({"recipe.loss": {"choice": ["bce", "bec"]}}, "did you mean 'bce'?"),
        ({"recipe.phases.0.epochs": {"int": [2, 3]}}, "the base recipe has 2"),
        ({"table": {"choice": ["a", "b"]}}, "outside of the recipe"),
        ({"recipe.seed": {"int": [0, 9]}}, "a lucky seed is not a better recipe"),
        ({"recipe.rule.specificity_floor": {"uniform": [0.1, 0.9]}}, "rule can't be searched"),
        ({"recipe.selection": {"choice": ["auroc", "auto"]}}, "selection can't be searched"),
        ({"recipe.scaling.workers": {"int": [1, 2]}}, "scaling can't be searched"),
        (
            {"recipe.loss": {"choice": ["bce", "focal"]}, "recipe.loss.gamma": {"uniform": [1, 2]}},
            "one would undo the other",
        ),
        ({}, "at least 1 item"),
    ],
)
def test_space_that_makes_no_recipe_is_refused(
    space: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """A wrong path, a wrong end and what must not be searched end the job before it starts."""
    with pytest.raises(ConfigError, match=r"tune\.yaml") as raised:
        config(tmp_path, space)

    assert said in str(raised.value)


def test_combination_that_makes_no_recipe_is_refused(tmp_path: Path) -> None:
    """Values that are right one by one, but not together, are found at load."""
    plain = {"name": "bce", "balance": False}
    space = {
        "recipe.sampling": {"choice": ["stratified", "weighted"]},
        "recipe.loss": {"choice": [plain, "focal"]},
    }

    with pytest.raises(ConfigError, match=r"loss='focal', recipe.sampling='weighted': .*imbalance"):
        config(tmp_path, space, loss=plain)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, "expected exactly one of"),
        ({"uniform": [0.1, 0.2], "int": [1, 2]}, "expected exactly one of"),
        ({"uniform": [0.2, 0.1]}, "is not under"),
        ({"log_uniform": [0.0, 0.1]}, "has no log"),
        ({"int": [1, 8], "step": 2}, "does not lead from 1 to 8"),
        ({"uniform": [0.1, 0.2], "step": 2}, "step: 2 is for int"),
        ({"choice": ["a", "b", "a"]}, "stands twice"),
        ({"unifrom": [0.1, 0.2]}, "did you mean 'uniform'?"),
    ],
)
def test_range_is_of_one_kind(raw: dict[str, Any], said: str, tmp_path: Path) -> None:
    """A range that can't be drawn from is one line with its path and what is wrong."""
    with pytest.raises(ConfigError) as raised:
        config(tmp_path, {RATE: raw})

    assert said in str(raised.value)
    assert f"space.{RATE}" in str(raised.value)


def test_identity_leaves_budgets_out(tmp_path: Path) -> None:
    """More trials, more time and more at once are the same search; another range is not."""
    space = {RATE: {"uniform": [0.1, 0.2]}}

    first = config(tmp_path, space)
    longer = config(tmp_path, space, "trials=9", "concurrent=2", "time_budget_minutes=5")
    other = config(tmp_path, space, f"space.{RATE}.uniform=[0.1, 0.3]")

    assert longer.identity == first.identity
    assert other.identity != first.identity
