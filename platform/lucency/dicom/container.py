"""
What a DICOM file is outside of its data set: preamble, file meta and transfer syntax.

Written without a DICOM library, because the transfer syntax must be judged before anyone reads
on: a deflated data set inflates whole before its first element is seen.
"""

import struct
from dataclasses import dataclass

from lucency.errors import ImageError

MAX_BYTES = 2**27

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = frozenset({IMPLICIT, EXPLICIT, BIG_ENDIAN})
JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (80, 81))
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91))
RLE = "1.2.840.10008.1.2.5"
KNOWN = NATIVE | JPEG | JPEG_LS | JPEG_2000 | {RLE}

_PREAMBLE = 128
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_META, _SYNTAX, _IDENTIFYING = 0x0002, 0x0010, 0x0008
_UNDEFINED = 0xFFFFFFFF
_MAX_META = 64
_PLAUSIBLE = 3


@dataclass(frozen=True)
class Container:
    """Where the data set begins, and how its elements and its pixels are coded."""

    offset: int
    implicit: bool
    little: bool
    syntax: str


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are DICOM, by content: the prefix ``DICM``, or elements that make sense."""
    if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
        return True
    return _makes_sense(data, "<") or _makes_sense(data, ">")


def split(data: bytes) -> Container:
    """
    Read the file meta alone.

    Raises:
        ImageError: ``empty``, ``too_large``, ``unsupported_type``, ``unreadable``, ``deflated``
            or ``unknown_syntax``.
    """
    if not data:
        raise ImageError("empty", "the file has no bytes; send a DICOM film")
    if len(data) > MAX_BYTES:
        raise ImageError("too_large", f"the file has {len(data)} bytes; the limit is {MAX_BYTES}")
    if not is_dicom(data):
        raise ImageError("unsupported_type", "the bytes are not DICOM; send a DICOM film")
    start = _PREAMBLE + 4 if data[_PREAMBLE : _PREAMBLE + 4] == b"DICM" else 0
    offset, syntax = _meta(data, start)
    if syntax == DEFLATED:
        raise ImageError("deflated", "the data set is deflated; store the film without deflation")
    if syntax and syntax not in KNOWN:
        # The text may be anything at all, so it is not repeated.
        raise ImageError(
            "unknown_syntax",
            "the transfer syntax is none of uncompressed, JPEG, JPEG-LS, JPEG 2000 and RLE; "
            "store the film in one of these",
        )
    little = data[offset : offset + 1] != b"\0" if not syntax else syntax != BIG_ENDIAN
    # Files exist whose meta says one of implicit and explicit and whose elements are the other.
    implicit = little and data[offset + 4 : offset + 6] not in _LONG | _SHORT
    guessed = IMPLICIT if implicit else EXPLICIT if little else BIG_ENDIAN
    return Container(offset, implicit, little, syntax or guessed)


def _meta(data: bytes, position: int) -> tuple[int, str]:
    """The end of group 2 and the transfer syntax in it; '' where there is none."""
    syntax = ""
    for _ in range(_MAX_META):
        if data[position : position + 2] != b"\x02\0":
            return position, syntax
        if position + 12 > len(data):
            break
        element, kind, length = struct.unpack_from("<H2sH", data, position + 2)
        value = position + 8
        if kind in _LONG:
            (length,) = struct.unpack_from("<I", data, value)
            value += 4
        elif kind not in _SHORT:
            break
        if value + length > len(data):
            break
        if element == _SYNTAX:
            syntax = data[value : value + length].decode("latin-1").strip(" \0")
        position = value + length
    raise ImageError("unreadable", "the file meta information is damaged; send the file as stored")


def _makes_sense(data: bytes, order: str) -> bool:
    """Whether the first elements have known types, fitting lengths and ascending tags."""
    position, last = 0, (0, 0)
    for number in range(_PLAUSIBLE):
        if position + 12 > len(data):
            return False
        group, element, kind, short = struct.unpack_from(f"{order}HH2sH", data, position)
        (length,) = struct.unpack_from(f"{order}I", data, position + 4)
        position += 8
        if kind in _LONG:
            (length,) = struct.unpack_from(f"{order}I", data, position)
            position += 4
        elif kind in _SHORT:
            length = short
        if (group, element) < last or (number == 0 and group not in (_META, _IDENTIFYING)):
            return False
        last = (group, element)
        if length == _UNDEFINED and number:
            return True
        position += length
        if position > len(data):
            return False
    return True
