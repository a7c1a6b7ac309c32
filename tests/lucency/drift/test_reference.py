"""What a reference keeps of validation films, and how a film is described."""

import numpy as np
import pytest

from lucency.drift import kernel
from lucency.drift.reference import (
    BINS,
    CELLS,
    FEATURES,
    STREAMS,
    DriftReference,
    describe,
    fit,
    ranks,
)


def films(number: int) -> dict[str, np.ndarray]:
    """All features of films, normally distributed."""
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=number) for name in FEATURES}


def test_bins_hold_equal_shares() -> None:
    """Ten bins of a smooth feature hold a tenth of the reference films each."""
    feature = fit(films(5000)).features["brightness"]

    assert len(feature.edges) == BINS - 1
    assert feature.shares == pytest.approx([0.1] * BINS, abs=0.001)


def test_few_values_are_all_kept() -> None:
    """Of 200 films each value stands in the reference, in order."""
    given = films(200)

    feature = fit(given).features["contrast"]

    assert feature.values == pytest.approx(sorted(given["contrast"]), rel=1e-6)
    assert ranks(feature, 200).tolist() == list(range(1, 201))


def test_many_values_keep_their_ranks() -> None:
    """Of 5000 films 512 values are kept, and each knows how many films are at or under it."""
    given = films(5000)

    feature = fit(given).features["contrast"]

    found = ranks(feature, 5000)
    assert len(found) == 512
    assert found[[0, -1]].tolist() == [1, 5000]
    assert feature.values == pytest.approx(np.sort(given["contrast"])[found - 1], rel=1e-6)


def test_equal_values_share_the_last_rank() -> None:
    """Of a constant feature all films are at or under its one value."""
    feature = fit({"contrast": np.full(50, 0.5)}).features["contrast"]

    assert set(ranks(feature, 50)) == {50}


def test_reference_survives_json() -> None:
    """What travels in a bundle is what was fitted, and is small."""
    fitted = fit(films(3000))

    text = fitted.model_dump_json(indent=2)

    assert DriftReference.model_validate_json(text) == fitted
    assert len(text) < 200_000


def test_every_stream_has_a_reference() -> None:
    """Quality, embedding and prediction are watched; cells only together, as a thumbnail."""
    fitted = fit(films(150))

    assert set(fitted.features) == set(STREAMS)
    assert fitted.thumbnails is not None
    assert np.array(fitted.thumbnails.films).shape == (150, len(CELLS))


def test_reference_without_thumbnails_has_none() -> None:
    """A reference can be fitted on scores alone."""
    fitted = fit({"probability": np.linspace(0, 1, 50)})

    assert fitted.thumbnails is None
    assert set(fitted.features) == {"probability"}


def test_nearness_leaves_a_film_itself_out() -> None:
    """A film of the reference is compared with the others, as a new film will be."""
    given = films(40)
    cells_nd = np.round(np.stack([given[cell] for cell in CELLS], axis=1), 5)

    fitted = fit(given)

    assert fitted.thumbnails is not None
    alike = kernel.gaussian(cells_nd, cells_nd, fitted.thumbnails.bandwidth)
    expected = np.sort((alike.sum(axis=1) - 1) / 39)
    np.testing.assert_allclose(fitted.features["thumbnail"].values, expected, rtol=1e-6)


def test_film_is_described_by_its_pixels() -> None:
    """Brightness, contrast and sharpness of stripes of 0 and 1 are a half, a half and one."""
    stripes_chw = np.tile(np.array([0.0, 1.0], dtype=np.float32), (1, 8, 4))

    found = describe(stripes_chw)

    assert set(found) == set(FEATURES) - {"probability"}
    assert [found[name] for name in ("brightness", "contrast", "sharpness")] == [0.5, 0.5, 1.0]


def test_cells_are_means_of_equal_parts() -> None:
    """Sixteen parts of a film, row by row, also where its side is no multiple of four."""
    plane = np.kron(np.arange(16.0).reshape(4, 4), np.ones((8, 8))).astype(np.float32)
    odd_chw = np.random.default_rng(0).normal(size=(1, 30, 30)).astype(np.float32)

    found, odd = describe(plane[None]), describe(odd_chw)

    assert [found[cell] for cell in CELLS] == pytest.approx(list(range(16)))
    assert np.mean([odd[cell] for cell in CELLS]) == pytest.approx(odd_chw.mean(), abs=1e-6)


def test_color_is_described_by_its_mean() -> None:
    """A film of three channels is looked at in gray."""
    rgb_chw = np.random.default_rng(1).normal(size=(3, 16, 16)).astype(np.float32)

    assert describe(rgb_chw) == pytest.approx(describe(rgb_chw.mean(axis=0, keepdims=True)))
