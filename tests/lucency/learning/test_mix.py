"""Blending films of a batch."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lucency.learning.mix import Mix, Mixer

MIXUP = Mix(mixup=0.8)
CUTMIX = Mix(mixup=0.0, cutmix=1.0)


def batch(n: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels in turn, and flat films whose value is their label's number from 1."""
    labels_n = torch.arange(n) % classes
    values = (labels_n + 1.0)[:, None, None, None]
    return values.expand(n, 2, 8, 8).contiguous(), labels_n


@pytest.mark.parametrize("classes", [2, 3, 8])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("mix", [MIXUP, CUTMIX], ids=["mixup", "cutmix"])
def test_labels_follow_the_films(mix: Mix, n: int, classes: int) -> None:
    """A film that is 0.3 of one and 0.7 of another has 0.3 and 0.7 of their labels."""
    images_nchw, labels_n = batch(n, classes)

    blended_nchw, targets_nc = Mixer(mix, classes)(images_nchw, labels_n, 5)

    share_of_value_n = targets_nc @ torch.arange(1.0, classes + 1)
    torch.testing.assert_close(blended_nchw.mean(dim=(1, 2, 3)), share_of_value_n)
    torch.testing.assert_close(targets_nc.sum(dim=1), torch.ones(n))
    assert targets_nc.dtype == torch.float32


@pytest.mark.parametrize(("n", "alone"), [(1, [0]), (5, [0]), (4, [])])
def test_first_film_of_an_odd_batch_has_no_partner(n: int, alone: list[int]) -> None:
    """Every other film is blended with one that is not itself."""
    images_nchw, labels_n = batch(n, classes=n)

    blended_nchw, _ = Mixer(MIXUP, n)(images_nchw, labels_n, 5)

    untouched = (blended_nchw == images_nchw).all(dim=(1, 2, 3))
    assert untouched.nonzero()[:, 0].tolist() == alone


@pytest.mark.parametrize(("mix", "values"), [(MIXUP, 1), (CUTMIX, 2)], ids=["mixup", "cutmix"])
def test_kinds_of_blending(mix: Mix, values: int) -> None:
    """mixup lays one film over all of the other, CutMix pastes a part of it in."""
    images_nchw, labels_n = batch(2)

    blended_nchw, _ = Mixer(mix, 3)(images_nchw, labels_n, 5)

    assert len(blended_nchw[0].unique()) == values
    assert not torch.equal(blended_nchw, images_nchw)


def test_seed_decides_all() -> None:
    """The same seed gives the same blend, another one another."""
    images_nchw, labels_n = batch(6)
    mixer = Mixer(Mix(mixup=0.8, cutmix=1.0), 3)

    first, again, other = (mixer(images_nchw, labels_n, seed)[0] for seed in (7, 7, 2**32 + 8))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_others_draw_as_if_nothing_was_blended() -> None:
    """NumPy's global generator goes on where it stood."""
    images_nchw, labels_n = batch(4)
    mixer = Mixer(MIXUP, 3)
    np.random.seed(3)
    expected = np.random.rand(2)
    np.random.seed(3)

    found = [np.random.rand()]
    mixer(images_nchw, labels_n, 11)
    found.append(np.random.rand())

    np.testing.assert_array_equal(found, expected)


def test_films_given_stay_as_they_are() -> None:
    """The caller's batch is not written to, and its layout in memory is kept."""
    images_nchw, labels_n = batch(5)
    images_nchw = images_nchw.to(memory_format=torch.channels_last)
    before = images_nchw.clone()

    blended_nchw, _ = Mixer(MIXUP, 3)(images_nchw, labels_n, 5)

    assert torch.equal(images_nchw, before)
    assert blended_nchw.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("options", "share"), [({"probability": 0.25}, 0.25), ({}, 1.0)])
def test_probability_is_that_of_a_batch(options: dict[str, Any], share: float) -> None:
    """So often a batch is blended at all."""
    images_nchw, labels_n = batch(2)
    mixer = Mixer(Mix(mixup=1.0, **options), 3)

    blended = [
        not torch.equal(mixer(images_nchw, labels_n, seed)[0], images_nchw) for seed in range(200)
    ]

    assert np.mean(blended) == pytest.approx(share, abs=0.08)


def test_switch_is_the_share_of_cutmix() -> None:
    """Where both are on, so often it is CutMix; flat films tell: a paste leaves two values."""
    images_nchw, labels_n = batch(2)
    mixer = Mixer(Mix(mixup=1.0, cutmix=1.0, switch=0.8), 3)

    pasted = [
        set(mixer(images_nchw, labels_n, seed)[0].unique().tolist()) <= {1.0, 2.0}
        for seed in range(200)
    ]

    assert np.mean(pasted) == pytest.approx(0.8, abs=0.08)


def test_blending_nothing_is_a_mistake() -> None:
    """Both alphas 0 would blend nothing in silence."""
    with pytest.raises(ValidationError, match="mixup and cutmix are both 0"):
        Mix(mixup=0.0)
