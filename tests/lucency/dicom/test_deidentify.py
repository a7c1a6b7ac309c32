"""Copies that name nobody: words planted everywhere in a film, and looked for in the copy."""

import copy
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from lucency.dicom import decoder, deidentify, header
from lucency.dicom.salt import Salt
from tests.hostile_dicom import encode, film

SALT = Salt(b"k" * 32)
LENGTHS = {"AE": 16, "CS": 16, "SH": 16}
TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR", "OB", "UN")
# What makes the file readable at all can't hold a planted word in a lawful film.
NEEDED = {"PhotometricInterpretation", "VOILUTFunction", "SpecificCharacterSet"}


class Planter:
    """Plants a word of its own at each place."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def word(self) -> str:
        self.words.append(f"ZQ{len(self.words):06}XW")
        return self.words[-1]

    def put(self, dataset: Dataset, tag: int, kind: str) -> None:
        """A word, or a UID or a date that is like no other, in one element."""
        if kind in ("OB", "UN"):
            dataset.add_new(tag, kind, self.word().encode())
        elif kind == "UI":
            self.words.append(f"9.8.7.{len(self.words):06}".replace(".0", ".1"))
            dataset.add_new(tag, kind, self.words[-1])
        elif kind == "DA":
            self.words.append(f"19{len(self.words) % 100:02}0229"[:8])
            dataset.add_new(tag, kind, self.words[-1])
        else:
            dataset.add_new(tag, kind, self.word())


def planted(base: Dataset) -> tuple[bytes, list[str]]:
    """A film with a word in every text element of the dictionary, at three depths and beside."""
    planter = Planter()
    dataset = copy.deepcopy(base)
    for tag, kind in _elements():
        planter.put(dataset, tag, kind)
    inner, outer = Dataset(), Dataset()
    for part in (inner, outer):
        for keyword in ("PatientName", "ImageComments", "InstitutionName", "CodeMeaning"):
            planter.put(part, pydicom.tag.Tag(keyword), dictionary_VR(keyword))
        part.private_block(0x0011, planter.word(), create=True).add_new(1, "LO", planter.word())
        planter.put(part, 0x00081155, "UI")
    outer.PurposeOfReferenceCodeSequence = Sequence([inner])
    dataset.SourceImageSequence = Sequence([outer])
    dataset.RequestAttributesSequence = Sequence([copy.deepcopy(outer)])
    dataset.VOILUTSequence = Sequence([_curve(planter)])
    dataset.private_block(0x0009, planter.word(), create=True).add_new(2, "UT", planter.word())
    planter.put(dataset, 0x60004000, "LT")
    planter.put(dataset, 0x60000022, "LO")
    planter.put(dataset, 0x50000022, "LO")
    planter.put(dataset, 0xFFFCFFFC, "OB")
    dataset.file_meta.SourceApplicationEntityTitle = planter.word()
    dataset.file_meta.PrivateInformationCreatorUID = UID("9.8.7.5")
    dataset.file_meta.PrivateInformation = planter.word().encode()
    data = encode(dataset)
    preamble = planter.word().encode().ljust(128, b"\0")
    return preamble + data[128:], planter.words


def _elements() -> Iterator[tuple[int, str]]:
    """Every element of the dictionary that holds text, a UID or a date, below the pixels."""
    for tag, (kind, many, *_) in DicomDictionary.items():
        keyword = keyword_for_tag(tag)
        lawful = kind in TEXTS or kind in ("UI", "DA")
        if lawful and keyword not in NEEDED and 0x0008 <= tag >> 16 < 0x7FE0 and "1" in many:
            yield tag, kind


def _curve(planter: Planter) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 12])
    item.add_new("LUTData", "US", list(range(4096)))
    item.LUTExplanation = planter.word()
    return item


@pytest.fixture(scope="module")
def planted_film() -> tuple[bytes, list[str]]:
    """One planted film for all tests."""
    return planted(film())


def test_no_planted_word_survives(
    planted_film: tuple[bytes, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Texts, UIDs, dates, private groups, overlays, meta, preamble and padding: none is left."""
    data, words = planted_film
    assert len(words) > 1000
    assert len(deidentify.residual(data, words)) == len(words)

    copied = deidentify.film(data, SALT, "")

    out, err = capfd.readouterr()
    assert deidentify.residual(copied, [*words, "Doe", "Jane"]) == []
    assert deidentify.residual((out + err).encode(), words) == []


@pytest.mark.skipif(
    "LUCENCY_DATA" not in os.environ,
    reason="LUCENCY_DATA does not name the folder that holds dicom/",
)
def test_no_word_survives_in_the_real_films() -> None:
    """The same on the four real films; and each copy is the same picture."""
    for path in sorted((Path(os.environ["LUCENCY_DATA"]) / "dicom").glob("*.dcm")):
        base = header.parse(path.read_bytes())
        names = [header.text(base, "PatientName"), header.text(base, "SOPInstanceUID")]
        base.file_meta.MediaStorageSOPClassUID = base.SOPClassUID
        base.file_meta.MediaStorageSOPInstanceUID = base.SOPInstanceUID
        data, words = _planted_over(base)

        copied = deidentify.film(data, SALT, "")

        assert deidentify.residual(copied, [*words, *names]) == []
        np.testing.assert_array_equal(decoder.render(copied), decoder.render(path.read_bytes()))


