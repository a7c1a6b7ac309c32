"""Films are varied within limits, repeatably, and never mirrored without a reason."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from lucency.augment import Augmentation, Augmenter
from lucency.preprocess import Preprocess

STILL = Augmentation(rotate_degrees=0, zoom=0, shift=0, brightness=0, contrast=0)
# Half a pixel more than two, of 48.
SHARP = STILL.model_copy(update={"shift": 2.5 / 48, "whole_pixels": True, "border": "mirror"})
FILM = np.random.default_rng(0).integers(40, 200, (64, 80, 1)).astype(np.uint8)
SQUARE = FILM[:48, :48]
PREPROCESS = Preprocess(size=48, mean=(0.4,), std=(0.2,))
COLOR = Preprocess(size=48, color="RGB", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def augmenter_of(augmentation: Augmentation) -> Augmenter:
    """For gray films and inputs of 48 px."""
    return Augmenter(augmentation, PREPROCESS)


def test_same_seed_gives_the_same_film() -> None:
    """A film's variation depends on its seed and not on the films before it."""
    augmenter = augmenter_of(Augmentation())

    first = augmenter(FILM, 7)
    augmenter(FILM, 8)

    np.testing.assert_array_equal(augmenter(FILM, 7), first)
    np.testing.assert_array_equal(augmenter_of(Augmentation())(FILM, 7), first)


def test_another_seed_gives_another_film() -> None:
    """Two epochs show two variations; seeds may be as large as a hash, or negative."""
    augmenter = augmenter_of(Augmentation())

    films = {augmenter(FILM, seed).tobytes() for seed in (1, 2, -1, 2**32 - 1, 2**64 + 1)}

    assert len(films) == 5


@pytest.mark.parametrize("preprocess", [PREPROCESS, COLOR], ids=["L", "RGB"])
def test_varied_film_is_an_input(preprocess: Preprocess) -> None:
    """What comes out is what the network takes, in values as in shape."""
    film = np.repeat(FILM, preprocess.channels, axis=2)

    varied = Augmenter(Augmentation(), preprocess)(film, 3)

    assert varied.shape == (preprocess.channels, 48, 48)
    assert varied.dtype == np.float32
    assert varied.flags.c_contiguous


@pytest.mark.parametrize("preprocess", [PREPROCESS, COLOR], ids=["L", "RGB"])
def test_picture_shows_what_the_network_gets(preprocess: Preprocess) -> None:
    """A person looks at the very film, not at one like it."""
    augmenter = Augmenter(Augmentation(blur_sigma=2), preprocess)
    film = np.repeat(FILM, preprocess.channels, axis=2)

    for seed in range(6):
        shown = preprocess.normalise(augmenter.picture(film, seed))
        np.testing.assert_array_equal(augmenter(film, seed), shown)


def test_input_is_written_where_it_is_wanted() -> None:
    """A batch is filled in place."""
    batch = np.zeros((2, 1, 48, 48), np.float32)
    augmenter = augmenter_of(Augmentation())

    given = augmenter(FILM, 5, out=batch[1])

    assert np.shares_memory(given, batch)
    assert not batch[0].any()
    np.testing.assert_array_equal(batch[1], augmenter(FILM, 5))


@pytest.mark.parametrize("shape", [(48, 48), (64, 80), (95, 49), (30, 20)])
def test_no_variation_is_plain_preprocessing(shape: tuple[int, int]) -> None:
    """With every limit at zero a film comes out as it does in validation and serving."""
    film = np.random.default_rng(1).integers(0, 256, (*shape, 1)).astype(np.uint8)

    for seed in range(3):
        varied = augmenter_of(STILL).picture(film, seed).astype(int)
        assert np.abs(varied - PREPROCESS.resize(film)).max() <= (shape != (48, 48))


def test_given_film_is_not_changed() -> None:
    """The caller's array may be a cached film, so it is left as it was."""
    before = FILM.copy()

    augmenter_of(Augmentation(blur_sigma=2))(FILM, 4)

    np.testing.assert_array_equal(FILM, before)


