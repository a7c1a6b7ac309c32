"""Drawn films: the same on every machine, fair between labels and sites, true to their masks."""

import io
import pickle
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydantic import ValidationError

from lucency.datasets.base import datasets
from lucency.datasets.phantom import Phantom, Thorax, draw, draw_mask


def _pixels(encoded: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(encoded)))


def test_films_do_not_depend_on_the_order_of_reading() -> None:
    """Reading the last film first gives the bytes that reading it last gives."""
    forwards = [sample.read() for sample in Phantom(patients=4, size=64)]

    backwards = [sample.read() for sample in reversed(list(Phantom(patients=4, size=64)))]

    assert forwards == backwards[::-1]


def test_another_seed_gives_other_films() -> None:
    """No film is shared by data sets of two seeds."""
    films = [
        {sample.read() for sample in Phantom(patients=4, size=64, seed=seed)} for seed in (0, 1)
    ]

    assert films[0].isdisjoint(films[1])


def test_length_is_the_number_of_films() -> None:
    """Each patient has one to three films, and all of them are counted."""
    phantom = Phantom(patients=40, size=64)

    films = Counter(sample.patient for sample in phantom)

    assert len(phantom) == films.total()
    assert set(films.values()) == {1, 2, 3}
    assert set(films) == {f"P{number:04d}" for number in range(1, 41)}


def test_prevalence_is_equal_at_both_sites() -> None:
    """Knowing the scanner says nothing about the label."""
    patients = {
        (sample.patient, sample.site, sample.label)
        for sample in Phantom(patients=50, size=64, max_films=1)
    }

    counts = Counter((site, label) for _, site, label in patients)

    assert counts == {
        ("scanner_a", 0): 15,
        ("scanner_a", 1): 15,
        ("scanner_b", 0): 10,
        ("scanner_b", 1): 10,
    }


def test_samples_are_gray_jpegs_of_the_asked_size() -> None:
    """A film travels as a gray JPEG and belongs to no split of the source."""
    sample = next(iter(Phantom(patients=1, size=80)))

    image = Image.open(io.BytesIO(sample.read()))

    assert (image.format, image.mode, image.size) == ("JPEG", "L", (80, 80))
    assert (sample.name, sample.split) == ("P0001_1.jpeg", None)


def test_samples_travel_between_processes() -> None:
    """A pickled sample reads the same film on the other side."""
    sample = next(iter(Phantom(patients=1, size=64)))

    assert pickle.loads(pickle.dumps(sample)).read() == sample.read()


def test_masks_come_with_opacities_alone() -> None:
    """A film has a mask, of its size and not empty, exactly where pneumonia was drawn."""
    for sample in Phantom(patients=12, size=64):
        assert (sample.mask_png is not None) == (sample.label == 1)
        if sample.mask_png is not None:
            assert _pixels(sample.mask_png).shape == (64, 64)
            assert _pixels(sample.mask_png).any()


@pytest.mark.parametrize("site", ["scanner_a", "scanner_b"])
def test_opacities_are_bright_inside_the_mask_only(site: str) -> None:
    """With pneumonia the same film gets brighter within the mask, elsewhere it hardly changes."""
    ill, mask = draw(5, 1, size=128, ill=True, site=site)
    normal, empty = draw(5, 1, size=128, ill=False, site=site)

    added = ill.astype(float) - normal

    assert added[mask].mean() > 15
    assert added[~mask].mean() < 2
    assert not empty.any()


def test_mask_alone_is_the_mask_of_the_film() -> None:
    """The mask found without drawing the film is the film's own."""
    _, mask = draw(3, 2, size=96, ill=True, site="scanner_a")

    np.testing.assert_array_equal(draw_mask(3, 2, size=96), mask)


def test_opacities_lie_in_the_lungs() -> None:
    """Nothing is added outside the lungs, and something is added to every ill patient."""
    for seed in range(20):
        thorax = Thorax(seed, 64)

        added = thorax.opacities()

        assert added.max() > 0.1
        assert not added[sum(thorax.lungs) == 0].any()


def test_brightness_does_not_tell_the_label() -> None:
    """Patients differ more in overall brightness than pneumonia adds to it."""
    films = [(sample.label, sample.read()) for sample in Phantom(patients=60, size=64)]
    means = {label: [_pixels(film).mean() for at, film in films if at == label] for label in (0, 1)}

    assert abs(np.mean(means[1]) - np.mean(means[0])) < np.std(means[0])


def test_label_noise_changes_records_but_not_films() -> None:
    """Weak labels are wrong for about half of the noisy share; films and masks stay."""
    clean = list(Phantom(patients=200, size=64, max_films=1))
    noisy = list(Phantom(patients=200, size=64, max_films=1, label_noise=0.4))

    wrong = sum(a.label != b.label for a, b in zip(clean, noisy, strict=True))

    assert 25 <= wrong <= 55
    assert [sample.mask_png for sample in clean] == [sample.mask_png for sample in noisy]
    assert clean[0].read() == noisy[0].read()


def test_options_are_checked_before_anything_is_drawn() -> None:
    """A film too small to hold a chest is refused when the config is loaded."""
    with pytest.raises(ValidationError, match="size"):
        datasets.options("phantom").model_validate({"name": "phantom", "size": 32})
