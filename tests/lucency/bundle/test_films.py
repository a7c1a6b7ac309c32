"""Bytes of any kind to a film: DICOM over HTTP is the DICOM that was prepared."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from lucency import images
from lucency.bundle import films
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.datasets.dicom import Dicom
from lucency.errors import ImageError
from lucency.preprocess import Preprocess
from tests import hostile_dicom

SECRET = "Mustermann^Erika"


def dicom(height: int = 90, width: int = 70, **elements: object) -> bytes:
    """A smooth film of 12 bits under a name."""
    rows, columns = np.mgrid[:height, :width]
    pixels = (rows * 20 + columns * 13).astype(np.uint16)
    return hostile_dicom.encode(hostile_dicom.film(pixels, PatientName=SECRET, **elements))


def test_dicom_sent_and_dicom_prepared_have_the_same_logits(
    bundle: Artifact, tmp_path: Path
) -> None:
    """A film has one answer whether it was prepared first or is sent as the hospital stores it."""
    predictor, data = Predictor(bundle.path), dicom()
    for name in ("NORMAL", "PNEUMONIA"):
        (tmp_path / "films" / name).mkdir(parents=True)
        (tmp_path / "films" / name / "a.dcm").write_bytes(data)
    prepared = next(iter(Dicom(roots=(tmp_path / "films",), key_file=tmp_path / "key"))).read()

    sent, stored = predictor.predict_bytes(data), predictor.predict_bytes(prepared)

    assert prepared.startswith(b"\x89PNG")
    assert sent.logits == stored.logits
    assert sent.features == stored.features


@pytest.mark.parametrize("inverted", [False, True])
def test_polarity_is_the_headers(bundle: Artifact, inverted: bool) -> None:
    """MONOCHROME1 is turned: bones are bright whichever way the detector stores them."""
    elements: dict[str, Any] = {"PhotometricInterpretation": "MONOCHROME1"} if inverted else {}

    film = films.whole(dicom(**elements), color="L", max_pixels=10_000)

    assert (film[0, 0, 0] > film[-1, -1, 0]) is np.bool_(inverted)


def test_colour_recipe_repeats_the_gray() -> None:
    """A network of three channels sees a DICOM film as it sees a gray PNG."""
    recipe = Preprocess(size=32, color="RGB", mean=(0.5,) * 3, std=(0.25,) * 3)
    gray = films.whole(dicom(), color="L", max_pixels=10_000)

    found = recipe.tensor(films.working(dicom(), recipe, max_pixels=10_000).pixels_hwc)

    np.testing.assert_array_equal(found, recipe(images.encode_png(gray)))


@pytest.mark.parametrize(
    ("elements", "view", "burned_in"),
    [
        ({"ViewPosition": ""}, "", False),
        ({"ViewPosition": "AP", "BurnedInAnnotation": "NO"}, "AP", False),
        ({"ViewPosition": "LL", "BurnedInAnnotation": "YES"}, "LATERAL", True),
        ({"ViewPosition": "MUSTERMANN", "BurnedInAnnotation": "YES"}, "", True),
    ],
)
def test_little_of_the_header_is_told(elements: dict[str, Any], view: str, burned_in: bool) -> None:
    """The view in a word of the standard's, and text in the pixels; other words may be names."""
    found = films.working(dicom(**elements), Preprocess(size=32), max_pixels=10_000)

    assert (found.view, found.burned_in) == (view, burned_in)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff" + bytes(200), "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "image/png"),
        (bytes(128) + b"DICM", films.DICOM),
        (b"\xff\xd8\xff" + bytes(125) + b"DICM", "image/jpeg"),
    ],
)
def test_content_says_the_kind(data: bytes, kind: str) -> None:
    """The first bytes decide; what begins as a picture is one, whatever follows."""
    assert films.content_type(data) == kind


@pytest.mark.parametrize("preamble", [True, False])
def test_data_set_without_preamble_is_no_film(preamble: bool) -> None:
    """Any text could be taken for one, so its name is not looked for."""
    dataset = hostile_dicom.film(PatientName=SECRET)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    data = stream.getvalue() if preamble else stream.getvalue()[132:]

    if preamble:
        assert films.content_type(data) == films.DICOM
        return
    with pytest.raises(ImageError) as caught:
        films.content_type(data)
    assert caught.value.reason == "unsupported_type"


@pytest.mark.parametrize("data", [SECRET.encode(), b"Mustermann", b"\0" * 4])
def test_refusal_repeats_none_of_the_bytes(data: bytes) -> None:
    """What is sent by mistake may be a name, and an error goes into logs."""
    with pytest.raises(ImageError, match="neither JPEG nor PNG nor DICOM") as caught:
        films.content_type(data)

    assert "Muster" not in str(caught.value)


@pytest.mark.parametrize("data", [dicom(), hostile_dicom.wrapped(b"\xff\xd8\xff\xd9")])
def test_larger_dicom_is_refused_by_its_header(data: bytes) -> None:
    """The limit of the service holds before a pixel is decoded, and broken pixels are no news."""
    with pytest.raises(ImageError, match="the header promises") as caught:
        films.working(data, Preprocess(size=32), max_pixels=1000)

    assert caught.value.reason == "too_many_pixels"


@pytest.mark.parametrize("name", ["bad_photometric", "cut"])
def test_no_error_names_the_patient(name: str) -> None:
    """Damaged films with a name in every field are refused in words that hold none of it."""
    fields = ("PatientID", "StudyDescription", "InstitutionName", "PatientComments")
    named: dict[str, Any] = dict.fromkeys(fields, SECRET)
    data = (
        dicom(PhotometricInterpretation="MUSTERMANN", **named)
        if name == "bad_photometric"
        else dicom(**named)[:-4000]
    )

    with pytest.raises(ImageError) as caught:
        films.working(data, Preprocess(size=32), max_pixels=10_000)

    assert "muster" not in str(caught.value).lower()
