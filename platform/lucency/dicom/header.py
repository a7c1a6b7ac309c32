"""
The data set of one film: its elements, what they say of the pixels, and what of the film.

Runs inside the decoder's process, where a hostile data set can do no harm; de-identification
reads a data set here only after the decoder has seen it.
"""

import io
import logging
import math
import re
import warnings
from typing import Any, TypedDict

import pydicom
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import data_element_generator

from lucency.dicom import container
from lucency.dicom.container import Container
from lucency.errors import ImageError

# What it doesn't like it logs with the value, and values name patients.
logging.getLogger("pydicom").disabled = True

_PIXELS = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_MAX_ELEMENTS = 20_000
# Words for a film's view that say nothing else; any other value may be a name.
VIEWS = "PA AP LL RL LLD RLD LLO RLO LATERAL"
# View codes of CID 4010, SNOMED CT and the older SNOMED RT.
_VIEWS = {
    "272479007": "PA",
    "R-10214": "PA",
    "399348003": "AP",
    "R-10206": "AP",
    "399067008": "LATERAL",
    "R-10241": "LATERAL",
    "399173006": "LATERAL",
    "R-10236": "LATERAL",
    "399198007": "LATERAL",
    "R-10232": "LATERAL",
}
_LATERAL = frozenset({"LATERAL", "LAT", "LL", "RL", "LLAT", "RLAT"})
_AGE_BANDS = ((18, "0-17"), (40, "18-39"), (65, "40-64"), (90, "65-89"), (math.inf, "90+"))


class Facts(TypedDict):
    """What preparation needs to know of a film; it names the patient and is never stored."""

    instance: str
    patient: str
    modality: str
    view: str
    institution: str
    scanner: str
    age_band: str


def parse(data: bytes, *, pixels: bool = True) -> Dataset:
    """
    All elements of a film, or those before the pixels.

    Raises:
        ImageError: as ``container.split``; ``unreadable`` or ``truncated``.
    """
    found = container.split(data)
    stream = io.BytesIO(data)
    stream.seek(found.offset)
    try:
        # Warnings would quote values, and values name patients.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = _dataset(stream, found, pixels)
    except (ImageError, MemoryError):
        raise
    except EOFError:
        raise ImageError("truncated", "the file ends inside of an element; send it whole") from None
    except Exception:
        # pydicom raises many kinds on damaged bytes, with values in their messages.
        raise ImageError(
            "unreadable", "the elements are damaged; send the file as stored"
        ) from None
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(found.syntax)
    return dataset


def _dataset(stream: io.BytesIO, found: Container, pixels: bool) -> Dataset:
    elements: dict[Any, Any] = {}

    def stop(tag: int, kind: str | None, length: int) -> bool:
        if len(elements) > _MAX_ELEMENTS:
            raise ImageError("unreadable", f"the file has more than {_MAX_ELEMENTS} elements")
        return tag == _PIXELS and not pixels

    for element in data_element_generator(stream, found.implicit, found.little, stop_when=stop):
        elements[element.tag] = element
        # Reading stops at the end of the file, and says nothing.
        if isinstance(element, RawDataElement) and _is_cut(element):
            raise EOFError
    dataset = Dataset(elements)
    kind = dataset.get("SpecificCharacterSet") or "ISO_IR 6"
    dataset.set_original_encoding(found.implicit, found.little, convert_encodings(kind))
    return dataset


def _is_cut(element: RawDataElement) -> bool:
    return element.length != _UNDEFINED and len(element.value or b"") < element.length


def facts(dataset: Dataset) -> Facts:
    """What a film says of itself, in plain words; '' where it does not say."""
    maker = [text(dataset, name) for name in ("Manufacturer", "ManufacturerModelName")]
    return Facts(
        instance=text(dataset, "SOPInstanceUID"),
        patient=text(dataset, "PatientID"),
        modality=text(dataset, "Modality").upper(),
        view=view(dataset),
        institution=text(dataset, "InstitutionName"),
        scanner=" ".join(filter(None, maker)),
        age_band=_age_band(text(dataset, "PatientAge")),
    )


def text(dataset: Dataset, keyword: str) -> str:
    """One element's value as text; '' where it is missing, empty or can't be read."""
    value = read(dataset, keyword)
    return "" if value is None else str(value).strip(" \0")


def read(dataset: Dataset, keyword: str) -> Any:
    """One element's value, or None where it is missing, empty or can't be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = dataset.get(keyword)
    except MemoryError:
        raise
    except Exception:
        return None
    return None if value is None or value == "" else value


def view(dataset: Dataset) -> str:
    """``PA``, ``AP``, ``LATERAL``, another word of the standard's, or '' where none is given."""
    position = text(dataset, "ViewPosition").upper()
    if position in _LATERAL:
        return "LATERAL"
    if re.fullmatch("[A-Z]{1,16}", position):
        return position
    items = read(dataset, "ViewCodeSequence")
    code = text(items[0], "CodeValue") if isinstance(items, pydicom.Sequence) and items else ""
    return _VIEWS.get(code, "")


def _age_band(age: str) -> str:
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", age)
    if not match:
        return ""
    years = int(match.group(1)) if match.group(2) in ("", "Y") else 0
    return next(name for limit, name in _AGE_BANDS if years < limit)
