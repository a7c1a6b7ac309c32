"""What a recipe promises before a worker starts."""

from pathlib import Path
from typing import Any

import pytest

from lucency.config.train import Recipe, TrainConfig
from lucency.errors import ConfigError


def changed(recipe: Recipe, **values: Any) -> Recipe:
    """The recipe with other values at its top level."""
    return Recipe.from_mapping(recipe.plain() | values, "test")


def test_scaling_does_not_name_the_run(recipe: Recipe) -> None:
    """A run goes on under its name with other workers, on other hardware."""
    wider = changed(recipe, scaling={"workers": 4, "gpu": True, "max_failures": 0})

    assert wider.identity("a" * 64) == recipe.identity("a" * 64)


@pytest.mark.parametrize(
    "values",
    [
        {"seed": 1},
        {"batch_size": 8},
        {"loss": "focal"},
        {"augmentation": None},
        {"sampling": "shuffle"},
        {"shuffle_window": 999},
        {"phases": [{"epochs": 3, "learning_rate": 0.003}]},
    ],
)
def test_whatever_is_learned_names_the_run(recipe: Recipe, values: dict[str, Any]) -> None:
    """A recipe that learns something else is another run."""
    assert changed(recipe, **values).identity("a" * 64) != recipe.identity("a" * 64)


def test_data_name_the_run(recipe: Recipe) -> None:
    """The same recipe on other films is another run."""
    assert recipe.identity("a" * 64) != recipe.identity("b" * 64)


@pytest.mark.parametrize("workers", [17, [1, 17]])
def test_every_worker_has_a_film_of_each_batch(recipe: Recipe, workers: Any) -> None:
    """More workers than films in a batch are refused with both numbers; a rest is not."""
    with pytest.raises(ConfigError, match="batch_size 16 leaves some of 17 workers without a film"):
        changed(recipe, scaling={"workers": workers})

    assert changed(recipe, scaling={"workers": 3}).scaling.most == 3


def test_workers_are_a_number_or_a_range(recipe: Recipe) -> None:
    """A number is its own range; the fewest can't be more than the most."""
    fixed = changed(recipe, scaling={"workers": 2}).scaling
    elastic = changed(recipe, scaling={"workers": [1, 4]}).scaling

    assert (fixed.fewest, fixed.most) == (2, 2)
    assert (elastic.fewest, elastic.most) == (1, 4)
    with pytest.raises(ConfigError, match="the fewest workers, 4, are more than the most, 1"):
        changed(recipe, scaling={"workers": [4, 1]})


def test_run_begins_anew_or_goes_on(recipe: Recipe) -> None:
    """A command that asks for both is refused: one of them throws away what the other needs."""
    plain = {"table": "data", "runs": "runs", "recipe": recipe.plain()}

    with pytest.raises(ConfigError, match="fresh begins anew and resume goes on: give one of them"):
        TrainConfig.from_mapping({**plain, "fresh": True, "resume": True}, "test")


@pytest.mark.parametrize("name", ["../runs", "a/b", ".hidden", "", "x" * 65])
def test_name_of_a_run_is_one_folder(recipe: Recipe, name: str) -> None:
    """A name that would leave the folder for runs, or hide in it, is refused."""
    plain = {"table": "data", "runs": "runs", "recipe": recipe.plain()}

    with pytest.raises(ConfigError, match="name"):
        TrainConfig.from_mapping({**plain, "name": name}, "test")


def test_epochs_are_those_of_all_phases(recipe: Recipe) -> None:
    """The length of a run is the sum of its phases."""
    two = changed(
        recipe,
        phases=[
            {"epochs": 1, "learning_rate": 0.01, "train": "head"},
            {"epochs": 5, "learning_rate": 0.001},
        ],
    )

    assert two.epochs == 6


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"phases": []}, "phases"),
        ({"phases": [{"epochs": 0, "learning_rate": 1}]}, "phases.0.epochs"),
        ({"phases": [{"epochs": 1, "learning_rate": 0}]}, "phases.0.learning_rate"),
        ({"phases": [{"epochs": 1, "learning_rate": 1, "train": "trunk"}]}, "phases.0.train"),
        ({"precision": "fp8"}, "precision"),
        ({"model": {"name": "small", "width": 1}}, "model.width"),
        ({"optimizer": {"name": "adamw", "weight_decay": -1}}, "optimizer.weight_decay"),
        ({"augmentation": {"flip": True}}, "augmentation"),
        ({"scaling": {"workers": 0}}, "scaling.workers"),
        ({"preprocess": {"size": 32, "color": "RGB"}}, "preprocess"),
    ],
)
def test_value_that_can_not_train_is_refused(
    recipe: Recipe, values: dict[str, Any], place: str
) -> None:
    """A value outside its limits is refused at its place, in whatever part it stands."""
    with pytest.raises(ConfigError) as caught:
        changed(recipe, **values)

    # Where a value may be of several kinds, each kind says below the place what it expects.
    assert str(caught.value).startswith((f"test: {place}: ", f"test: {place}."))


@pytest.mark.parametrize(
    "loss", ["bce", "focal", {"name": "cross_entropy", "balance": True}], ids=str
)
def test_imbalance_is_answered_once(recipe: Recipe, loss: Any) -> None:
    """Weighted sampling with a loss that balances too is refused, unless that is meant."""
    with pytest.raises(ConfigError, match="both answer the classes' imbalance"):
        changed(recipe, sampling="weighted", loss=loss)

    assert changed(recipe, sampling="weighted", loss=loss, stack_imbalance=True)


