"""
A copy of a film that names nobody: DICOM PS3.15 Annex E, Basic Application Confidentiality Profile.

What the profile's table (dicom-anonymizer's) replaces is replaced here; of all other elements
only those on a short list of numbers and of the standard's own words stay. Free text, private
groups, overlays, curves, dates and padding are on no list, at no depth. The pixels are written
anew without compression, because a compressed stream has comments of its own.
"""

import io
import re
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pydicom
from dicomanonymizer.dicomfields_selector import dicom_anonymization_database_selector
from pydicom._uid_dict import UID_dictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from lucency.dicom import decoder, frame, header
from lucency.dicom.frame import Format
from lucency.dicom.salt import Salt

_TABLE = dicom_anonymization_database_selector("dicomfields_2026c")
_REMOVED = {"X_TAGS", "X_Z_TAGS", "X_D_TAGS", "X_Z_D_TAGS"}
_NUMBER_ELEMENTS = """
    Rows Columns SamplesPerPixel BitsAllocated BitsStored HighBit PixelRepresentation
    PixelPaddingValue PixelPaddingRangeLimit SmallestImagePixelValue LargestImagePixelValue
    WindowCenter WindowWidth RescaleIntercept RescaleSlope PixelSpacing ImagerPixelSpacing
    NominalScannedPixelSpacing PixelAspectRatio PixelIntensityRelationshipSign KVP ExposureTime
    XRayTubeCurrent Exposure DistanceSourceToDetector DistanceSourceToPatient Sensitivity
    LossyImageCompressionRatio LUTDescriptor LUTData
"""
_NUMBERS = frozenset(_NUMBER_ELEMENTS.split())
_WORDS = {
    "Modality": "CR DX DR RG XA RF OT SC",
    "PhotometricInterpretation": "MONOCHROME1 MONOCHROME2",
    "ViewPosition": header.VIEWS,
    "BodyPartExamined": "CHEST THORAX RIB STERNUM CLAVICLE SHOULDER ABDOMEN",
    "Laterality": "L R",
    "ImageLaterality": "L R U B",
    "PatientOrientation": "L R A P F H LF RF LH RH AL AR PL PR",
    "ImageType": "ORIGINAL DERIVED PRIMARY SECONDARY",
    "VOILUTFunction": "LINEAR LINEAR_EXACT SIGMOID",
    "PresentationLUTShape": "IDENTITY INVERSE",
    "PresentationIntentType": "PRESENTATION PROCESSING",
    "PixelIntensityRelationship": "LIN LOG",
    "RescaleType": "US OD HU",
    "ModalityLUTType": "US OD HU",
    "ConversionType": "DV DI DF WSD SD SI DRW SYN",
    "LossyImageCompression": "00 01",
    "LossyImageCompressionMethod": "ISO_10918_1 ISO_14495_1 ISO_15444_1",
}
_KEPT_SEQUENCES = frozenset({"ModalityLUTSequence", "VOILUTSequence"})
_NUMERIC = {"DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "OW", "US or SS", "US or OW"}
_TEXTS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"}
# Elements that a film must have, be they empty (type 2 of the CR and DX objects).
_MUST = """
    StudyDate StudyTime AccessionNumber ReferringPhysicianName StudyID SeriesNumber
    InstanceNumber PatientBirthDate PatientSex Manufacturer PatientOrientation
"""
_LOSSY = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 81, 91))


def film(data: bytes, salt: Salt, patient: str) -> bytes:
    """
    A whole DICOM file in its de-identified form, ready to be written.

    Raises:
        ImageError: the film can't be decoded.
    """
    codes = decoder.codes(data)
    return encode(deidentify(header.parse(data), salt, codes, patient=patient))


def deidentify(dataset: Dataset, salt: Salt, codes: np.ndarray, *, patient: str = "") -> Dataset:
    """
    A new data set with the given stored values; the one passed in stays as it is.

    Text burned into the pixels stays there, whatever BurnedInAnnotation says: see
    ``burned_in``.

    Args:
        codes: Of ``decoder.codes``.
        patient: Salted name; empty: made from the PatientID, or from the film where that is
            missing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values
        clean = _cleaned(dataset, salt)
        instance = header.text(dataset, "SOPInstanceUID")
        clean.SOPInstanceUID = salt.uid(instance)
        if "SOPClassUID" not in clean:
            clean.SOPClassUID = pydicom.uid.ComputedRadiographyImageStorage
        if not patient:
            named = header.text(dataset, "PatientID")
            patient = salt.name("patient", named or f"\0{instance}")
        clean.PatientID, clean.PatientName = patient, patient
        if "ViewPosition" not in clean and header.view(dataset) in _WORDS["ViewPosition"].split():
            clean.ViewPosition = header.view(dataset)
        for keyword in _MUST.split():
            if keyword not in clean:
                setattr(clean, keyword, None)
        _declare(clean)
        _put_pixels(clean, frame.format_of(dataset), codes)
        if str(dataset.file_meta.TransferSyntaxUID) in _LOSSY:
            clean.LossyImageCompression = "01"
        clean.file_meta = FileMetaDataset()
        clean.file_meta.MediaStorageSOPClassUID = clean.SOPClassUID
        clean.file_meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
        clean.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return clean


def encode(dataset: Dataset) -> bytes:
    """The bytes of a DICOM file, with an empty preamble and valid file meta information."""
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def residual(data: bytes, forbidden: Iterable[str]) -> list[str]:
    """Which of the forbidden words stand anywhere in a file's bytes, in any usual coding."""
    lower = data.lower()
    codings = ("utf-8", "utf-16-le", "utf-16-be")
    return [
        word
        for word in forbidden
        if any(word.lower().encode(coding) in lower for coding in codings)
    ]


