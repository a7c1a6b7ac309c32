"""The batch-size job as a person meets it."""

import json

import pytest

from tests.processes import run_job

DEFAULT = "configs/batch_size/default.yaml"


@pytest.mark.ray
@pytest.mark.slow
def test_last_line_names_the_size() -> None:
    """A table for people on stderr; one JSON object with the size to take on stdout."""
    done = run_job("batch_size", DEFAULT, "classes=2", "most=4", "seconds=0.05")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    tried = {size["films"]: size for size in found["sizes"]}
    assert found["micro_batch"] in tried
    assert found["images_per_s"] == tried[found["micro_batch"]]["images_per_s"] > 0
    assert "films at once" in done.stderr


def test_mistake_in_the_recipe_is_one_clear_line() -> None:
    """What is wrong with the training configuration is said before anything starts."""
    done = run_job("batch_size", DEFAULT, "overrides=[recipe.precision=fp8]")

    assert done.returncode == 2
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "recipe.precision: found 'fp8'" in error
