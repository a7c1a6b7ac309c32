"""
What a core does with films on their way to a network, beside what others do with the same bytes.

    .venv/bin/python bench/pipeline.py [--seconds 20] [--only train serve] [--json result.json]

One process, one thread, CPU time. All contestants of a race take turns in short rounds; a ratio
is the median over the rounds, so that other work on the machine hits them alike. Films are drawn.
"""

import argparse
import importlib.metadata
import io
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lucency.environment  # noqa: F401 (albumentations asks the internet while it is imported)

# isort: split
import albumentations
import cv2
import numpy as np
import simplejpeg
import torch
from albumentations.pytorch import ToTensorV2
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from lucency.augment import Augmentation, Augmenter
from lucency.datasets import phantom
from lucency.preprocess import Preprocess

ROUNDS = 7
LIMITS = Augmentation()
GRAY = Preprocess(size=224)
# What networks pretrained on ImageNet take; torchvision's own loader of folders gives it too.
COLOR = Preprocess(size=224, color="RGB", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

# Does its work on some films and says how many.
Contestant = Callable[[], int]


@dataclass(frozen=True)
class Bar:
    """
    A ratio of speeds that was promised.

    Attributes:
        least: ``ours`` is at least this many times as fast as ``other``.
    """

    ours: str
    other: str
    least: float


@dataclass(frozen=True)
class Race:
    """Contestants that take turns, and what is expected of them."""

    title: str
    contestants: dict[str, Contestant]
    bars: Sequence[Bar]


@dataclass
class Result:
    """Films per second and core of each contestant, round by round."""

    speeds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Films per second."""
        return statistics.median(self.speeds[name])

    def ratio(self, ours: str, other: str) -> float:
        """How many times as fast, by the median over the rounds."""
        pairs = zip(self.speeds[ours], self.speeds[other], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def run(race: Race, seconds: float) -> Result:
    """Let the contestants take turns for about that long in all."""
    result = Result({name: [] for name in race.contestants})
    slice_s = seconds / ROUNDS / len(race.contestants)
    for contestant in race.contestants.values():
        contestant()  # what is loaded or allocated once is not counted
    for _ in range(ROUNDS):
        for name, contestant in race.contestants.items():
            result.speeds[name].append(_speed(contestant, slice_s))
    return result


def _speed(contestant: Contestant, seconds: float) -> float:
    films, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        films += contestant()
    return films / spent


def report(race: Race, result: Result) -> dict[str, Any]:
    """Print a race's figures and bars, and give them as data."""
    print(f"\n{race.title}")
    for name in race.contestants:
        speed = result.median(name)
        print(f"  {name:<36}{speed:>10,.0f} films/s {1e6 / speed:>10,.0f} us")
    bars = []
    for bar in race.bars:
        ratio = result.ratio(bar.ours, bar.other)
        reached = ratio >= bar.least
        print(
            f"  {'reached' if reached else 'MISSED '}  {bar.ours} / {bar.other}: "
            f"{ratio:.3f}, at least {bar.least:.3f}"
        )
        bars.append(
            {"ours": bar.ours, "other": bar.other, "ratio": round(ratio, 4), "reached": reached}
            | {"least": round(bar.least, 4)}
        )
    speeds = {name: round(result.median(name), 1) for name in race.contestants}
    return {"films_per_s": speeds, "bars": bars}


def jpegs(count: int, height: int, width: int, quality: int) -> list[bytes]:
    """Gray films as a camera's JPEGs, all different."""
    films = []
    for number in range(count):
        site = sorted(phantom.SCANNERS)[number % len(phantom.SCANNERS)]
        drawn, _ = phantom.draw(number, 1, size=max(height, width), ill=number % 3 == 0, site=site)
        stream = io.BytesIO()
        Image.fromarray(drawn[:height, :width]).save(stream, "JPEG", quality=quality)
        films.append(stream.getvalue())
    return films


def each(films: Sequence[Any], work: Callable[[Any], object]) -> Contestant:
    """All films in turn."""

    def contestant() -> int:
        for film in films:
            work(film)
        return len(films)

    return contestant


def ours_augmented(
    films: Sequence[Any], recipe: Preprocess, working: Callable[[Any], np.ndarray]
) -> Contestant:
    """Our samples, written into a batch; seeds go on, so that no sample comes twice."""
    augmenter = Augmenter(LIMITS, recipe)
    batch = np.empty((len(films), recipe.channels, recipe.size, recipe.size), np.float32)
    seeds = iter(range(sys.maxsize))

    def contestant() -> int:
        for place, film in enumerate(films):
            augmenter(working(film), next(seeds), batch[place])
        return len(films)

    return contestant


class PillowFilms(Dataset[torch.Tensor]):
    """The usual data set: Pillow opens, torchvision's transforms vary."""

    def __init__(
        self, films: Sequence[bytes], mode: str, transform: Callable[[Image.Image], Any]
    ) -> None:
        self.films = films
        self.mode = mode
        self.transform = transform

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, place: int) -> torch.Tensor:
        """One film."""
        sample: torch.Tensor = self.transform(
            Image.open(io.BytesIO(self.films[place])).convert(self.mode)
        )
        return sample


