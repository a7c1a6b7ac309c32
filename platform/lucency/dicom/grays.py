"""
Stored values -> the grays a radiologist sees: DICOM PS3.3 C.11.1, C.11.2 and PS3.14's two ends.

A film has 16 bits at most, so the whole chain (sign, modality, window, inversion, padding) is
worked out once for each possible value, and the picture is one look-up: exact and the same on
every machine.
"""

import math
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from lucency.dicom import frame, header
from lucency.dicom.frame import Format
from lucency.errors import ImageError

# Without a window, detectors of 10 to 16 bits would be nearly black if shown over their whole
# range, and a single hot pixel or lead marker would do the same to a stretch from end to end.
_DARKEST, _BRIGHTEST = 0.005, 0.995
_EIGHT_BITS = 8
_TINY = float(np.finfo(np.float64).tiny)
_MAX_LUT_BITS = 16


def render(dataset: Dataset) -> np.ndarray:
    """
    One film as it is meant to be seen, with bones bright: uint8, h x w.

    The first VOI LUT counts, else the first window; else an 8-bit film is shown over its whole
    range, since it was made for display, and a deeper one between its 0.5 % and 99.5 % values.

    Raises:
        ImageError: with a reason, and never a word about the patient.
    """
    form = frame.format_of(dataset)
    codes = frame.codes(dataset, form)
    counts = np.bincount(codes.ravel(), minlength=1 << form.bits_stored)
    return np.asarray(table(dataset, form, counts)[codes])


def table(dataset: Dataset, form: Format, counts: np.ndarray) -> np.ndarray:
    """The gray of every stored code, uint8; ``counts`` says how many pixels have each code."""
    stored = np.arange(1 << form.bits_stored, dtype=np.int64)
    if form.signed:
        stored = np.where(stored >> (form.bits_stored - 1), stored - stored.size, stored)
    padding = _padding(dataset, stored, form)
    values = _modality(dataset, stored)
    shares = _window(dataset, values, stored.min() < 0)
    if shares is None:
        shares = _full_range(values, np.where(padding, 0, counts), form)
    if form.inverted:
        shares = 1.0 - shares
    grays = np.floor(np.clip(shares, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    # What is no part of the picture is shown as background, whatever the polarity.
    grays[padding] = 0
    return grays


def _modality(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    if item := _first(dataset, "ModalityLUTSequence"):
        return _lookup(item, stored, signed=bool(stored.min() < 0))[0]
    slope = _number(dataset, "RescaleSlope")
    intercept = _number(dataset, "RescaleIntercept")
    if slope == 0.0:
        raise ImageError("bad_attribute", "RescaleSlope is 0, so all pixels would be the same")
    return stored * (1.0 if slope is None else slope) + (intercept or 0.0)


def _window(dataset: Dataset, values: np.ndarray, signed: bool) -> np.ndarray | None:
    """Shares of white, 0 to 1; None where the file has neither a VOI LUT nor a window."""
    if item := _first(dataset, "VOILUTSequence"):
        found, white = _lookup(item, np.rint(values).astype(np.int64), signed=signed)
        return found / white
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if center is None or width is None:
        return None
    function = header.text(dataset, "VOILUTFunction").upper() or "LINEAR"
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise ImageError("bad_attribute", f"WindowWidth is {width:g}; expected 1 or more")
    return windowed(values, center, width, function)


def windowed(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """
    A window as PS3.3 C.11.2.1.2 and C.11.2.1.3 have it, shares of white.

    Raises:
        ImageError: ``bad_attribute`` for a function that the standard does not know.
    """
    if function == "SIGMOID":
        return np.asarray(
            1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
        )
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if function != "LINEAR":
        raise ImageError("bad_attribute", "VOILUTFunction is none of LINEAR, LINEAR_EXACT, SIGMOID")
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _full_range(values: np.ndarray, counts: np.ndarray, form: Format) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    low, high = values[order[0]], values[order[-1]]
    if form.bits_stored > _EIGHT_BITS and counts.sum():
        reached = np.cumsum(counts[order])
        ends = np.searchsorted(reached, np.array([_DARKEST, _BRIGHTEST]) * reached[-1], "left")
        low, high = values[order[ends]]
    return np.asarray(np.clip((values - low) / max(high - low, _TINY), 0.0, 1.0))


def _lookup(item: Dataset, inputs: np.ndarray, *, signed: bool) -> tuple[np.ndarray, float]:
    """Values through one LUT of the file, and the value that is white."""
    little = item.original_encoding[1] is not False
    descriptor = _words(item, "LUTDescriptor", little)
    entries = _words(item, "LUTData", little)
    if descriptor.size != 3 or not entries.size:
        raise ImageError("bad_attribute", "a look-up table has no descriptor of three or no data")
    count, first, bits = (int(value) for value in descriptor)
    count = count or 2**16
    first = first - 2**16 if signed and first >= 2**15 else first
    if bits == _EIGHT_BITS and entries.size == (count + 1) // 2 and count > 1:
        entries = entries.view(np.uint8)  # two entries to a word
    if entries.size < count or not 1 <= bits <= _MAX_LUT_BITS:
        raise ImageError(
            "bad_attribute", f"a look-up table has {entries.size} of {count} entries, {bits} bits"
        )
    entries = entries[:count]
    # Descriptors that promise fewer bits than the data has are common.
    white = float(2 ** max(bits, int(entries.max()).bit_length()) - 1)
    return entries[np.clip(inputs - first, 0, count - 1)].astype(np.float64), white


def _padding(dataset: Dataset, stored: np.ndarray, form: Format) -> np.ndarray:
    start, end = _padding_value(dataset, "PixelPaddingValue", form), None
    if start is None:
        return np.zeros(stored.shape, dtype=bool)
    end = _padding_value(dataset, "PixelPaddingRangeLimit", form)
    low, high = sorted((start, start if end is None else end))
    return (stored >= low) & (stored <= high)


def _padding_value(dataset: Dataset, keyword: str, form: Format) -> int | None:
    value = header.read(dataset, keyword)
    if isinstance(value, bytes) and len(value) == 2:
        value = int.from_bytes(value, "little")
    if not isinstance(value, int):
        return None
    if form.signed and value >= 2**15:
        return value - 2**16
    return value if form.signed else value % 2**16


def _first(dataset: Dataset, keyword: str) -> Dataset | None:
    items = header.read(dataset, keyword)
    return items[0] if isinstance(items, Sequence) and len(items) else None


def _words(item: Dataset, keyword: str, little: bool) -> np.ndarray:
    value: Any = header.read(item, keyword)
    if isinstance(value, bytes):
        return np.frombuffer(value[: len(value) // 2 * 2], "<u2" if little else ">u2")
    try:
        whole = np.array(value if value is not None else [], dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        whole = np.array([], dtype=np.int64)
    return (whole.reshape(-1) % 2**16).astype(np.uint16)


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of a decimal string, None where there is none."""
    value = header.read(dataset, keyword)
    if value is None and keyword in dataset and dataset.get_item(keyword).value in (b"", "", None):
        return None
    if value is None and keyword not in dataset:
        return None
    if not isinstance(value, str | float | int) and hasattr(value, "__len__"):
        if len(value) == 0:
            return None
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ImageError("bad_attribute", f"{keyword} is not a finite number")
    return number
