"""The fused warp varies films as albumentations' own chain of four steps does."""

from collections.abc import Callable
from typing import Any

import lucency.environment  # noqa: F401 (albumentations asks the internet while it is imported)

# isort: split
import albumentations
import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from lucency.augment import Augmentation, Augmenter
from lucency.augment.transform import Warp
from lucency.datasets import phantom
from lucency.preprocess import Preprocess

# The chain shifts by whole pixels of the film, so films are large and inputs small.
SIZE, SIDE = 128, 250
LIMITS = Augmentation(
    rotate_degrees=12,
    zoom=0.15,
    keep_aspect=False,
    shift=0.08,
    brightness=0.1,
    contrast=0.2,
    flip=True,
    flip_reason="to compare it too",
)
RGB = Preprocess(size=SIZE, color="RGB", mean=(0.5,) * 3, std=(0.25,) * 3)
# Where the landmarks are, in fractions of the side: a triangle without symmetry.
MARKS = np.array([(0.35, 0.3), (0.7, 0.4), (0.45, 0.68)], np.float32)
DARK, BRIGHT = 90, 170
DRAWS = 600

Chain = Callable[[np.ndarray, int], np.ndarray]


def chain(limits: Augmentation) -> Chain:
    """albumentations' own steps with these limits."""
    steps = albumentations.Compose(
        [
            albumentations.Affine(
                scale=(1 - limits.zoom, 1 + limits.zoom),
                translate_percent=(-limits.shift, limits.shift),
                rotate=(-limits.rotate_degrees, limits.rotate_degrees),
                keep_ratio=limits.keep_aspect,
                p=1.0,
            ),
            albumentations.RandomBrightnessContrast(
                brightness_limit=limits.brightness, contrast_limit=limits.contrast, p=1.0
            ),
            albumentations.HorizontalFlip(p=0.5 if limits.flip else 0.0),
            albumentations.Resize(SIZE, SIZE),
        ]
    )

    def varied(film: np.ndarray, seed: int) -> np.ndarray:
        # Compose would start every step at the same number: shift and contrast would be one draw.
        for place, step in enumerate(steps.transforms):
            step.set_random_seed(len(steps.transforms) * seed + place)
        return np.asarray(steps(image=film)["image"])

    return varied


def landmarks() -> np.ndarray:
    """Discs in the first channel, two gray levels in the others."""
    film = np.zeros((SIDE, SIDE, 3), np.uint8)
    for x, y in MARKS * SIDE - 0.5:
        cv2.circle(film, (round(x * 16), round(y * 16)), 12 * 16, 255, -1, cv2.LINE_AA, shift=4)
    film[:, :, 1:] = DARK, BRIGHT
    return film