def _planted_over(base: Dataset) -> tuple[bytes, list[str]]:
    """A word in each text element that a real film has, private ones and items too."""
    planter = Planter()
    for part in (base, *[item for sequence in _sequences(base) for item in sequence]):
        for element in list(part):
            if element.VR in TEXTS and element.keyword not in {*NEEDED, "PixelData"}:
                planter.put(part, element.tag, element.VR)
    base.private_block(0x0009, planter.word(), create=True).add_new(2, "UT", planter.word())
    return encode(base), planter.words


def _sequences(dataset: Dataset) -> list[Sequence]:
    return [element.value for element in dataset if element.VR == "SQ"]


def test_search_finds_words_in_every_coding() -> None:
    """The check itself can fail: in other letters, in UTF-16, inside of other bytes."""
    for data in (b"..doe..", "DOE".encode("utf-16-le"), b"\0\xff" + "Doe".encode("utf-16-be")):
        assert deidentify.residual(data, ["Doe", "Roe"]) == ["Doe"]


def test_input_is_not_changed() -> None:
    """The data set passed in stays as it is, at every depth."""
    data = planted(film())[0]
    dataset = header.parse(data)
    before = [str(dataset)]

    deidentify.deidentify(dataset, SALT, decoder.codes(data))

    assert [str(dataset)] == before


def test_picture_is_the_same(planted_film: tuple[bytes, list[str]]) -> None:
    """The window, the curve and the values are kept: a copy renders as its film."""
    data, _ = planted_film

    copied = deidentify.film(data, SALT, "")

    np.testing.assert_array_equal(decoder.render(copied), decoder.render(data))


@pytest.mark.parametrize("kind", ["u1", "u2", "i2"])
def test_any_kind_of_pixels_can_be_copied(kind: str) -> None:
    """Bytes, words and signed words, also where another reader reads them."""
    stored = np.linspace(-2000 if kind == "i2" else 0, 200, 17 * 19).astype(kind).reshape(17, 19)

    copied = deidentify.film(encode(film(stored)), SALT, "")

    found = pydicom.dcmread(io.BytesIO(copied)).pixel_array
    np.testing.assert_array_equal(found, stored)


def test_copy_declares_how_it_was_made() -> None:
    """Patient identity removed, by the basic profile, code 113100."""
    copied = pydicom.dcmread(io.BytesIO(deidentify.film(encode(film()), SALT, "")))

    assert copied.PatientIdentityRemoved == "YES"
    assert copied.DeidentificationMethod
    assert copied.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert copied.DeidentificationMethodCodeSequence[0].CodingSchemeDesignator == "DCM"


def test_burned_in_annotation_is_not_believed() -> None:
    """A film that says NO may well have a name in its pixels; the copy says nothing."""
    copied = deidentify.film(encode(film(BurnedInAnnotation="NO")), SALT, "")

    assert "BurnedInAnnotation" not in pydicom.dcmread(io.BytesIO(copied))


def test_references_still_hold() -> None:
    """A UID is replaced by the same one wherever it stands, in meta and sequences too."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = film().SOPClassUID
    reference.ReferencedSOPInstanceUID = film().SOPInstanceUID
    data = encode(film(SourceImageSequence=Sequence([reference]), StudyInstanceUID="1.2.3"))

    copied = pydicom.dcmread(io.BytesIO(deidentify.film(data, SALT, "")))

    assert copied.SourceImageSequence[0].ReferencedSOPInstanceUID == copied.SOPInstanceUID
    assert copied.file_meta.MediaStorageSOPInstanceUID == copied.SOPInstanceUID
    assert copied.SOPClassUID == film().SOPClassUID
    assert copied.StudyInstanceUID == SALT.uid("1.2.3")


def test_lossy_history_is_kept() -> None:
    """A film that went through JPEG says so, though the copy is not compressed."""
    dataset = film(np.zeros((16, 16), np.uint8))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit

    copied = deidentify.deidentify(dataset, SALT, np.zeros((16, 16), np.uint16))

    assert copied.LossyImageCompression == "01"


def test_patients_keep_their_salted_name() -> None:
    """Two films of one patient stay together; two films without a patient don't."""
    named = [film(StudyInstanceUID=f"1.{n}") for n in range(2)]
    unnamed = [film(PatientID="", SOPInstanceUID=f"1.{n}") for n in range(2)]
    codes = np.zeros((40, 32), np.uint16)

    first, second, third, fourth = (
        deidentify.deidentify(each, SALT, codes).PatientID for each in [*named, *unnamed]
    )

    assert first == second == SALT.name("patient", "P1")
    assert third != fourth
