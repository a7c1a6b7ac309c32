"""Only films that show something, each once, get into a table; the rest is told with a reason."""

import os
import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from lucency import files, images
from lucency.datasets import clean
from lucency.datasets.base import Sample
from lucency.datasets.clean import Checks
from lucency.images import encode_png


def picture(seed: int, shape: tuple[int, int] = (20, 30)) -> bytes:
    """A PNG that shows something."""
    return encode_png(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8))


def film(name: str, data: bytes, label: int = 0, patient: str | None = None) -> Sample:
    """A sample of these bytes."""
    return Sample(name, lambda: data, label, patient or name, "a")


def chest(seed: int) -> np.ndarray:
    """Something bright on dark in the same place, with noise of its own."""
    noise = np.random.default_rng(seed).integers(0, 80, (32, 32))
    noise[8:24, 8:24] += 150
    return noise.astype(np.uint8)


def reasons(inspection: clean.Inspection) -> dict[str, str]:
    """What was set aside, by name."""
    return {aside.name: aside.reason for aside in inspection.set_aside}


def test_good_film_is_measured() -> None:
    """A film that passes is kept with its size, width first, and what its file is."""
    data = picture(0)

    (kept,) = clean.inspect([film("one", data)]).films

    assert kept.sha256 == files.sha256(data)
    assert (kept.width, kept.height, kept.file_bytes) == (30, 20, len(data))
    assert (kept.mode, kept.file_format, kept.flags) == ("gray", "png", ())
    assert kept.brightness == pytest.approx(images.decode(data).mean())


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (np.zeros((20, 20, 3), np.uint8), "color"),
        (np.zeros((20, 20), np.uint16), "gray 16-bit"),
    ],
    ids=["color", "16-bit"],
)
def test_mode_is_that_of_the_file(pixels: np.ndarray, mode: str) -> None:
    """Color and 16 bits are told, though every film is judged as 8-bit gray."""
    pixels[5:] = 200
    _, encoded = cv2.imencode(".png", pixels)

    (kept,) = clean.inspect([film("one", encoded.tobytes())]).films

    assert kept.mode == mode


def test_no_bytes_are_kept() -> None:
    """Memory does not grow with the size of the files."""
    samples = [
        Sample(f"{number}", partial(picture, number, (256, 256)), 0, "p", "a")
        for number in range(60)
    ]
    clean.inspect(samples[:2])  # what decoders set up once

    tracemalloc.start()
    inspection = clean.inspect(samples)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(kept.file_bytes for kept in inspection.films) > 3_000_000
    assert held < 300_000


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a", "unsupported_type"),
        (picture(0)[:-200], "truncated"),
        (picture(0, (8, 8)), "too_small"),
        (encode_png(np.full((20, 30), 128, np.uint8)), "blank"),
    ],
    ids=["empty", "gif", "cut", "small", "blank"],
)
def test_unusable_film_is_set_aside(data: bytes, reason: str) -> None:
    """A film that can't be used is told by name and reason, and the others go on."""
    inspection = clean.inspect([film("bad", data), film("good", picture(1))])

    assert [kept.sample.name for kept in inspection.films] == ["good"]
    assert [(aside.name, aside.reason) for aside in inspection.set_aside] == [("bad", reason)]


def test_same_bytes_are_kept_once() -> None:
    """One film under two patients stays under its first name, so that it can't leak."""
    samples = [film("b", picture(0)), film("a", picture(0))]

    inspection = clean.inspect(samples)

    (aside,) = inspection.set_aside
    assert [kept.sample.name for kept in inspection.films] == ["a"]
    assert (aside.name, aside.reason) == ("b", "duplicate")
    assert aside.message == "the same bytes as 'a'"


def test_copy_in_two_official_splits_is_not_hidden() -> None:
    """A film that the source has in train and in validation stays in both, for the leak gate."""
    parts = ("train", "validation", "validation")
    samples = [replace(film(f"{n}", picture(0)), split=part) for n, part in enumerate(parts)]

    inspection = clean.inspect(samples, official=("train", "validation", "test"))

    assert [kept.sample.name for kept in inspection.films] == ["0", "1"]
    assert reasons(inspection) == {"2": "duplicate"}


def test_copy_of_an_official_film_leaves_the_others() -> None:
    """Where only test is official, its films stay and a copy among the rest is set aside."""
    samples = [
        replace(film("a", picture(0)), split="train"),
        replace(film("b", picture(0)), split="test"),
    ]

    inspection = clean.inspect(samples, official=("test",))

    assert [kept.sample.name for kept in inspection.films] == ["b"]
    assert inspection.set_aside[0].message == "the same bytes as 'b'"


def test_one_file_named_twice_is_kept_once() -> None:
    """A manifest with the same row twice costs no film."""
    inspection = clean.inspect([film("a", picture(0)), film("a", picture(0))])

    assert len(inspection.films) == len(inspection.set_aside) == 1