def torchvision_augmented(
    films: Sequence[bytes], recipe: Preprocess, *, fused: bool = False
) -> Contestant:
    """
    DataLoader in this process, transforms of the second version on Pillow's images.

    Args:
        fused: All geometry in one RandomAffine, which takes a reader of its source to find;
            otherwise one transform a variation, as tutorials have it.
    """
    bilinear = v2.InterpolationMode.BILINEAR
    shift, zoom = (LIMITS.shift, LIMITS.shift), (1 - LIMITS.zoom, 1 + LIMITS.zoom)
    turn = LIMITS.rotate_degrees
    geometry: list[Any] = [
        v2.RandomRotation(turn, interpolation=bilinear),
        v2.RandomAffine(0, translate=shift, scale=zoom, interpolation=bilinear),
    ]
    if fused:
        geometry = [v2.RandomAffine(turn, translate=shift, scale=zoom, interpolation=bilinear)]
    transform = v2.Compose(
        [
            *geometry,
            v2.ColorJitter(brightness=LIMITS.brightness, contrast=LIMITS.contrast),
            v2.Resize((recipe.size, recipe.size)),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(recipe.mean, recipe.std),
        ]
    )
    loader = DataLoader(
        PillowFilms(films, recipe.color, transform), batch_size=len(films), num_workers=0
    )
    return lambda: sum(len(batch) for batch in loader)


def albumentations_augmented(
    films: Sequence[bytes], recipe: Preprocess, *, fused: bool = False
) -> Contestant:
    """
    OpenCV decodes, albumentations varies.

    Args:
        fused: All geometry in one Affine; otherwise a chain of one step a variation.
    """
    turn, zoom = LIMITS.rotate_degrees, (1 - LIMITS.zoom, 1 + LIMITS.zoom)
    shift = (-LIMITS.shift, LIMITS.shift)
    geometry: list[Any] = [
        albumentations.Rotate(limit=turn, p=1.0),
        albumentations.Affine(scale=zoom, keep_ratio=True, p=1.0),
        albumentations.Affine(translate_percent=shift, p=1.0),
    ]
    if fused:
        geometry = [
            albumentations.Affine(
                rotate=(-turn, turn), scale=zoom, translate_percent=shift, keep_ratio=True, p=1.0
            )
        ]
    steps = albumentations.Compose(
        [
            *geometry,
            albumentations.RandomBrightnessContrast(
                brightness_limit=LIMITS.brightness, contrast_limit=LIMITS.contrast, p=1.0
            ),
            albumentations.Resize(recipe.size, recipe.size),
            albumentations.Normalize(recipe.mean, recipe.std),
            ToTensorV2(),
        ]
    )
    return each(films, lambda film: steps(image=opencv_pixels(film, recipe))["image"])


def opencv_pixels(film: bytes, recipe: Preprocess) -> np.ndarray:
    """h x w x c by OpenCV, full size."""
    flag = cv2.IMREAD_GRAYSCALE if recipe.color == "L" else cv2.IMREAD_COLOR_RGB
    pixels = np.asarray(cv2.imdecode(np.frombuffer(film, np.uint8), flag))
    return pixels.reshape(*pixels.shape[:2], -1)


