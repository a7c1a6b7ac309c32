"""How far a film may be varied."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# What lies beyond the edge of a film that was moved.
Border = Literal["black", "mirror"]


class Augmentation(BaseModel):
    """
    How far a film may be varied; all limits are symmetric and drawn uniformly.

    Attributes:
        rotate_degrees: Films are hung upright; more than 15 degrees is not seen in practice.
        zoom: 0.1 means 0.9 to 1.1 times the size.
        keep_aspect: False draws the zoom of width and height apart. For sets whose classes differ
            in aspect ratio: once squeezed to a square, the shape of the chest would tell the class.
        shift: Share of the side.
        whole_pixels: Shift by whole pixels of the input. A fraction of a pixel is interpolated,
            and at 32 px a network then learns from blurred images and is asked about sharp ones.
            Half a pixel more than a whole number makes all shifts equally likely: 2.5 / 32.
        border: What comes in where a film was shifted, turned or shrunk away: black, or the film
            itself as in a mirror at its edge.
        brightness: Share of the full range added or taken away.
        contrast: 0.1 means 0.9 to 1.1 times the contrast.
        blur_sigma: Half of the films are blurred, by up to this many pixels; scanners and
            shrinking by different factors leave different sharpness.
        flip: Mirror half of the films. A mirrored chest has its heart on the wrong side, so
            this needs a ``flip_reason``.
        flip_reason: Why mirroring is right for these data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotate_degrees: Annotated[float, Field(ge=0, le=15)] = 10.0
    zoom: Annotated[float, Field(ge=0, le=0.3)] = 0.1
    keep_aspect: bool = True
    shift: Annotated[float, Field(ge=0, le=0.2)] = 0.05
    whole_pixels: bool = False
    border: Border = "black"
    brightness: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    contrast: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    blur_sigma: Annotated[float, Field(ge=0, le=5)] = 0.0
    flip: bool = False
    flip_reason: str = ""

    @model_validator(mode="after")
    def _flip_is_justified(self) -> "Augmentation":
        if self.flip and not self.flip_reason.strip():
            raise ValueError(
                "flip is on without a flip_reason: a mirrored chest has its heart on the wrong "
                "side; say why that is right for these data, or switch flip off"
            )
        return self

    @model_validator(mode="after")
    def _whole_pixels_stay_whole(self) -> "Augmentation":
        if self.whole_pixels and (self.rotate_degrees or self.zoom):
            raise ValueError(
                f"whole_pixels is on with rotate_degrees {self.rotate_degrees:g} and zoom "
                f"{self.zoom:g}, which interpolate whatever the shift is: set both to 0, or "
                "switch whole_pixels off"
            )
        return self
