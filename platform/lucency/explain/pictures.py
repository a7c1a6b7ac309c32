"""Films with heat over them, PNG; the figures of the page, SVG."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure

from lucency import images
from lucency.evaluation import svg
from lucency.evaluation.svg import BLUE, HAIR, INK, MUTED, ORANGE, WHOLE_IN
from lucency.explain.curves import SHARES, Curves
from lucency.explain.randomise import LIMIT
from lucency.explain.targets import Mask

COLORS = {
    "cam": ORANGE,
    "grad_cam": "#b98412",
    "integrated_gradients": BLUE,
    "saliency": "#2c6e49",
    "chance_patches": MUTED,
    "chance_pixels": "#a9b2ba",
}
_SIDE = 224
_OUTLINE = (86, 200, 255)


def film(gray_hw: np.ndarray, mask_hw: Mask | None = None) -> bytes:
    """One film as the network gets it; its target outlined, where one is known."""
    return images.encode_png(_outlined(_enlarged(gray_hw), mask_hw))


def heat(gray_hw: np.ndarray, map_hw: np.ndarray, mask_hw: Mask | None = None) -> bytes:
    """
    A film under the positive heat of its map, scaled to the map's own maximum.

    Single pixels are smoothed to be seen at all; the figures have them as they are.
    """
    warm = np.clip(map_hw, 0, None).astype(np.float32)
    warm = cv2.GaussianBlur(warm, (0, 0), max(0.8, len(warm) / 96))
    warm = cv2.resize(warm / max(float(warm.max()), 1e-12), (_SIDE, _SIDE))
    colors = cv2.applyColorMap((warm * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    weight = (0.75 * np.sqrt(np.clip(warm, 0, 1)))[:, :, None]
    mixed = _enlarged(gray_hw).astype(np.float32) * (1 - weight) + colors * weight
    return images.encode_png(_outlined(np.rint(mixed).astype(np.uint8), mask_hw))


@svg.style()
def curves(found: Mapping[str, Curves]) -> str:
    """Mean probability of the explained class as pixels go, and as they come."""
    if not any(len(each.deletion_ns) for each in found.values()):
        return svg.missing("curves", "no film was called positive", WHOLE_IN)
    figure = Figure(figsize=(WHOLE_IN, 3.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = "Deletion: a good map falls early", "Insertion: a good map rises early"
    for axes, title, kind in zip(panels, titles, ("deletion_ns", "insertion_ns"), strict=True):
        for name, each in found.items():
            dashes = {"dashes": (4, 2)} if name.startswith("chance") else {}
            values = getattr(each, kind).mean(axis=0)
            axes.plot(SHARES, values, color=COLORS[name], label=name.replace("_", " "), **dashes)
        axes.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xlabel="share of pixels")
        axes.grid(axis="y", color=HAIR, linewidth=0.6)
    panels[0].set_ylabel("mean probability")
    panels[0].legend(fontsize=8)
    return svg.text(figure, "curves", "Deletion and insertion curves by method")


@svg.style()
def randomised(found: Mapping[str, np.ndarray], steps: Sequence[str]) -> str:
    """How alike maps stay as more layers have random weights, by method."""
    figure, axes = svg.canvas(WHOLE_IN, 3.4)
    places = range(len(steps) + 1)
    axes.axhline(LIMIT, color=INK, linewidth=0.9, dashes=(4, 3))
    axes.text(0, LIMIT + 0.015, "limit", color=INK, fontsize=8)
    for name, likeness_ns in found.items():
        values = [1.0, *likeness_ns.mean(axis=0)]
        label = name.replace("_", " ")
        axes.plot(places, values, "o-", markersize=4, color=COLORS[name], label=label)
    axes.set_xticks(places, ["as trained", *(f"down to\n{_short(name)}" for name in steps)])
    axes.set(ylim=(0, 1.05), ylabel="likeness to the map as trained")
    axes.grid(axis="y", color=HAIR, linewidth=0.6)
    axes.legend(fontsize=8)
    return svg.text(figure, "randomised", "Likeness of maps as weights are drawn anew")


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else "\u2026" + name[-most + 1 :]


def _enlarged(gray_hw: np.ndarray) -> np.ndarray:
    gray = np.rint(np.clip(gray_hw, 0, 1) * 255).astype(np.uint8)
    large = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    return np.repeat(large[:, :, None], 3, axis=2)


def _outlined(film_hwc: np.ndarray, mask_hw: Mask | None) -> np.ndarray:
    drawn = np.ascontiguousarray(film_hwc)
    if mask_hw is not None:
        large = cv2.resize(
            mask_hw.astype(np.uint8), (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST
        )
        edges, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, edges, -1, _OUTLINE, 1, cv2.LINE_AA)
    return drawn