def test_negatives_are_set_aside() -> None:
    """Films that are the inverse of what all others show are found, and only they."""
    samples = [film(f"{n:02}", encode_png(chest(n))) for n in range(40)]
    samples += [film(f"n{n}", encode_png(255 - chest(n + 40))) for n in range(3)]

    assert reasons(clean.inspect(samples)) == dict.fromkeys(("n0", "n1", "n2"), "inverted")
    assert not clean.inspect(samples, Checks(inverted=False)).set_aside


def test_set_without_a_common_picture_has_no_negatives() -> None:
    """Where films don't agree with each other, none is called the inverse of the rest."""
    samples = [film(f"{n}", picture(n, (32, 32))) for n in range(40)]

    assert not clean.inspect(samples).set_aside


@pytest.mark.skipif("LUCENCY_DATA" not in os.environ, reason="LUCENCY_DATA is not set: real films")
def test_negatives_of_real_films_are_found() -> None:
    """Of inverted films among 600 of Kermany et al. 98 in 100 are found, and no other film."""
    root = Path(os.environ["LUCENCY_DATA"]) / "chest_xray_kermany" / "chest_xray" / "test"
    paths = sorted(root.rglob("*.jpeg"))
    planted = set(paths[::10])
    samples = []
    for path in paths:
        data = path.read_bytes()
        if path in planted:
            data = encode_png(255 - images.decode(data))
        samples.append(film(path.name, data))

    found = {name for name, why in reasons(clean.inspect(samples)).items() if why == "inverted"}

    names = {path.name for path in planted}
    assert found <= names
    assert len(found) >= 0.98 * len(names)


@pytest.mark.parametrize(
    ("checks", "shape", "told"),
    [
        ({"min_side": 25}, (20, 30), "30 x 20 pixels; min_side is 25"),
        ({"max_side": 25}, (20, 30), "30 x 20 pixels; max_side is 25"),
        ({"max_aspect_ratio": 1.4}, (30, 20), "a ratio of 1.5; max_aspect_ratio is 1.4"),
        ({}, (20, 120), "a ratio of 6.0; max_aspect_ratio is 5"),
    ],
)
def test_sizes_have_limits(checks: dict[str, Any], shape: tuple[int, int], told: str) -> None:
    """A film over a limit is set aside with what it has and which limit that is."""
    inspection = clean.inspect([film("a", picture(0, shape))], Checks(**checks))

    (aside,) = inspection.set_aside
    assert aside.reason == "wrong_size"
    assert told in aside.message


def test_odd_size_is_flagged_and_kept() -> None:
    """Where nearly all films have one size, another is worth a look, and still a film."""
    samples = [film(f"{n:03}", picture(n, (16, 16))) for n in range(200)]
    samples.append(film("odd", picture(300, (16, 17))))

    flags = {kept.sample.name: kept.flags for kept in clean.inspect(samples).films}

    assert flags["odd"] == ("odd_size",)
    assert sum(map(len, flags.values())) == 1
    assert not any(kept.flags for kept in clean.inspect(samples, Checks(odd_size=False)).films)


def test_source_brings_its_own_flags() -> None:
    """A source's check sees the decoded film, and what it finds keeps the film."""
    sample = replace(film("a", picture(0)), flags=lambda pixels: (f"side_{pixels.shape[0]}",))

    assert clean.inspect([sample]).films[0].flags == ("side_20",)
    assert clean.inspect([sample], Checks(source=False)).films[0].flags == ()


def test_checks_can_be_switched_off() -> None:
    """A film that shows nothing passes where nobody asks."""
    blank = film("a", encode_png(np.full((20, 30), 128, np.uint8)))

    assert clean.inspect([blank], Checks(blank=False)).films


def test_misspelt_check_is_refused() -> None:
    """A check that does not exist is not silently left out."""
    with pytest.raises(ValidationError, match="inverse"):
        Checks.model_validate({"inverse": True})


def test_unreadable_file_is_set_aside(tmp_path: Path) -> None:
    """A file that the disk does not give is a film set aside and not the end of the work."""
    missing = Sample("gone", (tmp_path / "gone.png").read_bytes, 0, "p", "a")

    inspection = clean.inspect([missing, film("good", picture(1))])

    assert inspection.set_aside[0].reason == "unreadable"
    assert "No such file" in inspection.set_aside[0].message
    assert len(inspection.films) == 1


def test_film_with_two_labels_is_not_kept() -> None:
    """The same bytes under two labels are both set aside, because one of the labels is wrong."""
    samples = [film(f"film {label}", picture(0), label) for label in (0, 1)]

    inspection = clean.inspect(samples)

    assert not inspection.films
    assert reasons(inspection) == dict.fromkeys(("film 0", "film 1"), "label_conflict")
