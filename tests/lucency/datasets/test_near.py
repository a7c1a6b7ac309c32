"""Changed copies of a film are told from films of other patients."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from lucency import images
from lucency.datasets import near
from lucency.datasets.chest_xray import ChestXray
from lucency.datasets.leaks import BITS, SIMILARITY
from lucency.datasets.near import Match
from lucency.datasets.phantom import draw

Film = npt.NDArray[np.uint8]


def drawn(patient: int, *, size: int = 192) -> Film:
    """A film of a patient of its own."""
    return draw(patient, 1, size=size, ill=bool(patient % 2), site="scanner_a")[0]


def stored_anew(film: Film) -> Film:
    """As a JPEG of quality 60."""
    _, encoded = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 60])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


def mirrored(film: Film) -> Film:
    """Left and right exchanged."""
    return np.ascontiguousarray(film[:, ::-1])


def cropped(film: Film, kept: float = 0.9) -> Film:
    """A tenth of each side cut off, more of it on the left than on the right."""
    h, w = film.shape
    y, x = round(h * (1 - kept) * 0.3), round(w * (1 - kept) * 0.7)
    return film[y : y + round(h * kept), x : x + round(w * kept)]


def cut_at_the_sides(film: Film) -> Film:
    """A tenth of the width cut off, nothing of the height."""
    margin = film.shape[1] // 20
    return film[:, margin:-margin]


def brighter(film: Film) -> Film:
    """All levels raised by a fifth, cut off at white."""
    return np.asarray(np.clip(film * 1.2, 0, 255), np.uint8)


def darker(film: Film) -> Film:
    """All levels lowered by a fifth."""
    return (film * 0.8).astype(np.uint8)


def all_at_once(film: Film) -> Film:
    """Mirrored, cropped, brighter and stored anew."""
    return stored_anew(brighter(cropped(mirrored(film), 0.94)))


CHANGES = (
    stored_anew,
    mirrored,
    cropped,
    cut_at_the_sides,
    brighter,
    darker,
    all_at_once,
)


def compared(one: Film, two: Film) -> Match | None:
    """Both steps on two films, as they are run on two splits."""
    first, second = near.thumbnail(one), near.thumbnail(two)
    proposed = near.candidates(near.codes(first)[None], near.codes(second)[None], bits=BITS)
    for _, _, code, swapped in proposed:
        wide, narrow = (second, first) if swapped else (first, second)
        return near.confirm(wide, narrow, code, least=SIMILARITY)
    return None


def copies(films: list[Film]) -> list[tuple[int, int]]:
    """The pairs among some films that are taken for copies."""
    thumbnails = [near.thumbnail(film) for film in films]
    codes = np.stack([near.codes(thumbnail) for thumbnail in thumbnails])
    found = []
    for one, two, code, swapped in near.candidates(codes, codes, bits=BITS):
        wide, narrow = (two, one) if swapped else (one, two)
        if one < two and near.confirm(thumbnails[wide], thumbnails[narrow], code, least=SIMILARITY):
            found.append((one, two))
    return found


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changed_copy_is_recognised(change: Callable[[Film], Film]) -> None:
    """What is done to a film to make two of one leaves it the same film."""
    film = drawn(1)

    assert compared(film, change(film))


def test_the_wider_film_may_be_the_second() -> None:
    """It does not matter which of two films was cut from the other."""
    film = drawn(1)

    match = compared(cropped(film), film)

    assert match
    assert match.width == pytest.approx(0.9, abs=0.02)


def test_change_is_told() -> None:
    """A match says what was done, as far as it can be measured."""
    film = drawn(1)

    match = compared(film, darker(cropped(mirrored(film))))

    assert match
    assert match.mirrored
    assert match.width == pytest.approx(0.9, abs=0.02)
    assert match.height == pytest.approx(0.9, abs=0.02)
    assert match.gain == pytest.approx(0.8, abs=0.04)
    assert match.variation.startswith("mirrored, cropped to ")
    assert "contrast x 0.8" in match.variation


def test_unchanged_view_is_called_stored_anew() -> None:
    """A copy in which nothing but the file differs has its own word."""
    match = compared(drawn(1), stored_anew(drawn(1)))

    assert match
    assert match.variation == "stored anew"


def test_films_of_different_patients_are_no_copies() -> None:
    """Among drawn chests, as alike as they are, none is taken for another."""
    assert copies([drawn(patient) for patient in range(80)]) == []


def test_blank_film_matches_nothing() -> None:
    """A film without detail is no copy of anything, and no number is divided by zero."""
    blank = np.full((64, 64), 90, np.uint8)

    assert near.confirm(near.thumbnail(drawn(1)), blank, 0, least=SIMILARITY) is None
    assert near.confirm(blank, blank, 0, least=SIMILARITY) is None


def test_candidates_name_the_nearest_code_of_each_pair() -> None:
    """A pair of films is proposed once, whichever of its crops came near."""
    codes = np.stack([near.codes(near.thumbnail(drawn(patient))) for patient in (1, 2, 3)])

    found = [hit for hit in near.candidates(codes, codes, bits=0) if hit[0] == hit[1]]

    assert found == [(0, 0, 0, False), (1, 1, 0, False), (2, 2, 0, False)]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_copies_of_real_films_are_found(change: Callable[[Film], Film]) -> None:
    """Of 200 real films at least 95 % are recognised in their changed copies."""
    films = real_films(200)

    found = sum(compared(film, change(film)) is not None for film in films)

    assert found >= 190


def test_real_films_of_different_patients_are_no_copies() -> None:
    """None of 1,000 real films of as many patients is taken for another."""
    assert copies(real_films(1000)) == []


def real_films(count: int) -> list[Film]:
    """One film each of the first patients of the set of Kermany et al."""
    if "LUCENCY_DATA" not in os.environ:
        pytest.skip("LUCENCY_DATA is not set: it names the folder of chest_xray_kermany")
    root = Path(os.environ["LUCENCY_DATA"]) / "chest_xray_kermany"
    by_patient = {sample.patient: sample for sample in ChestXray(root=root)}
    every = sorted(by_patient)
    chosen = every[:: len(every) // count][:count]
    return [images.decode(by_patient[patient].read())[:, :, 0] for patient in chosen]
