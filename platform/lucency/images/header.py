"""
What a file says of itself before a pixel is decoded, and whether it may be decoded at all.

The header is read and judged first, so that a small file can't ask for a large amount of memory.
"""

from struct import Struct
from typing import NamedTuple

from lucency.errors import ImageError

MIN_SIDE = 16
MAX_PIXELS = 40_000_000
JPEG = "image/jpeg"
PNG = "image/png"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# Start-of-frame codes that a film can have: baseline, extended sequential, progressive.
# libjpeg turns a wrongly labelled arithmetic-coded stream to noise without an error.
_ALLOWED_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_SCAN = 0xDA
_SCAN_MARKER = bytes([0xFF, _SCAN])
# Markers without a length. None stands in a header, and a reader that took the next bytes for
# their length would see another frame than libjpeg, which does not.
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
# Exif and XMP, which may turn the film; the index of several pictures in one file.
_DESCRIBING = frozenset({0xE1, 0xE2})
# A film has some thousands of parts and ten scans at most. Pillow walks the parts in Python and
# libjpeg goes over the whole picture for each scan: a small file of many would take minutes.
_MAX_PARTS = 65_536
_MAX_SCANS = 64
_PIXEL_CHUNKS = frozenset({b"IDAT", b"IEND"})

_segment = Struct(">BBH").unpack_from
_frame = Struct(">BHHB").unpack_from
_chunk = Struct(">I4s").unpack_from


class JpegFrame(NamedTuple):
    """
    What a JPEG's frame header promises.

    Attributes:
        components: 1 gray, 3 colour, 4 inks.
        described: It carries segments that may turn it, or that announce more pictures.
        scan: Where the first scan begins.
    """

    width: int
    height: int
    bits: int
    components: int
    described: bool
    scan: int


def content_type(data: bytes) -> str:
    """
    The media type by the first bytes, whatever a name or header says.

    Raises:
        ImageError: ``empty`` or ``unsupported_type``.
    """
    if not data:
        raise ImageError("empty", "the body has no bytes; send a JPEG or PNG film")
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith(PNG_MAGIC):
        return PNG
    raise ImageError(
        "unsupported_type",
        f"the first bytes are {data[:8]!r}, neither JPEG nor PNG; send one of these",
    )


def check_sides(width: int, height: int, max_pixels: int) -> None:
    """
    Judge the size that a header promises.

    Raises:
        ImageError: ``too_many_pixels`` or ``too_small``.
    """
    if width * height > max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"the header promises {width} x {height} pixels; the limit is {max_pixels} in all",
        )
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            "too_small",
            f"the film has {width} x {height} pixels; each side must have {MIN_SIDE} or more",
        )


def walk_jpeg(data: bytes) -> JpegFrame:
    """
    Go through the segments up to the first scan, and count the scans where there may be more.

    Raises:
        ImageError: ``truncated`` or ``unreadable``.
    """
    position, end, described, process = 2, len(data) - 4, False, 0
    frame: tuple[int, int, int, int] | None = None
    for _ in range(_MAX_PARTS):
        if position > end:
            break
        fill, code, length = _segment(data, position)
        if fill != 0xFF or code in _BARE:
            break
        if code == 0xFF:
            position += 1
            continue
        if code == _SCAN:
            if frame is None:
                break
            bits, height, width, components = frame
            # libjpeg itself stops at a second scan where the first one holds the whole picture.
            if process == _PROGRESSIVE or data[position + 4 : position + 5] != bytes([components]):
                check_scans(data, position)
            return JpegFrame(width, height, bits, components, described, position)
        if code in _FRAMES:
            _check_process(code)
            if length < 8 or position + 4 + length > len(data):
                break
            frame, process = _frame(data, position + 4), code
        described = described or code in _DESCRIBING
        if length < 2:
            break
        position += 2 + length
    raise ImageError("truncated", "the JPEG ends before its picture begins; send the whole file")


def check_scans(data: bytes, scan: int) -> None:
    """
    Count the scans from the first one on.

    Raises:
        ImageError: ``unreadable``.
    """
    if data.count(_SCAN_MARKER, scan) > _MAX_SCANS:
        raise ImageError("unreadable", f"the JPEG has more than {_MAX_SCANS} scans")


def walk_png(data: bytes) -> None:
    """
    Count the chunks; where they end too early the decoder will say so.

    Raises:
        ImageError: ``unreadable``.
    """
    position, end = 8, len(data) - 8
    for _ in range(_MAX_PARTS):
        if position > end:
            return
        position += 12 + _chunk(data, position)[0]
    raise ImageError("unreadable", f"the PNG has more than {_MAX_PARTS} chunks")


def only_pixels(data: bytes) -> bool:
    """Whether no chunk of a PNG could turn its pixels, blank them, or change their values."""
    position, end = 33, len(data) - 8
    while position <= end:
        length, name = _chunk(data, position)
        if name not in _PIXEL_CHUNKS:
            return False
        position += 12 + length
    return True


def _check_process(code: int) -> None:
    if code not in _ALLOWED_FRAMES:
        raise ImageError(
            "unreadable",
            f"the JPEG is coded by process {code - 0xC0}; "
            "baseline, extended or progressive (0, 1, 2) is expected",
        )
