"""What a film says of itself."""

import contextlib

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from lucency.dicom import header
from lucency.errors import ImageError
from tests.hostile_dicom import encode, film


@pytest.mark.parametrize(
    ("position", "view"),
    [("PA", "PA"), ("AP", "AP"), ("LL", "LATERAL"), ("RL", "LATERAL"), ("LLD", "LLD"), ("", "")],
)
def test_view_position(position: str, view: str) -> None:
    """The two lateral views are one word; a missing one is no guess."""
    assert header.view(film(ViewPosition=position)) == view


@pytest.mark.parametrize(
    ("scheme", "code", "view"),
    [
        ("SCT", "272479007", "PA"),
        ("SRT", "R-10214", "PA"),
        ("SCT", "399348003", "AP"),
        ("SCT", "399173006", "LATERAL"),
        ("SCT", "0", ""),
    ],
)
def test_view_code_speaks_where_the_position_is_silent(scheme: str, code: str, view: str) -> None:
    """Digital radiographs name their view by a code."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code, scheme

    assert header.view(film(ViewPosition="", ViewCodeSequence=Sequence([item]))) == view


@pytest.mark.parametrize(
    ("age", "band"),
    [("006M", "0-17"), ("017Y", "0-17"), ("018Y", "18-39"), ("62", "40-64"), ("090Y", "90+")],
)
def test_age_is_told_in_bands(age: str, band: str) -> None:
    """An exact age, above all a great one, helps to find a person."""
    dataset = film()
    dataset.add_new("PatientAge", "LO", age)

    assert header.facts(dataset)["age_band"] == band


def test_unreadable_value_is_none() -> None:
    """A value of the wrong kind is as good as missing."""
    dataset = film()
    dataset.add_new("PatientAge", "OB", b"\xff\xfe")

    assert header.facts(dataset)["age_band"] == ""


def test_pixels_can_be_left_out() -> None:
    """Listing a source reads no pixels."""
    dataset = header.parse(encode(film()), pixels=False)

    assert "PixelData" not in dataset
    assert dataset.PatientID == "P1"


def test_names_in_other_alphabets_are_read() -> None:
    """The character set of the file counts."""
    data = encode(film(SpecificCharacterSet="ISO_IR 192", InstitutionName="Krankenhaus Köln"))

    assert header.facts(header.parse(data))["institution"] == "Krankenhaus Köln"


def test_bytes_flipped_anywhere_give_an_image_error_or_a_film() -> None:
    """No damage raises anything else."""
    data = encode(film())
    generator = np.random.default_rng(0)

    for _ in range(300):
        damaged = bytearray(data)
        for place in generator.integers(132, 700, 4):
            damaged[place] = generator.integers(256)
        with contextlib.suppress(ImageError):
            assert set(header.facts(header.parse(bytes(damaged)))) == set(
                header.Facts.__annotations__
            )