def recover(picture: np.ndarray) -> dict[str, float]:
    """What must have been done to the landmarks."""
    _, _, _, centres = cv2.connectedComponentsWithStats((picture[:, :, 0] > 150).astype(np.uint8))
    found = (centres[1:] + 0.5) / SIZE
    assert len(found) == 3
    fits = []
    for flipped in (False, True):
        unflipped = np.where([flipped, False], 1 - found, found)
        gaps = np.linalg.norm(MARKS[:, None] - unflipped[None], axis=2)
        fits.append((gaps.min(axis=1).sum(), flipped, unflipped[gaps.argmin(axis=1)]))
    _, flipped, placed = min(fits, key=lambda fit: fit[0])
    affine = cv2.getAffineTransform(MARKS - 0.5, placed.astype(np.float32) - 0.5)
    dark, bright = (float(picture[SIZE // 2, SIZE // 2, channel]) for channel in (1, 2))
    contrast = (bright - dark) / (BRIGHT - DARK)
    return {
        "angle": np.degrees(np.arctan2(-affine[1, 0], affine[0, 0])),
        "zoom_x": np.hypot(affine[0, 0], affine[1, 0]),
        "zoom_y": np.hypot(affine[0, 1], affine[1, 1]),
        "shift_x": affine[0, 2],
        "shift_y": affine[1, 2],
        "flipped": float(flipped),
        "contrast": contrast,
        "brightness": (dark - DARK * contrast) / 255,
    }


def recovered(varied: Chain) -> dict[str, np.ndarray]:
    """The parameters of many draws."""
    film = landmarks()
    found = [recover(varied(film, seed)) for seed in range(DRAWS)]
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def fused(film: np.ndarray, seed: int) -> np.ndarray:
    """The Augmenter's picture."""
    return Augmenter(LIMITS, RGB).picture(film, seed)


def test_parameters_are_distributed_as_in_the_chain() -> None:
    """Angle, zoom, shift, mirror, contrast and brightness, measured on the pictures alone."""
    ours, theirs = recovered(fused), recovered(chain(LIMITS))

    agreement = {name: stats.ks_2samp(ours[name], theirs[name]).pvalue for name in ours}

    # Eight comparisons: by chance alone the least of them is under this in one run of 25.
    assert min(agreement.values()) > 0.005, agreement
    for name in ours:
        np.testing.assert_allclose(ours[name].std(), theirs[name].std(), rtol=0.08, err_msg=name)
        np.testing.assert_allclose(np.ptp(ours[name]), np.ptp(theirs[name]), rtol=0.08)


def test_drawn_parameters_are_what_the_pictures_show() -> None:
    """The variation that the Augmenter names is the one it applies."""
    augmenter, film = Augmenter(LIMITS, RGB), landmarks()

    for seed in range(30):
        named, shown = augmenter.variation(seed), recover(augmenter.picture(film, seed))
        assert shown["flipped"] == named.flipped
        assert abs(shown["angle"] - np.degrees(named.angle)) < 1
        assert abs(shown["zoom_x"] - named.zoom_x) < 0.02
        assert abs(shown["zoom_y"] - named.zoom_y) < 0.02
        assert abs(shown["shift_x"] - named.shift_x) < 0.01
        assert abs(shown["shift_y"] - named.shift_y) < 0.01
        assert abs(shown["contrast"] - named.contrast) < 0.02


def test_no_parameter_depends_on_another() -> None:
    """Draws are independent, but for the zooms of both axes where the aspect is kept."""
    kept = Augmenter(LIMITS.model_copy(update={"keep_aspect": True}), RGB)
    free = np.array([Augmenter(LIMITS, RGB).variation(seed)[:8] for seed in range(2000)], float)

    correlation = np.corrcoef(free.T) - np.eye(8)

    assert np.abs(correlation).max() < 0.08
    assert all(kept.variation(seed).zoom_x == kept.variation(seed).zoom_y for seed in range(20))


def test_film_varies_pixel_by_pixel_as_in_the_chain() -> None:
    """Each pixel's mean and deviation differ no more than from one run of the chain to the next."""
    film = phantom.draw(1, 1, size=SIDE, ill=True, site="scanner_a")[0][:, :, None]
    gray = LIMITS.model_copy(update={"flip": False})
    augmenter, steps = Augmenter(gray, Preprocess(size=SIZE)), chain(gray)

    def moments(varied: Chain, first: int) -> tuple[np.ndarray, np.ndarray]:
        many = [varied(film, seed)[:, :, 0] for seed in range(first, first + DRAWS)]
        return np.mean(many, axis=0), np.std(many, axis=0)

    ours, theirs, again = moments(augmenter.picture, 0), moments(steps, 0), moments(steps, DRAWS)
    for found, expected, other in zip(ours, theirs, again, strict=True):
        by_chance = np.abs(other - expected).mean()
        assert np.abs(found - expected).mean() < 1.5 * by_chance
        assert np.abs(found - other).mean() < 1.5 * by_chance


def warp_in(**options: Any) -> albumentations.Compose:
    """A pipeline that others may have around the warp."""
    return albumentations.Compose([Warp(size=48, **options)], seed=3)


def test_mask_moves_with_its_film() -> None:
    """A mask gets no value that it did not have, and stays where its film went."""
    mask = np.zeros((80, 60), np.uint8)
    mask[20:50, 15:40] = 200

    moved = warp_in(zoom=0.2, flip=True, flip_reason="a test")(image=mask, mask=mask)

    assert moved["image"].shape == moved["mask"].shape == (48, 48)
    assert set(np.unique(moved["mask"])) == {0, 200}
    overlap = ((moved["image"] > 100) == (moved["mask"] > 100)).mean()
    assert overlap > 0.97


def test_film_and_mask_have_the_same_border() -> None:
    """Where a film is mirrored at its edge its mask is too, and both move by whole pixels."""
    mask = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.uint8)
    options = {"rotate_degrees": 0, "zoom": 0, "whole_pixels": True, "border": "mirror"}

    moved = warp_in(shift=0.2, **options)(image=mask, mask=mask)

    assert not np.array_equal(moved["image"], mask)
    np.testing.assert_array_equal(moved["image"], moved["mask"])


def test_warp_travels_as_a_description() -> None:
    """A pipeline written down and read again does the same."""
    film = landmarks()
    first = warp_in(rotate_degrees=15, keep_aspect=False)
    description = albumentations.to_dict(first)

    second = albumentations.from_dict(description)
    first.set_random_seed(5)
    second.set_random_seed(5)

    assert description["transform"]["transforms"][0]["rotate_degrees"] == 15
    np.testing.assert_array_equal(first(image=film)["image"], second(image=film)["image"])


def test_warp_in_a_pipeline_refuses_what_the_limits_do() -> None:
    """A pipeline can't ask for more than a configuration may."""
    with pytest.raises(ValidationError, match="heart on the wrong side"):
        Warp(flip=True)