def test_flip_with_a_reason_mirrors_half_of_the_films() -> None:
    """Each film is either itself or its mirror image, and both occur."""
    justified = STILL.model_copy(update={"flip": True, "flip_reason": "rice has no left side"})
    augmenter = augmenter_of(justified)

    pictures = [augmenter.picture(SQUARE, seed) for seed in range(40)]

    mirrored = [np.array_equal(picture, SQUARE[:, ::-1]) for picture in pictures]
    itself = [np.array_equal(picture, SQUARE) for picture in pictures]
    assert 10 < sum(mirrored) < 30
    assert sum(mirrored) + sum(itself) == 40


def test_whole_pixels_leave_a_film_sharp() -> None:
    """Every picture is a window of the mirrored film, pixel by pixel, each as often as others."""
    around = np.pad(SQUARE, ((2, 2), (2, 2), (0, 0)), mode="reflect")
    windows = {
        around[row : row + 48, column : column + 48].tobytes(): (row, column)
        for row in range(5)
        for column in range(5)
    }
    augmenter = augmenter_of(SHARP)

    found = Counter(windows[augmenter.picture(SQUARE, seed).tobytes()] for seed in range(1000))

    assert len(found) == 25
    assert stats.chisquare(list(found.values())).pvalue > 0.001


def test_fractions_of_a_pixel_blur() -> None:
    """Without whole pixels the same limits give pictures that are no window of the film."""
    augmenter = augmenter_of(SHARP.model_copy(update={"whole_pixels": False}))

    spread = [augmenter.picture(SQUARE, seed).std() for seed in range(20)]

    assert np.median(spread) < 0.8 * SQUARE.std()


def test_larger_film_is_shifted_after_it_is_shrunk() -> None:
    """Whole pixels are those of the input, whatever the size of the film."""
    film = np.random.default_rng(2).integers(0, 256, (70, 60, 1)).astype(np.uint8)
    augmenter = augmenter_of(SHARP)
    inside = slice(3, -3), slice(3, -3)

    for seed in range(10):
        variation = augmenter.variation(seed)
        shift = round(48 * variation.shift_y), round(48 * variation.shift_x)
        expected = np.roll(PREPROCESS.resize(film), shift, axis=(0, 1))
        picture = augmenter.picture(film, seed)
        assert np.abs(picture[inside].astype(int) - expected[inside]).max() <= 1


def test_unjustified_flip_never_happens() -> None:
    """Without flip no seed mirrors a film."""
    augmenter = augmenter_of(STILL)

    assert not any(augmenter.variation(seed).flipped for seed in range(40))


def test_half_of_the_films_are_blurred() -> None:
    """Blurring takes away sharpness from some films and leaves the others as they were."""
    augmenter = augmenter_of(STILL.model_copy(update={"blur_sigma": 3.0}))

    sharp = [np.array_equal(augmenter.picture(SQUARE, seed), SQUARE) for seed in range(60)]
    spread = [augmenter.picture(SQUARE, seed).std() for seed in range(60)]

    assert 15 < sum(sharp) < 45
    assert min(spread) < 0.5 * SQUARE.std()


def test_limits_do_not_share_their_draws() -> None:
    """Turning one variation off leaves the others as they were drawn."""
    every, some = Augmentation(), Augmentation(zoom=0, brightness=0)

    one, other = (augmenter_of(augmentation).variation(9) for augmentation in (every, some))

    assert (one.angle, one.shift_x, one.contrast) == (other.angle, other.shift_x, other.contrast)
    assert (other.zoom_x, other.brightness) == (1, 0)


def test_serving_has_no_augmentation() -> None:
    """What predicts, for evaluation, batch jobs and HTTP, does not even load this code."""
    code = (
        "import lucency.bundle.predictor, sys;"
        "print([name for name in sys.modules if 'augment' in name or 'albument' in name])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
