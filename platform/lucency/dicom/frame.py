"""
The stored pixel values of one film, checked against what the header and the inner stream say.

One decoder path: gdcm by name, and Pillow where gdcm can't. Never whatever plugin happens to be
installed: one of them decodes a cut-off JPEG to a picture, and takes gigabytes for a wrong size.
"""

import struct
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder

from lucency import images
from lucency.dicom import container, header
from lucency.errors import ImageError

_GRAY = ("MONOCHROME1", "MONOCHROME2")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
# Which start-of-frame codes a stream of each syntax can have.
_EXPECTED = {
    "1.2.840.10008.1.2.4.50": {0xC0, 0xC1},
    "1.2.840.10008.1.2.4.51": {0xC0, 0xC1},
    "1.2.840.10008.1.2.4.57": {0xC3},
    "1.2.840.10008.1.2.4.70": {0xC3},
    "1.2.840.10008.1.2.4.80": {0xF7},
    "1.2.840.10008.1.2.4.81": {0xF7},
}
_END = b"\xff\xd9"
_DECODERS = ("gdcm", "pillow")


@dataclass(frozen=True)
class Format:
    """How the pixels are stored."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    inverted: bool

    @property
    def frame_bytes(self) -> int:
        """Size of the picture when it is not compressed."""
        return self.rows * self.columns * self.bits_allocated // 8


def format_of(dataset: Dataset) -> Format:
    """
    What the header says of the pixels.

    Raises:
        ImageError: ``no_pixels``, ``multi_frame``, ``not_gray``, ``bad_attribute``,
            ``too_many_pixels`` or ``too_small``.
    """
    if "PixelData" not in dataset:
        raise ImageError("no_pixels", "the file holds no pixel data; send an image")
    if _frames(dataset) != 1:
        raise ImageError("multi_frame", "the file holds several frames; send a single film")
    photometric = header.text(dataset, "PhotometricInterpretation")
    if _whole(dataset, "SamplesPerPixel", 1) != 1 or photometric not in _GRAY:
        raise ImageError("not_gray", "the picture is no MONOCHROME1 or MONOCHROME2 film")
    rows, columns = _whole(dataset, "Rows"), _whole(dataset, "Columns")
    if rows * columns > images.MAX_PIXELS:
        raise ImageError(
            "too_many_pixels",
            f"the header promises {columns} x {rows} pixels; the limit is {images.MAX_PIXELS}",
        )
    if min(rows, columns) < images.MIN_SIDE:
        raise ImageError(
            "too_small",
            f"the film has {columns} x {rows} pixels; each side must have {images.MIN_SIDE}",
        )
    allocated, stored = _whole(dataset, "BitsAllocated"), _whole(dataset, "BitsStored")
    high, sign = _whole(dataset, "HighBit", stored - 1), _whole(dataset, "PixelRepresentation", 0)
    fits = allocated in (8, 16) and 8 <= stored <= allocated
    if not fits or high != stored - 1 or sign not in (0, 1):
        raise ImageError(
            "bad_attribute",
            f"{stored} bits stored of {allocated} with high bit {high} and sign {sign}; expected "
            "8 to 16 of 8 or 16, the high bit one less, and sign 0 or 1",
        )
    return Format(rows, columns, allocated, stored, sign == 1, photometric == "MONOCHROME1")


def codes(dataset: Dataset, form: Format) -> np.ndarray:
    """
    The stored values without their sign: uint16, h x w, each below ``2 ** bits_stored``.

    What stood in the bits above, such as an overlay, is gone.

    Raises:
        ImageError: ``truncated``, ``size_mismatch``, ``multi_frame`` or ``unreadable``.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    element = dataset["PixelData"]
    if not isinstance(element.value, bytes):
        raise ImageError("no_pixels", "the pixel data element holds no bytes; send an image")
    if syntax in container.NATIVE:
        values = _native(element.value, form, element.VR, little=syntax != container.BIG_ENDIAN)
    else:
        values = _compressed(element.value, dataset, form, syntax)
    mask = (1 << form.bits_stored) - 1
    return values.reshape(form.rows, form.columns).astype(np.uint16) & np.uint16(mask)


