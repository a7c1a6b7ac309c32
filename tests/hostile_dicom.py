"""DICOM files that are damaged or made to do harm, each with the reason it must be refused for."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
    generate_uid,
)

HEIGHT, WIDTH = 40, 32


def film(pixels: np.ndarray | None = None, **elements: Any) -> Dataset:
    """A small lawful film, 12 bits in 16 unless the pixels are bytes; elements go over it."""
    if pixels is None:
        pixels = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 3
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[str(pixels.sum())])
    dataset.Modality, dataset.ViewPosition = "CR", "PA"
    dataset.PatientID, dataset.PatientName = "P1", "Doe^Jane"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = pixels.itemsize * 8
    dataset.BitsStored = 8 if pixels.itemsize == 1 else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.add_new(0x7FE00010, "OW", pixels.tobytes())
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.HighBit = elements.get("HighBit", dataset.BitsStored - 1)
    return dataset


def encode(dataset: Dataset) -> bytes:
    """The bytes of a file; whatever stands in the elements."""
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def wrapped(stream: bytes, syntax: str = JPEGBaseline8Bit, **elements: Any) -> bytes:
    """A film whose pixel data is the given compressed stream."""
    dataset = film(np.zeros((HEIGHT, WIDTH), np.uint8), **elements)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate([stream]) if stream else b"\xfe\xff\0\xe0\0\0\0\0"
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return encode(dataset)


def jpeg(rows: int, columns: int, components: int = 1, frame: int = 0xC0) -> bytes:
    """A JPEG that is all header."""
    parts = b"".join(bytes([n + 1, 0x11, 0]) for n in range(components))
    start = struct.pack(">BHHB", 8, rows, columns, components) + parts
    return (
        b"\xff\xd8\xff" + bytes([frame]) + struct.pack(">H", len(start) + 2) + start + b"\xff\xd9"
    )


def jpeg_2000(rows: int, columns: int) -> bytes:
    """A JPEG 2000 code stream that is all header."""
    size = struct.pack(">HIIIIIIIIH", 0, columns, rows, 0, 0, columns, rows, 0, 0, 1) + b"\x07\1\1"
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(size) + 2) + size + b"\xff\xd9"


def raw_number(keyword: str, text: bytes) -> bytes:
    """A film with a decimal string that no library would write."""
    elements: dict[str, Any] = {keyword: "77777777"}
    data = encode(film(**elements))
    assert data.count(b"77777777") == 1
    return data.replace(b"77777777", text.ljust(8))


def relabelled(data: bytes, syntax: str) -> bytes:
    """An explicit little-endian file that says it is of another transfer syntax."""
    old = ExplicitVRLittleEndian.encode().ljust(20, b"\0")
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    assert data.count(old) == 1
    sizes = [struct.pack("<H", len(text)) for text in (old, new)]
    return data.replace(sizes[0] + old, sizes[1] + new)


def hostile_dicoms() -> list[tuple[str, bytes, str]]:
    """Name, bytes and the expected reason of each."""
    return [*_containers(), *_headers(), *_streams()]


def _containers() -> list[tuple[str, bytes, str]]:
    lawful = encode(film())
    noise = np.random.default_rng(0).bytes(4096)
    body = lawful[lawful.index(b"\x08\0\x16\0") :]
    meta = lawful[: lawful.index(b"\x08\0\x16\0")]
    deflated = _deflated(b"\0" * 200_000_000)
    return [
        ("nothing", b"", "empty"),
        ("random bytes", noise, "unsupported_type"),
        ("a PNG", b"\x89PNG\r\n\x1a\n" + noise, "unsupported_type"),
        ("random bytes after the preamble", b"\0" * 128 + b"DICM" + noise, "truncated"),
        ("a preamble alone", b"\0" * 128 + b"DICM", "no_pixels"),
        ("meta cut off", lawful[:150], "unreadable"),
        ("meta of a false length", lawful[:132] + b"\2\0\1\0OB\0\0\xff\xff\xff\x7f", "unreadable"),
        ("unknown syntax", relabelled(lawful, "1.2.3.4.5.6"), "unknown_syntax"),
        ("deflated bomb", deflated, "deflated"),
        ("too many bytes", b"\0" * 128 + b"DICM" + b"\0" * 2**27, "too_large"),
        ("nested sequences", meta + _nested(20_000) + body, "unreadable"),
        ("nested sequences of known length", meta + _boxed(1000), "no_pixels"),
        ("half a million elements", meta + _many(500_000), "unreadable"),
        ("cut in an element", lawful[: lawful.index(b"Doe^Jane") + 3], "truncated"),
        ("cut in the pixels", lawful[:-700], "truncated"),
    ]


def _headers() -> list[tuple[str, bytes, str]]:
    huge = film(Rows=65535, Columns=65535)
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [4096, 0, 16], [0, 1, 2]
    rgb: dict[str, Any] = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
    }
    sequence = Sequence([lut])
    sequence[0]["LUTDescriptor"].VR, sequence[0]["LUTData"].VR = "US", "US"
    return [
        ("no pixels", encode(film(PixelData=None)), "no_pixels"),
        ("several frames", encode(film(NumberOfFrames=3)), "multi_frame"),
        ("frames without end", encode(film(NumberOfFrames=2**31 - 1)), "multi_frame"),
        ("colour", encode(film(**rgb)), "not_gray"),
        ("palette", encode(film(PhotometricInterpretation="PALETTE COLOR")), "not_gray"),
        ("huge Rows", encode(huge), "too_many_pixels"),
        ("no Rows", encode(film(Rows=None)), "bad_attribute"),
        ("Rows of 0", encode(film(Rows=0)), "too_small"),
        ("too small", encode(film(np.zeros((15, 15), np.uint16))), "too_small"),
        ("more rows than data", encode(film(Rows=HEIGHT + 1)), "truncated"),
        ("fewer columns than data", encode(film(Columns=WIDTH - 5)), "size_mismatch"),
        ("NaN slope", raw_number("RescaleSlope", b"NaN"), "bad_attribute"),
        ("infinite intercept", raw_number("RescaleIntercept", b"-inf"), "bad_attribute"),
        ("slope that is a word", raw_number("RescaleSlope", b"steep"), "bad_attribute"),
        ("slope of 0", encode(film(RescaleSlope=0, RescaleIntercept=5)), "bad_attribute"),
        ("zero width", encode(film(WindowCenter=100, WindowWidth=0)), "bad_attribute"),
        ("NaN width", raw_number("WindowWidth", b"nan"), "bad_attribute"),
        (
            "unknown window function",
            encode(film(WindowCenter=9, WindowWidth=9, VOILUTFunction="CUBIC")),
            "bad_attribute",
        ),
        ("negative bits", _signed_bits(), "bad_attribute"),
        ("bits stored over allocated", encode(film(BitsStored=17)), "bad_attribute"),
        ("32 bits", encode(film(BitsAllocated=32, BitsStored=32)), "bad_attribute"),
        ("odd high bit", encode(film(HighBit=15)), "bad_attribute"),
        ("short look-up table", encode(film(VOILUTSequence=sequence)), "bad_attribute"),
    ]


def _streams() -> list[tuple[str, bytes, str]]:
    runs = struct.pack("<16I", 1, 64, *[0] * 14)
    return [
        ("inner JPEG of 65500 x 65500", wrapped(jpeg(65500, 65500)), "size_mismatch"),
        ("inner JPEG in colour", wrapped(jpeg(HEIGHT, WIDTH, 3)), "size_mismatch"),
        ("arithmetic JPEG", wrapped(jpeg(HEIGHT, WIDTH, 1, 0xC9)), "unreadable"),
        ("lossless that is baseline", wrapped(jpeg(HEIGHT, WIDTH), JPEGLosslessSV1), "unreadable"),
        ("JPEG of a header alone", wrapped(jpeg(HEIGHT, WIDTH)), "unreadable"),
        ("JPEG without an end", wrapped(jpeg(HEIGHT, WIDTH)[:-2]), "truncated"),
        ("no JPEG at all", wrapped(b"GIF89a" * 20), "unreadable"),
        (
            "inner JPEG 2000 of 60000",
            wrapped(jpeg_2000(60000, 60000), JPEG2000Lossless),
            "size_mismatch",
        ),
        (
            "JPEG 2000 header alone",
            wrapped(jpeg_2000(HEIGHT, WIDTH), JPEG2000Lossless),
            "unreadable",
        ),
        ("RLE too short", wrapped(runs + b"\x81\0" * 3, RLELossless), "truncated"),
        (
            "RLE of many segments",
            wrapped(struct.pack("<I", 15) + runs[4:], RLELossless),
            "size_mismatch",
        ),
        ("no fragment", wrapped(b"", JPEGBaseline8Bit), "no_pixels"),
        ("fragments cut off", wrapped(jpeg(HEIGHT, WIDTH))[:-20], "truncated"),
    ]


def _deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    body = packer.compress(content) + packer.flush()
    data = relabelled(encode(film()), DeflatedExplicitVRLittleEndian)
    return data[: data.index(b"\x08\0\x16\0")] + body


def _nested(depth: int) -> bytes:
    """Sequences in sequences, all of undefined length."""
    return b"\x08\0\x10\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * depth


def _boxed(depth: int) -> bytes:
    """Sequences in sequences that say how long they are, and no film around them."""
    inner = b""
    for _ in range(depth):
        item = b"\xfe\xff\0\xe0" + struct.pack("<I", len(inner)) + inner
        inner = b"\x08\0\x10\x11SQ\0\0" + struct.pack("<I", len(item)) + item
    return inner


def _many(count: int) -> bytes:
    return b"".join(
        struct.pack("<HH2sH", 0x0009 + 2 * (n >> 16), n & 0xFFFF, b"LO", 0) for n in range(count)
    )


def _signed_bits() -> bytes:
    data = encode(film())
    place = data.index(b"\x28\0\1\1US\2\0") + 8
    return data[:place] + struct.pack("<h", -12) + data[place + 2 :]
