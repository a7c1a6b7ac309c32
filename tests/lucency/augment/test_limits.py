"""What may be asked of an augmentation, and what may not."""

import pytest
from pydantic import ValidationError

from lucency.augment import Augmentation


@pytest.mark.parametrize("reason", ["", "  "])
def test_flip_needs_a_reason(reason: str) -> None:
    """A mirrored chest has its heart on the wrong side, so somebody must answer for it."""
    with pytest.raises(ValidationError, match="heart on the wrong side"):
        Augmentation(flip=True, flip_reason=reason)


@pytest.mark.parametrize("option", ["rotate_degrees", "zoom", "shift", "brightness", "contrast"])
def test_limits_are_bounded(option: str) -> None:
    """A variation that no film in practice shows is refused, as is a negative one."""
    for value in (-0.01, 90):
        with pytest.raises(ValidationError, match=option):
            Augmentation.model_validate({option: value})


@pytest.mark.parametrize("limits", [{}, {"rotate_degrees": 0}, {"zoom": 0}])
def test_whole_pixels_allow_nothing_that_interpolates(limits: dict[str, float]) -> None:
    """Whoever asks for sharp images and turns them is told which of the two to give up."""
    with pytest.raises(ValidationError, match="interpolate whatever the shift is"):
        Augmentation.model_validate({"whole_pixels": True, **limits})

    assert Augmentation(whole_pixels=True, rotate_degrees=0, zoom=0).shift == 0.05