def _native(data: bytes, form: Format, kind: str, *, little: bool) -> np.ndarray:
    if len(data) < form.frame_bytes:
        raise ImageError(
            "truncated",
            f"the pixel data has {len(data)} of {form.frame_bytes} bytes; send the whole file",
        )
    if len(data) >= form.frame_bytes + form.frame_bytes // form.rows:
        raise ImageError(
            "size_mismatch",
            f"the pixel data has {len(data)} bytes, {form.rows} rows of {form.columns} pixels "
            f"need {form.frame_bytes}; the header belongs to another picture",
        )
    if form.bits_allocated == 16:
        count = form.rows * form.columns
        return np.frombuffer(data, "<u2" if little else ">u2", count=count)
    values = np.frombuffer(data, np.uint8)
    if not little and kind == "OW":
        # Big-endian words that hold two pixels each: the pairs come swapped.
        values = values[: values.size // 2 * 2].reshape(-1, 2)[:, ::-1].ravel()
    if values.size < form.frame_bytes:
        raise ImageError("truncated", "the last pixel is missing; send the whole file")
    return values[: form.frame_bytes]


def _compressed(data: bytes, dataset: Dataset, form: Format, syntax: str) -> np.ndarray:
    stream = _stream(data)
    _check_stream(stream, form, syntax)
    small = Dataset()
    small.file_meta = dataset.file_meta
    small.Rows, small.Columns = form.rows, form.columns
    small.SamplesPerPixel, small.PhotometricInterpretation = 1, "MONOCHROME2"
    small.BitsAllocated, small.BitsStored = form.bits_allocated, form.bits_stored
    small.HighBit, small.PixelRepresentation = form.bits_stored - 1, int(form.signed)
    small.NumberOfFrames = 1
    small.PixelData = encapsulate([stream])
    # RLE is run lengths alone: pydicom's own decoder is the only one that reads them.
    plugins = ("pydicom",) if syntax == container.RLE else _DECODERS
    decoder = get_decoder(syntax)
    for plugin in plugins:
        if plugin not in decoder.available_plugins:
            continue
        try:
            values, _ = decoder.as_array(small, decoding_plugin=plugin, raw=True)
        except MemoryError:
            raise
        except Exception:
            # What a codec raises is its own affair, and may quote bytes.
            continue
        if values.size == form.rows * form.columns:
            return np.asarray(values).view(f"u{values.dtype.itemsize}")
    raise ImageError("unreadable", "the compressed pixel data is damaged; send the file as stored")


def _stream(data: bytes) -> bytes:
    """The one compressed frame, its fragments joined."""
    try:
        stream = b"".join(generate_frames(data, number_of_frames=1))
    except Exception:
        raise ImageError("truncated", "the fragments of the pixel data are damaged") from None
    if not stream:
        raise ImageError("no_pixels", "the pixel data is empty; send an image")
    return stream


def _check_stream(stream: bytes, form: Format, syntax: str) -> None:
    """Compare the inner stream's own header with the outer one, before anything is decoded."""
    if syntax == container.RLE:
        _check_segments(stream, form)
        return
    inner = _jpeg_2000(stream) if syntax in container.JPEG_2000 else _jpeg(stream, syntax)
    if inner != (form.rows, form.columns, 1):
        rows, columns, components = inner
        raise ImageError(
            "size_mismatch",
            f"the stream has {columns} x {rows} pixels of {components} components, the header "
            f"{form.columns} x {form.rows} of 1; one of them is wrong",
        )
    # Decoders fill what is missing with gray and say nothing.
    if not stream.rstrip(b"\0").endswith(_END):
        raise ImageError("truncated", "the compressed picture has no end; send the whole file")


def _check_segments(stream: bytes, form: Format) -> None:
    if len(stream) < 64:
        raise ImageError("truncated", "the RLE header is cut off; send the whole file")
    count, *offsets = struct.unpack_from("<16I", stream)
    expected = form.bits_allocated // 8
    if count != expected:
        raise ImageError(
            "size_mismatch", f"the RLE stream has {count} segments, expected {expected}"
        )
    used = offsets[:count]
    if used != sorted(used) or used[0] < 64 or used[-1] >= len(stream):
        raise ImageError("truncated", "the RLE segments are cut off; send the whole file")
    pixels = form.rows * form.columns
    for start, end in zip(used, [*used[1:], len(stream)], strict=True):
        if _unpacked(stream, start, end) < pixels:
            raise ImageError("truncated", "an RLE segment ends too early; send the whole file")


def _unpacked(stream: bytes, position: int, end: int) -> int:
    """How many bytes a segment holds when its runs are written out."""
    total = 0
    while position + 1 < end:
        control = stream[position]
        if control < 128:
            total += min(control + 1, end - position - 1)
            position += control + 2
        else:
            total += 257 - control if control > 128 else 0
            position += 2 if control > 128 else 1
    return total


def _jpeg(stream: bytes, syntax: str) -> tuple[int, int, int]:
    """Rows, columns and components by the start of frame."""
    position = 2
    while stream.startswith(b"\xff\xd8") and position + 10 <= len(stream):
        if stream[position] != 0xFF:
            break
        code = stream[position + 1]
        if code == 0xFF:
            position += 1
        elif code in _FRAMES:
            if code not in _EXPECTED[syntax]:
                break
            rows, columns, components = struct.unpack_from(">HHB", stream, position + 5)
            return rows, columns, components
        elif code == 0xDA:
            break
        else:
            position += 2 + int.from_bytes(stream[position + 2 : position + 4])
    raise ImageError("unreadable", "the stream is not of the JPEG process that the header names")


def _jpeg_2000(stream: bytes) -> tuple[int, int, int]:
    """Rows, columns and components by the SIZ marker, which must stand first."""
    if not stream.startswith(b"\xff\x4f\xff\x51") or len(stream) < 42:
        raise ImageError("unreadable", "the pixel data is not a JPEG 2000 code stream")
    right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
    (components,) = struct.unpack_from(">H", stream, 40)
    return bottom - top, right - left, components


def _frames(dataset: Dataset) -> int:
    try:
        return int(header.text(dataset, "NumberOfFrames") or 1)
    except ValueError:
        raise ImageError("bad_attribute", "the number of frames is no whole number") from None


def _whole(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value = header.read(dataset, keyword)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or not 0 <= value < 2**16:
        raise ImageError("bad_attribute", f"{keyword} is missing or no whole number below 65536")
    return value
