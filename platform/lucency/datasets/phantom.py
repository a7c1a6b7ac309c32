"""
Drawn frontal chest films, the data set that every part of the platform runs on by default.

A film is a sum of densities (body, air, bones, vessels, opacities) in the frame of a patient,
moved by the pose of one exposure and developed by one of two scanners. Nothing is downloaded
and nothing is a person's. Drawn films prove the platform, they say nothing about medicine.
"""

import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from lucency.datasets.base import Sample, datasets
from lucency.seed import derive, generator

Plane = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Share = Annotated[float, Field(ge=0, le=1)]


def _outline(corners: str) -> Points:
    return np.array(corners.split(), np.float64).reshape(-1, 2)


# Outlines in the thorax's own frame, "x y  x y": x from the midline (0) to the lateral wall (1),
# y from the apex (0) to the costophrenic angle (1). The patient's right is the image's left.
LUNG = _outline(
    "0.44 0  0.27 0.04  0.18 0.14  0.17 0.3  0.2 0.45  0.2 0.62  0.2 0.8  0.22 0.88  0.4 0.83 "
    "0.6 0.82  0.78 0.86  0.9 0.93  0.97 1.04  1 0.93  1 0.74  0.98 0.55  0.92 0.37  0.81 0.19 "
    "0.64 0.04"
)
HEART = _outline(
    "0.1 0.3  0.22 0.34  0.26 0.44  0.42 0.54  0.58 0.66  0.66 0.8  0.58 0.93  0.2 0.98 "
    "-0.18 0.96  -0.32 0.86  -0.36 0.73  -0.3 0.6  -0.18 0.5  -0.15 0.3"
)
MEDIASTINUM = _outline("-0.16 0.05  0.16 0.05  0.27 0.22  0.2 0.5  -0.2 0.5")
BREAST = _outline("0.2 -0.25  0.9 -0.3  1.05 0  0.6 0.16  0.22 0.08")
TORSO = _outline(
    "-0.3 -0.6  -0.32 -0.12  -0.62 -0.04  -1.5 0.12  -1.5 0.2  -1.18 0.4  -1.12 0.7  -1.16 1.6 "
    "1.16 1.6  1.12 0.7  1.18 0.4  1.5 0.2  1.5 0.12  0.62 -0.04  0.32 -0.12  0.3 -0.6"
)
VISIBLE_DENSITY = 0.04  # what an opacity must add before a reader could be asked to see it


@dataclass(frozen=True)
class Scanner:
    """How one machine turns densities into gray values; lengths are shares of the film's side."""

    gamma: float
    noise: float
    blur: float
    collimation: tuple[float, float]
    marker: str
    marker_xy: tuple[float, float]


SCANNERS = {
    "scanner_a": Scanner(1.35, 0.01, 0.0022, (0.0, 0.015), "R", (0.06, 0.12)),
    "scanner_b": Scanner(1.75, 0.018, 0.0042, (0.02, 0.06), "L", (0.86, 0.17)),
}


@datasets.register("phantom")
class Phantom:
    """
    Patients with one to a few drawn films each, normal or with opacities in the lungs.

    Label and scanner are crossed by quota, so prevalence is the same at both sites. Everything
    follows from ``seed``, whatever the order in which samples are read.

    Args:
        size: Side of the square films in px.
        site_b_share: Share of patients whose films come from ``scanner_b``.
        label_noise: Share of patients whose recorded label is drawn anew, whatever the film
            shows; their masks still tell the truth.
    """

    classes: tuple[str, ...] = ("NORMAL", "PNEUMONIA")

    def __init__(
        self,
        *,
        patients: Annotated[int, Field(ge=1)] = 600,
        size: Annotated[int, Field(ge=64, le=2048)] = 192,
        prevalence: Share = 0.5,
        max_films: Annotated[int, Field(ge=1)] = 3,
        site_b_share: Share = 0.4,
        label_noise: Share = 0.0,
        seed: int = 0,
    ) -> None:
        self.size = size
        self.prevalence = prevalence
        self.label_noise = label_noise
        self.seed = seed
        self.films = [
            int(generator(seed, "patient", index, "films").integers(1, max_films + 1))
            for index in range(patients)
        ]
        order = generator(seed, "quota").permutation(patients)
        at_b = round(site_b_share * patients)
        self.at_b = frozenset(order[:at_b].tolist())
        self.ill = frozenset(
            index
            for site in (order[:at_b], order[at_b:])
            for index in site[: round(prevalence * len(site))].tolist()
        )

    def __len__(self) -> int:
        return sum(self.films)

    def __iter__(self) -> Iterator[Sample]:
        for index, films in enumerate(self.films):
            for film in range(1, films + 1):
                yield self._sample(index, film)

    def _sample(self, index: int, film: int) -> Sample:
        site = "scanner_b" if index in self.at_b else "scanner_a"
        ill = index in self.ill
        patient = f"P{index + 1:04d}"
        seed = derive(self.seed, "patient", index)
        return Sample(
            name=f"{patient}_{film}.jpeg",
            read=functools.partial(_jpeg, seed, film, self.size, ill, site),
            label=self._recorded(index, ill),
            patient=patient,
            site=site,
            mask_png=_png(draw_mask(seed, film, size=self.size)) if ill else None,
        )

    def _recorded(self, index: int, ill: bool) -> int:
        rng = generator(self.seed, "patient", index, "label")
        anew, drawn = rng.random(2)
        return int(drawn < self.prevalence if anew < self.label_noise else ill)