def _cleaned(dataset: Dataset, salt: Salt) -> Dataset:
    clean = Dataset()
    for tag in sorted(dataset.keys()):
        if tag.is_private or tag.group >= 0x5000 or tag.element == 0:
            continue
        try:
            element = dataset[tag]
        except Exception:
            continue  # what can't be read can't stay
        if (kept := _kept(element, salt)) is not None:
            clean.add(kept)
    return clean


def _kept(element: DataElement, salt: Salt) -> DataElement | None:
    """What stands in an element's place, None where nothing does."""
    action = _action(element)
    keyword, kind = element.keyword, element.VR
    if action in _REMOVED:
        return None
    if kind == "SQ":
        return _sequence(element, salt) if action or keyword in _KEPT_SEQUENCES else None
    if kind == "UI":
        return _uid(element, salt, known=action is None)
    if action in ("Z_TAGS", "Z_D_TAGS") and kind in _TEXTS | {"DA", "TM", "DT", "DS", "IS"}:
        return DataElement(element.tag, kind, None)
    if action == "D_TAGS" and kind in _TEXTS:
        return DataElement(element.tag, kind, "ANONYMIZED")
    if action is None and keyword in _NUMBERS and kind in _NUMERIC:
        return _number(element)
    if action is None and keyword in _WORDS:
        return _word(element)
    return None


def _action(element: DataElement) -> str | None:
    """The table's column for an element; None where it is not named."""
    place = (element.tag.group, element.tag.element)
    return next((name for name in _ACTIONS if place in _TABLE[name]), None)


_ACTIONS = [name for name in _TABLE if name != "ALL_TAGS"]


def _sequence(element: DataElement, salt: Salt) -> DataElement | None:
    items = [_cleaned(item, salt) for item in element.value]
    whole = [item for item in items if len(item)]
    return DataElement(element.tag, "SQ", Sequence(whole)) if whole else None


def _uid(element: DataElement, salt: Salt, *, known: bool) -> DataElement | None:
    """A registered UID, such as a class, says nothing of a patient; any other is replaced."""
    values = [element.value] if isinstance(element.value, str) else list(element.value or [])
    if known:
        registered = [value for value in values if value in UID_dictionary]
        return DataElement(element.tag, "UI", registered) if registered else None
    return DataElement(element.tag, "UI", [UID(salt.uid(value)) for value in values])


def _number(element: DataElement) -> DataElement | None:
    """The element, if all of its values are numbers, written anew from these."""
    value: Any = element.value
    if isinstance(value, bytes):
        return DataElement(element.tag, element.VR, value) if element.keyword == "LUTData" else None
    many = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    try:
        numbers = [float(entry) for entry in many]
    except (TypeError, ValueError):
        return None
    if not np.isfinite(numbers).all():
        return None
    if element.VR in ("DS", "IS"):
        numbers = [_decimal(number, whole=element.VR == "IS") for number in numbers]  # type: ignore[misc]
    elif element.VR not in ("FL", "FD"):
        numbers = [int(number) for number in numbers]
    return DataElement(element.tag, element.VR, numbers if len(numbers) > 1 else numbers[0])


def _decimal(number: float, *, whole: bool) -> str:
    return str(int(number)) if whole else f"{number:.10g}"[:16]


def _word(element: DataElement) -> DataElement | None:
    known = _WORDS[element.keyword].split()
    values = str(element.value) if isinstance(element.value, str) else list(element.value or [])
    words = re.split(r"\\", values.upper()) if isinstance(values, str) else values
    # The rest of ImageType is the maker's own, and may be anything.
    kept = [word for word in words if word in known]
    return DataElement(element.tag, element.VR, kept) if kept else None


def _declare(clean: Dataset) -> None:
    """What a reader of the copy is told of how it was made (PS3.15 E.1.1, step 6)."""
    clean.PatientIdentityRemoved = "YES"
    clean.LongitudinalTemporalInformationModified = "REMOVED"
    clean.DeidentificationMethod = "Lucency: basic profile, elements by list"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    clean.DeidentificationMethodCodeSequence = Sequence([code])


def _put_pixels(clean: Dataset, form: Format, codes: np.ndarray) -> None:
    values = codes.astype(np.int32)
    if form.signed:
        values[values >= 1 << (form.bits_stored - 1)] -= 1 << form.bits_stored
    kind = f"<{'i' if form.signed else 'u'}{form.bits_allocated // 8}"
    data = values.astype(kind).tobytes()
    clean.HighBit, clean.PixelRepresentation = form.bits_stored - 1, int(form.signed)
    clean.SamplesPerPixel = 1
    clean.add(DataElement(0x7FE00010, "OW", data + b"\0" * (len(data) % 2)))
