"""From films to figures, and what speaks against a method."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from lucency.evaluation.intervals import Interval
from lucency.explain import figures, methods
from lucency.explain.methods import Method
from lucency.explain.network import Network
from lucency.explain.study import Films, Study, study
from tests.lucency.explain.networks import bright

GOOD = Interval(0.3, 0.2, 0.4)
NOTHING = Interval(0.1, -0.1, 0.3)
CHANCE = {"opacity": Interval(0.1, 0.05, 0.15)}


def figures_of(**changed: Any) -> dict[str, Any]:
    """Figures of a method that nothing speaks against, unless something is changed."""
    return {
        "randomised": [Interval(0.9, 0.8, 1.0), GOOD],
        "deletion_gain": GOOD,
        "insertion_gain": GOOD,
        "pointing": {"opacity": GOOD},
        **changed,
    }


def test_good_figures_leave_no_doubt() -> None:
    """Likeness in the middle of the cascade does not count, only where all is random."""
    assert figures.doubts(figures_of(), CHANCE) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"randomised": [GOOD, Interval(0.48, 0.4, 0.56)]}, "fails the sanity check"),
        ({"deletion_gain": NOTHING}, "take the answer away no sooner"),
        ({"insertion_gain": NOTHING}, "bring it back no sooner"),
        ({"pointing": {"opacity": NOTHING}}, "points at the opacity no more often"),
    ],
)
def test_each_weakness_is_named(changed: dict[str, Any], said: str) -> None:
    """One sentence for what is not shown beyond chance, by the whole interval."""
    (found,) = figures.doubts(figures_of(**changed), CHANCE)

    assert said in found


def test_true_reasons_are_hit(small_study: Study, films: Films) -> None:
    """On a network that reads bright spots alone, its maps point there; chance covers 1/16."""
    found = figures.record(small_study, films)

    for name in ("cam", "saliency", "integrated_gradients"):
        assert found["methods"][name]["pointing"]["opacity"]["value"] == 1.0
    assert found["methods"]["saliency"]["heat_inside"]["opacity"]["value"] == 1.0
    assert found["chance"]["pointing"]["opacity"]["value"] == 0.0625
    assert found["methods"]["saliency"]["deletion_gain"]["lower"] > 0
    assert json.loads(json.dumps(found)) == found


def test_film_drawn_as_its_own_map_fails(monkeypatch: pytest.MonkeyPatch, films: Films) -> None:
    """A method that never asks the network is found out by random weights."""

    def film(_: Network, images: torch.Tensor, __: torch.Tensor) -> torch.Tensor:
        return images[:, 0]

    monkeypatch.setitem(methods.METHODS, "film", Method(film, "nobody", "pixels"))
    found = study(bright(), films, batch_size=8, randomised_films=4, seed_number=0)

    record = figures.record(found, films)["methods"]["film"]

    assert record["randomised"][-1]["value"] == pytest.approx(1.0)
    assert "fails the sanity check" in record["doubts"][0]


def test_no_films_have_no_mean() -> None:
    """Where nothing was to be measured there is no figure, and no invented one."""
    found = figures.mean(np.empty(0), np.empty(0))

    assert np.isnan(found.value)
    assert figures._plain(found) is None


def test_interval_counts_patients() -> None:
    """Ten films of one patient say less than ten of ten."""
    values = np.array([0.0, 1.0] * 5)

    alone = figures.mean(values, np.arange(10))
    shared = figures.mean(values, np.array([0, 1] * 5))

    assert alone.value == shared.value == 0.5
    assert shared.upper - shared.lower > alone.upper - alone.lower