def draw(
    seed: int, film: int, *, size: int, ill: bool, site: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """
    One film, (h, w), and where opacities can be seen on it.

    Args:
        seed: The patient: anatomy and opacities are the same on all of the patient's films.
        film: The exposure: pose, dose and noise are its own.
    """
    thorax = Thorax(seed, size)
    density = thorax.density()
    added = thorax.opacities() if ill else np.zeros_like(density)
    rng = generator(seed, "film", film)
    pose = _pose(rng, size)
    exposed = _warp(density + added, pose, cv2.BORDER_REPLICATE)
    visible = _warp(added, pose, cv2.BORDER_CONSTANT) > VISIBLE_DENSITY
    return _develop(exposed, SCANNERS[site], rng), visible


def draw_mask(seed: int, film: int, *, size: int) -> npt.NDArray[np.bool_]:
    """The mask that ``draw`` gives for an ill patient, without drawing the film."""
    pose = _pose(generator(seed, "film", film), size)
    return _warp(Thorax(seed, size).opacities(), pose, cv2.BORDER_CONSTANT) > VISIBLE_DENSITY


class Thorax:
    """One patient's chest, as planes of density in an upright frame; bright is dense."""

    def __init__(self, seed: int, size: int) -> None:
        self.seed = seed
        self.size = size
        rng = generator(seed, "build")
        self.half_width = rng.uniform(0.35, 0.41)
        self.top = rng.uniform(0.1, 0.16)
        self.height = rng.uniform(0.64, 0.74)
        self.thickness = rng.uniform(0.85, 1.15)
        self.heart_size = rng.uniform(0.82, 1.25)
        self.rib_slope = rng.uniform(0.05, 0.17)
        self.breasts = rng.uniform(0.03, 0.09) if rng.random() < 0.35 else 0.0
        self.vessels = rng.uniform(0.05, 0.15)
        self.dome = rng.uniform(-0.03, 0.03, 2) - (0.05, 0.0)
        self.heart = self._fill(HEART * (self.heart_size, 1), 0.006)
        self.lungs = [self._lung(side) for side in (-1, 1)]
        self.branches = self._branches(generator(seed, "branches"))

    def density(self) -> Plane:
        """Everything but disease."""
        rng = generator(self.seed, "tissue")
        lungs = self.lungs[0] + self.lungs[1]
        air = lungs * (0.45 + 0.55 * self._blur(lungs, 0.05)) * (1 - 0.82 * self.heart)
        torso = self._fill(TORSO, 0.004)
        y = np.linspace(-self.top, 1 - self.top, self.size, dtype=np.float32)[:, None]
        tissue = 0.58 + 0.14 * y / self.height + 0.03 * self._noise(rng, 5)
        body = torso * (0.2 + 0.8 * self._blur(torso, 0.08)) * self.thickness * tissue
        body += 0.1 * self.heart + 0.08 * self._fill(MEDIASTINUM, 0.02) - 0.46 * air
        body += self._bones(torso) + self.vessels * self.branches * air
        body += self.breasts * self._breasts(rng)
        return np.maximum(body - self._airways(rng), 0) * torso

    def opacities(self) -> Plane:
        """What pneumonia adds: one to three consolidations or patchy infiltrates in the lungs."""
        rng = generator(self.seed, "opacities")
        added = np.zeros((self.size, self.size), np.float32)
        severity = rng.beta(2.2, 1.0)
        for _ in range(rng.integers(1, 4)):
            lung = self.lungs[rng.integers(2)] * (1 - 0.85 * self.heart)
            inside = np.flatnonzero(self._blur(lung, 0.02) > 0.8)
            y, x = divmod(int(inside[rng.integers(len(inside))]), self.size)
            radius = self.size * rng.uniform(0.11, 0.15 + 0.1 * severity)
            consolidated = rng.random() < 0.6
            rough = self._noise(rng, 7 if consolidated else 22)
            # Never a hole at the centre: there would be opacities that nobody can see.
            rough -= min(rough[y, x], 0)
            near = self._distance(x, y, rng.uniform(0.7, 1.4)) / radius
            spread = 1.1 - near + (0.35 if consolidated else 0.7) * rough
            patch = np.clip(spread * (1.6 if consolidated else 1.1), 0, 1)
            if consolidated:
                patch *= 1 - 0.3 * self.branches
            peak = 0.18 + 0.2 * severity if consolidated else 0.17 + 0.18 * severity
            added = np.maximum(added, peak * patch * lung)
        return added

    def _xy(self, points: Points) -> Points:
        return self.size * (points * (self.half_width, self.height) + (0.5, self.top))

    def _fill(self, outline: Points, softness: float) -> Plane:
        plane = np.zeros((self.size, self.size), np.float32)
        corners = np.round(self._xy(_smooth(outline)) * 16).astype(np.int32)
        cv2.fillPoly(plane, [corners], 1.0, cv2.LINE_8, 4)
        return self._blur(plane, softness)

    def _stroke(self, plane: Plane, lines: Points, width: float, density: float) -> None:
        """Draw polylines (n, points, 2) into a plane."""
        points = list(np.round(self._xy(lines) * 16).astype(np.int32))
        pixels = max(1, round(width * self.size))
        cv2.polylines(plane, points, False, density, pixels, cv2.LINE_8, 4)

    def _blur(self, plane: Plane, sigma: float) -> Plane:
        if sigma >= 0.02:
            # On a small copy: on the whole film wide kernels took two thirds of the time.
            small = cv2.resize(plane, (64, 64), interpolation=cv2.INTER_AREA)
            small = cv2.GaussianBlur(small, (0, 0), sigma * 64)
            return np.asarray(cv2.resize(small, plane.shape), np.float32)
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma * self.size), np.float32)

    def _noise(self, rng: np.random.Generator, cells: int) -> Plane:
        grid = rng.standard_normal((cells, cells), np.float32)
        wide = cv2.resize(grid, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        return np.asarray(wide, np.float32)

    def _distance(self, x: float, y: float, aspect: float) -> Plane:
        row = np.arange(self.size, dtype=np.float32)
        return np.sqrt(((row - x) * aspect)[None, :] ** 2 + ((row - y) / aspect)[:, None] ** 2)

    def _lung(self, side: int) -> Plane:
        outline = LUNG.copy()
        outline[7:11, 1] += self.dome[max(side, 0)]
        return self._fill(outline * (side, 1), 0.005)

    def _bones(self, torso: Plane) -> Plane:
        plane = np.zeros_like(torso)
        x = np.linspace(0, 1, 14)
        rib = np.linspace(-0.02, 0.82, 9)[:, None]
        back = rib - 0.1 * np.sin(np.pi * x) * (1 - x) + 2 * self.rib_slope * x**2.2
        front = rib + 0.2 + 2 * self.rib_slope * (1 - x) ** 1.2
        clavicle = 0.1 - 0.1 * x[None] + 0.02 * np.sin(2 * np.pi * x)
        for side in (-1, 1):
            self._stroke(plane, _lines(side * (0.38 + 0.64 * x), front), 0.02, 0.035)
            self._stroke(plane, _lines(side * (0.1 + 0.92 * x), back), 0.024, 0.075)
            self._stroke(plane, _lines(side * (0.1 + 0.95 * x), clavicle), 0.03, 0.12)
        vertebrae = np.arange(-0.3, 1.3, 0.085)[:, None] + (0, 0.05)
        self._stroke(plane, _lines(np.zeros(2), vertebrae), 0.075, 0.09)
        return self._blur(plane, 0.006) * torso

    def _branches(self, rng: np.random.Generator) -> Plane:
        """Vessels that leave both hila, fork and taper; 1 where they are thickest."""
        plane = np.zeros((self.size, self.size), np.float32)
        side = np.repeat([-1.0, 1.0], 9)
        start = np.stack([0.22 * side, np.full(18, 0.42)], 1)
        angle = np.tile(np.linspace(-1.3, 1.4, 9), 2)
        for width in (0.021, 0.017, 0.013, 0.01, 0.008, 0.006):
            angle = angle + rng.normal(0, 0.15, len(angle))
            course = np.stack([side * np.cos(angle), np.sin(angle)], 1)
            end = start + rng.uniform(0.08, 0.13, (len(start), 1)) * course
            self._stroke(plane, np.stack([start, end], 1), width, min(1.0, 0.15 + 42 * width))
            forks = rng.random(len(end)) < 0.45
            start, side = np.concatenate([end, end[forks]]), np.append(side, side[forks])
            angle = np.append(angle, angle[forks] + rng.choice((-0.6, 0.6), forks.sum()))
        return self._blur(plane, 0.004)

    def _breasts(self, rng: np.random.Generator) -> Plane:
        low = BREAST + np.array([0, rng.uniform(0.7, 0.85)])
        return self._fill(low * (-1, 1), 0.015) + self._fill(low, 0.015)

    def _airways(self, rng: np.random.Generator) -> Plane:
        plane = np.zeros((self.size, self.size), np.float32)
        fork = np.array([rng.uniform(-0.05, 0.02), 0.3])
        self._stroke(plane, np.array([[(0.0, -0.5), (0.0, -0.05), fork]]), 0.035, 0.12)
        bronchi = fork + np.array([[(0, 0), (-0.2, 0.1)], [(0, 0), (0.2, 0.1)]])
        self._stroke(plane, bronchi, 0.02, 0.07)
        x, y = self._xy(np.array([0.5, 1.02]))
        stomach = np.clip(2 - self._distance(x, y, 0.8) / (0.04 * self.size), 0, 1)
        plane = self._blur(plane, 0.008)
        plane += rng.uniform(0, 0.14) * stomach
        return plane


def _lines(x: Points, y: Points) -> Points:
    return np.stack(np.broadcast_arrays(x, y), -1)


def _smooth(outline: Points) -> Points:
    """A closed outline with its corners cut twice (Chaikin, 1974)."""
    for _ in range(2):
        ahead = np.roll(outline, -1, 0)
        both = [0.75 * outline + 0.25 * ahead, 0.25 * outline + 0.75 * ahead]
        outline = np.stack(both, 1).reshape(-1, 2)
    return outline


def _pose(rng: np.random.Generator, size: int) -> Points:
    angle, (dx, dy), scale = rng.normal(0, 2), rng.normal(0, 0.015, 2), rng.uniform(0.96, 1.04, 2)
    matrix = np.array(cv2.getRotationMatrix2D((size / 2, size / 2), angle, 1.0), np.float64)
    matrix[:, :2] *= scale
    matrix[:, 2] += size * (np.array([dx, dy]) + (1 - scale) / 2)
    return matrix


def _warp(plane: Plane, pose: Points, border: int) -> Plane:
    size = plane.shape[::-1]
    return np.asarray(cv2.warpAffine(plane, pose, size, borderMode=border), np.float32)


def _develop(density: Plane, scanner: Scanner, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """What the machine makes of the rays that come through: blur, contrast, noise, frame."""
    size = len(density)
    film = cv2.GaussianBlur(density, (0, 0), max(scanner.blur * size, 0.3))
    film = (1 - np.exp(-rng.normal(1.9, 0.12) * film)) ** scanner.gamma
    film += scanner.noise * rng.standard_normal(film.shape, np.float32)
    gray = np.asarray(np.clip(film * 255, 0, 255), np.uint8)
    x, y = (round(share * size) for share in scanner.marker_xy)
    cv2.putText(gray, scanner.marker, (x, y), cv2.FONT_HERSHEY_DUPLEX, size / 320, 240, 1)
    left, right, top, bottom = (rng.uniform(*scanner.collimation, 4) * size).astype(int)
    window = np.zeros_like(gray)
    window[top : size - bottom, left : size - right] = 1
    return gray * window


def _jpeg(seed: int, film: int, size: int, ill: bool, site: str) -> bytes:
    drawn, _ = draw(seed, film, size=size, ill=ill, site=site)
    return _encoded(drawn, "JPEG", quality=92)


def _png(mask: npt.NDArray[np.bool_]) -> bytes:
    return _encoded(mask.astype(np.uint8) * 255, "PNG")


def _encoded(plane: npt.NDArray[np.uint8], form: str, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(plane).save(stream, form, **options)
    return stream.getvalue()
