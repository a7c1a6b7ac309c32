"""Predictions over a table on Ray Data."""

from collections.abc import Iterator

import numpy as np
import pytest

from lucency import batch, images
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.datasets.table import Table


def _as_is_and_darker(data: bytes, digest: str) -> Iterator[bytes]:
    film = images.decode(data)
    yield data
    # By digest: a version may depend on the film it is of.
    yield images.encode_png(film // (2 + int(digest[0], 16) % 3))


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_every_version_of_a_film_has_the_predictors_answer(bundle: Artifact, table: Table) -> None:
    """Films keep the order of the rows, versions that of the function."""
    rows = table.rows("validation")[[5, 0, 3, 1, 7]]
    finished: list[int] = []

    given = batch.predict_versions(bundle.path, table, rows, _as_is_and_darker, finished.append)

    predictor = Predictor(bundle.path)
    digests = table.columns["sha256"][rows]
    expected = [
        [predictor.predict_bytes(version).probabilities for version in _as_is_and_darker(*film)]
        for film in zip(table.images(rows), digests, strict=True)
    ]
    np.testing.assert_allclose(given, expected, atol=1e-5)
    assert given.shape == (5, 2, 2)
    assert sum(finished) == 5