def train(recipe: Preprocess = GRAY) -> Race:
    """
    Augmented training samples of 224 px from gray films of 256 px.

    The others run in three forms: as tutorials write them (one transform a variation, films as
    RGB, which torchvision's loader of folders and OpenCV's reader give unasked), the same on
    our number of channels, and with their geometry fused by hand.
    """
    films = jpegs(64, 256, 256, quality=90)
    working = [recipe.working(film) for film in films]
    contestants = {
        "ours, from JPEG": ours_augmented(
            films, recipe, lambda film: recipe.working(film, checked=True)
        ),
        "ours, from cached uint8": ours_augmented(working, recipe, lambda film: film),
        "torchvision, tutorial, RGB": torchvision_augmented(films, COLOR),
        "torchvision, same channels": torchvision_augmented(films, recipe),
        "torchvision, fused": torchvision_augmented(films, recipe, fused=True),
        "albumentations, tutorial, RGB": albumentations_augmented(films, COLOR),
        "albumentations, same channels": albumentations_augmented(films, recipe),
        "albumentations, fused": albumentations_augmented(films, recipe, fused=True),
        "decoding alone (simplejpeg)": each(
            films, lambda film: simplejpeg.decode_jpeg(film, "GRAY")
        ),
    }
    bars = [Bar("ours, from JPEG", "decoding alone (simplejpeg)", 0.30)]
    for form in ("tutorial, RGB", "same channels", "fused"):
        bars += [
            Bar("ours, from JPEG", f"torchvision, {form}", 10),
            Bar("ours, from cached uint8", f"torchvision, {form}", 20),
            Bar("ours, from JPEG", f"albumentations, {form}", 5),
        ]
    return Race(
        f"train: {kilobytes(films):.0f} kB gray JPEG of 256 px -> augmented 224 px sample, "
        f"{recipe.channels} channels",
        contestants,
        bars,
    )


def serve() -> Race:
    """A film as it is posted to the service, unchecked and unknown, to the network's input."""
    films = jpegs(6, 800, 1000, quality=88)
    side = GRAY.size

    def pillow(film: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(film)).convert("L").resize((side, side))
        return ((np.asarray(image, np.float32) / 255 - GRAY.mean[0]) / GRAY.std[0])[None].astype(
            np.float32
        )

    def opencv(film: bytes) -> np.ndarray:
        image = cv2.resize(opencv_pixels(film, GRAY), (side, side), interpolation=cv2.INTER_AREA)
        return ((image.astype(np.float32) / 255 - GRAY.mean[0]) / GRAY.std[0])[None].astype(
            np.float32
        )

    return Race(
        f"serve: {kilobytes(films):.0f} kB gray JPEG of 1000 x 800 px -> 224 px input",
        {
            "ours": each(films, GRAY),
            "scaled decoding alone (simplejpeg)": each(
                films,
                lambda film: simplejpeg.decode_jpeg(film, "GRAY", min_height=side, min_width=side),
            ),
            "Pillow": each(films, pillow),
            "OpenCV": each(films, opencv),
        },
        [Bar("ours", "scaled decoding alone (simplejpeg)", 1 / 1.10)],
    )


def kilobytes(films: Sequence[bytes]) -> float:
    """Mean size."""
    return sum(map(len, films)) / len(films) / 1000


# A further race is a function that gives a Race, and its name here.
RACES: dict[str, Callable[[], Race]] = {
    "train": train,
    "train_color": lambda: train(COLOR),
    "serve": serve,
}


def setting() -> dict[str, str]:
    """What the figures depend on."""
    packages = ("numpy", "opencv-python-headless", "simplejpeg", "pillow", "albumentations")
    more = ("torch", "torchvision")
    return {"machine": processor(), "python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in (*packages, *more)
    }


def processor() -> str:
    """Its name where the system tells it, else its kind."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Run the races that are asked for; the last line is their figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="for each race (20)")
    parser.add_argument("--only", nargs="+", choices=RACES, default=list(RACES))
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    found: dict[str, Any] = {"setting": setting()}
    for name in options.only:
        race = RACES[name]()
        found[name] = report(race, run(race, options.seconds))
    line = json.dumps(found)
    if options.json:
        options.json.write_text(line + "\n")
    print(f"\n{line}")


if __name__ == "__main__":
    main()