@pytest.mark.parametrize(
    ("sampling", "loss"),
    [("weighted", {"name": "bce", "balance": False}), ("stratified", "focal"), ("shuffle", "bce")],
)
def test_one_answer_to_imbalance_is_taken(recipe: Recipe, sampling: str, loss: Any) -> None:
    """Sampling or loss may balance, each alone."""
    assert changed(recipe, sampling=sampling, loss=loss).sampling == sampling


def test_config_reads_back_from_its_own_yaml(recipe: Recipe, tmp_path: Path) -> None:
    """A finished run's stored configuration is the one it was started with."""
    config = TrainConfig(table=Path("data"), runs=Path("runs"), recipe=recipe)
    stored = tmp_path / "config.yaml"
    stored.write_text(config.to_yaml())

    again = TrainConfig.from_file(stored)

    assert again == config
    assert again.digest == config.digest


LITE0 = {"name": "backbone", "timm": "tf_efficientnet_lite0", "weights": "package"}


def normalised_by(mean: Any, std: Any, model: Any, color: str = "L") -> dict[str, Any]:
    """What a recipe says of a film's numbers and of the network."""
    return {
        "preprocess": {"size": 32, "color": color, "mean": mean, "std": std},
        "model": model,
    }


@pytest.mark.parametrize(
    ("model", "color", "mean", "std"),
    [
        (LITE0, "L", (0.5,), (0.5,)),
        (LITE0, "RGB", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        (
            {"name": "backbone", "torchvision": "resnet18", "weights": "cache"},
            "RGB",
            (0.485, 0.456, 0.406),
            (0.229, 0.224, 0.225),
        ),
        ({"name": "vgg16", "weights": "cache"}, "L", (0.449,), (0.226,)),
    ],
)
def test_weights_say_how_films_are_normalised(
    recipe: Recipe, model: Any, color: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """The word ``weights`` becomes the numbers of the weights' record, one a channel."""
    found = changed(recipe, **normalised_by("weights", "weights", model, color)).preprocess

    assert found.mean == pytest.approx(mean)
    assert found.std == pytest.approx(std)


def test_numbers_and_the_word_for_them_are_one_recipe(recipe: Recipe) -> None:
    """A run is named by the numbers, so it goes on whichever way they were written."""
    word = changed(recipe, **normalised_by("weights", "weights", LITE0))
    numbers = changed(recipe, **normalised_by([0.5], [0.5], LITE0))

    assert word.plain() == numbers.plain()
    assert word.identity("a" * 64) == numbers.identity("a" * 64)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("small", "model 'small' has no published weights"),
        ("vgg16", "model 'vgg16' starts from scratch (weights: none)"),
        (
            {"name": "backbone", "torchvision": "raft_large", "weights": "cache"},
            "no normalisation is recorded for weights 'cache' of model 'backbone'",
        ),
        (
            {"name": "backbone", "timm": "resnet_eighteen", "weights": "cache"},
            "no normalisation is recorded for weights 'cache' of model 'backbone'",
        ),
        ({"name": "backbone", "weights": "cache"}, "give exactly one of timm and torchvision"),
    ],
)
def test_weights_without_a_record_are_refused(recipe: Recipe, model: Any, reason: str) -> None:
    """Nothing is guessed: the message says why there are no numbers, and which to write."""
    with pytest.raises(ConfigError) as caught:
        changed(recipe, **normalised_by("weights", "weights", model, "RGB"))

    assert reason in str(caught.value)
    if "exactly one" not in reason:
        assert "such as mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]" in str(caught.value)


@pytest.mark.parametrize(("mean", "std"), [("weights", [0.25]), ([0.5], "weights")])
def test_weights_give_mean_and_deviation_together(recipe: Recipe, mean: Any, std: Any) -> None:
    """One from the record and the other by hand would normalise like nothing that was trained."""
    with pytest.raises(ConfigError, match="weights stands for mean and std together, here one"):
        changed(recipe, **normalised_by(mean, std, LITE0))


def test_wrong_model_is_the_only_error(recipe: Recipe) -> None:
    """A typing error in the model is not followed by one about the word that is right."""
    with pytest.raises(ConfigError) as caught:
        changed(recipe, **normalised_by("weights", "weights", {**LITE0, "tim": "x"}))

    assert str(caught.value).startswith("test: model.tim: unknown key")
    assert "preprocess" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.phases.0.train=top", r"train: found 'top', expected 'head' or 'all' or: input"),
        ("recipe.scaling.workers=0", r"workers: found 0, expected: input should be greater"),
        ("recipe.scaling.workers=[1,x]", r"workers\.1: found 'x', expected: input"),
        (
            "recipe.phases.0.schedule={name: reduce_on_plateau, patience: 5}",
            r"patience 5 ends the run before schedule reduce_on_plateau has waited its 5 epochs",
        ),
    ],
)
def test_error_is_where_a_person_wrote_it(override: str, message: str) -> None:
    """A value of several kinds is told of once, under its own key."""
    with pytest.raises(ConfigError, match=message) as refused:
        TrainConfig.from_file(Path("configs/train/phantom.yaml"), [override])

    assert "constrained" not in str(refused.value)
    assert "literal" not in str(refused.value)
