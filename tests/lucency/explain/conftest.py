"""One small study for all tests of what is made of it."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from lucency.explain.study import Films, Study, study
from tests.lucency.explain.networks import SIDE, bright, spot


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Films of 16 px: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def films() -> Films:
    """Six films with bright spots, which are known, and two without."""
    places = [(slice(r, r + 4), slice(c, c + 4)) for r, c in ((0, 4), (4, 8), (8, 0)) * 2]
    gray = torch.full((2, 1, SIDE, SIDE), 0.2)
    images = torch.cat([*(spot(*place) for place in places), gray])
    masks = {n: images[n, 0].numpy() > 0.5 for n in range(len(places))}
    return Films(
        images,
        labels_n=np.array([1] * 6 + [0] * 2),
        patients_n=np.array([f"P{n // 2}" for n in range(8)]),
        targets={"opacity": masks},
    )


@pytest.fixture(scope="package")
def small_study(films: Films) -> Study:
    """The films explained for the network that answers by bright pixels."""
    return study(bright(), films, batch_size=3, randomised_films=4, seed_number=0)
