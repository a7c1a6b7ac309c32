"""Text in the pixels is flagged; anatomy and lone markers are not."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lucency import images
from lucency.datasets.phantom import Phantom
from lucency.dicom.burned_in import burned_in_text

NAME = "DOE^JANE 12.03.1961"


def drawn(film: np.ndarray, text: str, size: int, place: tuple[int, int], gray: int) -> np.ndarray:
    """The film with text in one gray, in Pillow's own letters."""
    picture = Image.fromarray(film)
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(picture).text(place, text, font=font, fill=gray)
    return np.asarray(picture)


@pytest.fixture(scope="module")
def anatomy() -> np.ndarray:
    """A drawn film of 512 px."""
    film = next(iter(Phantom(patients=1, size=512, max_films=1, seed=3))).read()
    return images.decode(film)[:, :, 0]


def test_anatomy_is_no_text(anatomy: np.ndarray) -> None:
    """A film without text has no lines."""
    assert burned_in_text(anatomy) == []


@pytest.mark.parametrize("size", [14, 20, 28, 40])
@pytest.mark.parametrize(("ground", "gray"), [(0, 255), (255, 0), (40, 200)])
def test_name_is_found_where_it_stands(
    anatomy: np.ndarray, size: int, ground: int, gray: int
) -> None:
    """Small and large, white on dark and dark on light, on a bar at the border."""
    film = anatomy.copy()
    film[:70] = ground

    boxes = burned_in_text(drawn(film, NAME, size, (10, 10), gray))

    assert boxes
    assert all(top + height <= 75 for _, top, _, height in boxes)
    assert max(left + width for left, _, width, _ in boxes) > 100


@pytest.mark.parametrize("marker", ["L", "R", "PA", "AP"])
def test_marker_is_no_line(anatomy: np.ndarray, marker: str) -> None:
    """The letters that every film has say nothing about a person."""
    film = anatomy.copy()
    film[:70] = 0

    assert burned_in_text(drawn(film, marker, 40, (20, 10), 255)) == []


def test_flat_and_noisy_pictures_have_no_text() -> None:
    """Neither nothing nor noise is a line."""
    noise = np.random.default_rng(0).normal(128, 12, (600, 500)).clip(0, 255).astype(np.uint8)

    assert burned_in_text(np.full((40, 40), 7, np.uint8)) == []
    assert burned_in_text(noise) == []


@pytest.mark.slow
@pytest.mark.skipif(
    "LUCENCY_DATA" not in os.environ,
    reason="LUCENCY_DATA does not name the folder that holds chest_xray_fullres/",
)
def test_real_films() -> None:
    """Names drawn into real films are found in 95 % or more; of the films as they are one is
    flagged, whose clock time really stands in it."""
    paths = sorted((Path(os.environ["LUCENCY_DATA"]) / "chest_xray_fullres").glob("*/*/*.jp*g"))
    films = {path.stem: images.decode(path.read_bytes())[:, :, 0] for path in paths}

    flagged = [name for name, film in films.items() if burned_in_text(film)]
    found = [
        bool(burned_in_text(drawn(film[:300], NAME, (14, 20, 28, 40)[number % 4], (8, 8), 255)))
        for number, film in enumerate(films.values())
        if np.median(film[8:50, 8:250]) < 160
    ]

    assert flagged == ["person38_virus_84"]
    assert len(found) >= 20
    assert np.mean(found) >= 0.95
