"""
Files that mean harm or are merely broken, made by code: what preparation must survive.

Each entry says what must become of it: the reason under which it is set aside, or ``KEPT`` where
it is only unusual. Nothing here is larger than a megabyte on disk, whatever it claims to be.
"""

import csv
import gzip
import io
import os
import pickle
import socket
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
from PIL import ExifTags, Image

KEPT = ""
PNG = b"\x89PNG\r\n\x1a\n"
_AFTER_HEADER = 33  # signature and IHDR of a PNG
_GIGABYTE = 2**30


@dataclass(frozen=True)
class Hostile:
    """One file, and what must become of it; several reasons where decoders may differ."""

    name: str
    data: bytes
    reasons: tuple[str, ...]


def film(seed: int, width: int = 40, height: int = 24) -> np.ndarray:
    """Gray pixels that no other seed has."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def encode(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file of that kind."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(name: bytes, content: bytes, crc: int | None = None) -> bytes:
    """One PNG chunk, by default with a right checksum."""
    checksum = zlib.crc32(name + content) if crc is None else crc
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png(
    width: int, height: int, data: bytes, *extra: bytes, depth: int = 8, kind: int = 0
) -> bytes:
    """A PNG of the given header, whatever its data hold."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", data), chunk(b"IEND", b""))
    return PNG + b"".join(parts)


def zeros(count: int) -> bytes:
    """That many zeros, deflated, without ever having them all in memory."""
    packer = zlib.compressobj(9)
    piece = bytes(1 << 20)
    return b"".join([packer.compress(piece) for _ in range(count >> 20)]) + packer.flush()


def images() -> list[Hostile]:
    """Hostile and unusual pictures under ordinary names."""
    return [
        Hostile(name, data, (reason,) if isinstance(reason, str) else reason)
        for part in (_cut(), _mistaken(), _jpegs(), _pngs(), _unusual())
        for name, (data, reason) in part.items()
    ]


_Entries = dict[str, tuple[bytes, str | tuple[str, ...]]]


def _cut() -> _Entries:
    jpeg, png_file = encode(film(1), "JPEG"), encode(film(2), "PNG")
    scan = jpeg.index(b"\xff\xda")
    found: _Entries = {
        "empty.png": (b"", "empty"),
        "one_byte.jpeg": (b"\xff", "unsupported_type"),
        "magic_only.jpeg": (b"\xff\xd8\xff", "truncated"),
        "magic_only.png": (PNG, "unreadable"),
        "zeros.png": (bytes(4096), "unsupported_type"),
        "no_end.jpeg": (jpeg[:-2], "truncated"),
        # All pixels are there.
        "no_end.png": (png_file[:-12], KEPT),
    }
    for place in (4, 11, 20, scan // 2, scan - 1, scan + 3, scan + 40, len(jpeg) * 3 // 4):
        found[f"cut_at_{place}.jpeg"] = (jpeg[:place], "truncated")
    for place in (12, 20, 32):
        found[f"cut_at_{place}.png"] = (png_file[:place], "unreadable")
    for place in (50, len(png_file) // 2, len(png_file) - 40):
        found[f"cut_at_{place}.png"] = (png_file[:place], "truncated")
    return found


def _mistaken() -> _Entries:
    picture = Image.fromarray(film(3))
    stored = io.BytesIO()
    with ZipFile(stored, "w") as archive:
        archive.writestr("payload.txt", "MZ not a film")
    page = b"<!doctype html><script>alert(1)</script>"
    tail: _Entries = {
        # The picture in front is whole, and nothing ever looks at what follows it.
        "jpeg_and_zip.jpeg": (encode(film(4), "JPEG") + stored.getvalue(), KEPT),
        "png_and_html.png": (encode(film(5), "PNG") + page, KEPT),
        "png_named.jpeg": (encode(film(6), "PNG"), KEPT),
        "jpeg_named.png": (encode(film(7), "JPEG"), KEPT),
    }
    others = {
        "gif_named.jpg": encode(picture, "GIF"),
        "animated.gif": encode(picture, "GIF", save_all=True, append_images=[picture.rotate(180)]),
        "animated.webp": encode(
            picture, "WEBP", save_all=True, append_images=[picture.rotate(180)]
        ),
        "bitmap.png": encode(picture, "BMP"),
        "icon.png": encode(picture, "ICO"),
        "pages.tiff": encode(picture, "TIFF", save_all=True, append_images=[picture]),
        "not_a_number.tiff": encode(np.full((24, 40), np.nan, np.float32), "TIFF"),
        "document.png": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/Launch/F(calc)>>>>endobj",
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 24\n(/etc/passwd) run\n",
        "graphic.png": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///x'/></svg>",
        "page.jpeg": page,
        "zip.jpeg": stored.getvalue(),
        "gzip.png": gzip.compress(bytes(1 << 20)),
        "program.png": b"\x7fELF" + bytes(60),
        "html_before_jpeg.jpeg": page + encode(film(3), "JPEG"),
        "text.jpeg": b"a film of a child",
    }
    return {**tail, **{name: (data, "unsupported_type") for name, data in others.items()}}


def _jpegs() -> _Entries:
    jpeg = encode(film(8), "JPEG")
    scan = jpeg.index(b"\xff\xda")
    frame = jpeg.index(b"\xff\xc0")
    restarts = bytearray(encode(film(9, 160, 160), "JPEG", restart_marker_blocks=4))
    restarts[restarts.index(b"\xff\xd3") + 1] = 0xD6
    progressive = encode(film(10), "JPEG", progressive=True)
    first = progressive.index(b"\xff\xda")

    def sized(height: int, width: int) -> bytes:
        return jpeg[: frame + 5] + struct.pack(">HH", height, width) + jpeg[frame + 9 :]

    def coded(process: int) -> bytes:
        return jpeg[: frame + 1] + bytes([0xC0 + process]) + jpeg[frame + 2 :]

    first_frame = Image.fromarray(film(11))
    return {
        "noise.jpeg": (b"\xff\xd8\xff" + np.random.default_rng(0).bytes(4000), "truncated"),
        "wide_and_high.jpeg": (sized(30_000, 30_000), "too_many_pixels"),
        "widest.jpeg": (sized(65_535, 65_535), "too_many_pixels"),
        "larger_than_data.jpeg": (sized(2400, 4000), "truncated"),
        "no_size.jpeg": (sized(0, 0), ("unreadable", "too_small", "truncated")),
        "no_height.jpeg": (sized(0, 40), ("unreadable", "too_small", "truncated")),
        "lossless.jpeg": (coded(3), "unreadable"),
        "differential.jpeg": (coded(5), "unreadable"),
        "arithmetic.jpeg": (coded(9), "unreadable"),
        "arithmetic_progressive.jpeg": (coded(10), "unreadable"),
        "two_frames.jpeg": (
            jpeg[:scan] + jpeg[frame:scan] + jpeg[scan:],
            ("truncated", "unreadable"),
        ),
        "many_scans.jpeg": (
            progressive[:-2] + progressive[first:-2] * 5000 + b"\xff\xd9",
            "unreadable",
        ),
        "many_segments.jpeg": (jpeg[:scan] + b"\xff\xfe\0\2" * 100_000 + jpeg[scan:], "truncated"),
        "fill_bytes.jpeg": (jpeg[:scan] + b"\xff" * 100_000 + jpeg[scan:], "truncated"),
        "segment_of_no_length.jpeg": (
            jpeg[:scan] + b"\xff\xe1\0\0" + jpeg[scan:],
            ("truncated", "unreadable"),
        ),
        "segment_past_end.jpeg": (jpeg[:scan] + b"\xff\xe1\xff\xff" + jpeg[scan:], "truncated"),
        "no_tables.jpeg": (jpeg[:2] + jpeg[frame:], "truncated"),
        "wrong_restart.jpeg": (bytes(restarts), ("truncated", KEPT)),
        "scan_before_frame.jpeg": (jpeg[:2] + jpeg[scan:], "truncated"),
        "twenty_components.jpeg": (
            jpeg[: frame + 9] + b"\x14" + jpeg[frame + 10 :],
            ("truncated", "unreadable"),
        ),
        "several.mpo": (
            encode(first_frame, "MPO", save_all=True, append_images=[first_frame.rotate(180)]),
            "animated",
        ),
        "damaged_mpo.jpeg": (
            jpeg[:2] + b"\xff\xe2\0\x20MPF\0" + b"II*\0\x08\0\0\0" + b"\xff" * 18 + jpeg[2:],
            ("unreadable", "truncated", "animated", KEPT),
        ),
    }


def _pngs() -> _Entries:
    whole = encode(film(12), "PNG")
    head, tail = whole[:_AFTER_HEADER], whole[_AFTER_HEADER:]
    bomb = zeros(_GIGABYTE // 2)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x10
    picture = Image.fromarray(film(13))
    rows = np.hstack([np.zeros((24, 1), np.uint8), film(25)]).tobytes()
    bad_crc = chunk(b"IDAT", zlib.compress(rows), crc=0)
    return {
        "noise.png": (PNG + np.random.default_rng(0).bytes(4000), "unreadable"),
        "wide_and_high.png": (png(30_000, 30_000, zlib.compress(bytes(64))), "too_many_pixels"),
        "widest.png": (png(2**31 - 1, 2**31 - 1, b""), ("too_many_pixels", "unreadable")),
        "no_size.png": (png(0, 0, b""), ("unreadable", "too_small")),
        "no_depth.png": (png(40, 24, zlib.compress(bytes(2000)), depth=3), "unreadable"),
        "unknown_kind.png": (png(40, 24, zlib.compress(bytes(2000)), kind=5), "unreadable"),
        # Half a gigabyte of zeros in the data of a film of 24 x 40 pixels: all but the first
        # thousand must never be inflated. What is left shows nothing.
        "data_bomb.png": (png(40, 24, bomb), ("blank", "truncated")),
        "text_bomb.png": (head + chunk(b"zTXt", b"a\0\0" + bomb) + tail, "unreadable"),
        "many_text_bombs.png": (
            head + chunk(b"zTXt", b"a\0\0" + zeros(1 << 20)) * 200 + tail,
            ("unreadable", "truncated"),
        ),
        "international_bomb.png": (
            head + chunk(b"iTXt", b"a\0\1\0\0\0" + bomb) + tail,
            ("unreadable", "truncated"),
        ),
        "profile_bomb.png": (head + chunk(b"iCCP", b"a\0\0" + bomb) + tail, "unreadable"),
        "many_chunks.png": (head + chunk(b"spAm", b"") * 100_000 + tail, "unreadable"),
        "chunk_past_end.png": (
            head + b"\x7f\xff\xff\xffIDAT" + tail[8:],
            ("unreadable", "truncated", KEPT),
        ),
        "wrong_header_crc.png": (
            PNG + chunk(b"IHDR", whole[16:29], crc=1) + tail,
            ("unreadable", "truncated"),
        ),
        "wrong_data_crc.png": (
            head + bad_crc + chunk(b"IEND", b""),
            ("unreadable", "truncated", KEPT),
        ),
        "flipped_bit.png": (bytes(flipped), ("unreadable", "truncated")),
        "no_data.png": (head + chunk(b"IEND", b""), ("unreadable", "truncated")),
        "little_data.png": (png(400, 400, zlib.compress(bytes(64))), ("truncated", "blank")),
        "no_palette.png": (
            png(40, 24, zlib.compress(bytes(2000)), kind=3),
            ("unreadable", "truncated", "blank"),
        ),
        "animated.png": (
            encode(picture, "PNG", save_all=True, append_images=[picture.rotate(180)]),
            "animated",
        ),
        "million_frames.png": (
            head + chunk(b"acTL", struct.pack(">II", 1_000_000, 0)) + tail,
            "animated",
        ),
        "one_pixel.png": (encode(film(14, 1, 1), "PNG"), "too_small"),
        "fifteen.png": (encode(film(15, 15, 15), "PNG"), "too_small"),
        "line.png": (encode(film(16, 400, 15), "PNG"), "too_small"),
        "black.png": (encode(np.zeros((24, 40), np.uint8), "PNG"), "blank"),
        "transparent.png": (encode(np.full((24, 40, 4), (9, 9, 9, 0), np.uint8), "PNG"), "blank"),
    }


def _unusual() -> _Entries:
    """Odd, but films: each must be kept."""
    colours = Image.fromarray(np.random.default_rng(17).integers(0, 256, (24, 40, 4), np.uint8))
    inks = encode(Image.frombytes("CMYK", (40, 24), colours.tobytes()), "JPEG")
    adobe = inks.index(b"Adobe") + 11
    palette = Image.fromarray(film(18)).convert("P")
    deep = np.random.default_rng(19).integers(0, 65_536, (24, 40), np.uint16)
    with_exif = encode(film(20), "JPEG", exif=_exif(6))
    damaged = with_exif.replace(b"MM\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\x08")
    looped = with_exif.replace(b"MM\0*\0\0\0\x08\0\x01", b"MM\0*\0\0\0\x08\xff\xff")
    assert with_exif not in (damaged, looped)
    return {
        **{f"turned_{code}.jpeg": (turned(code), KEPT) for code in range(1, 9)},
        "turned_9.jpeg": (turned(9), KEPT),
        "damaged_exif.jpeg": (damaged, KEPT),
        "looped_exif.jpeg": (looped, KEPT),
        "not_exif.png": (
            encode(film(21), "PNG", exif=b"Exif\0\0" + b"\xff" * 40),
            ("truncated", KEPT),
        ),
        "four_inks.jpeg": (inks, KEPT),
        "four_inks_turned.jpeg": (inks[:adobe] + b"\x02" + inks[adobe + 1 :], KEPT),
        "sixteen_bit.png": (encode(deep, "PNG"), KEPT),
        "palette.png": (encode(palette, "PNG", transparency=bytes(range(256))), KEPT),
        "alpha.png": (encode(colours, "PNG"), KEPT),
        "bilevel.png": (encode(Image.fromarray(film(22) > 128), "PNG"), KEPT),
        "progressive.jpeg": (encode(film(23), "JPEG", progressive=True), KEPT),
        "sixteen.png": (encode(film(24, 16, 16), "PNG"), KEPT),
    }


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def turned(orientation: int) -> bytes:
    """A film that is bright at the top left once it is turned as its EXIF says."""
    upright = np.random.default_rng(orientation).integers(0, 60, (32, 48), np.uint8)
    upright[:16, :24] += 180
    image = Image.fromarray(upright)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    stored = image if undo is None else image.transpose(undo)
    return encode(stored, "JPEG", quality=95, exif=_exif(orientation))


def odd_names() -> list[str]:
    """Names of good films that a report or a terminal must not trip over."""
    return [
        "new\nline.png",
        "tab\tand\x1b[31mred.png",
        "<script>alert(1).png",
        "'; drop table films; --.png",
        "\u202egnp.right_to_left.png",
        "e\u0301 and \u00e9.png",
        "=cmd|' calc'!A0.png",
        "-rf.png",
        "%s%n{0}.png",
        "x" * 250 + ".png",
        "no suffix",
        " .png",
    ]


def entries(folder: Path) -> dict[str, str]:
    """Put what is no film at all into a class folder; gives the reason of each by its name."""
    before = set(folder.iterdir())
    (folder / "to_secret.png").symlink_to("/etc/passwd")
    (folder / "to_parent.png").symlink_to("../../outside.png")
    (folder / "to_nothing.png").symlink_to("gone.png")
    (folder / "to_itself.png").symlink_to("to_itself.png")
    (folder / "to_device.png").symlink_to("/dev/zero")
    (folder / "to_folder.png").symlink_to(".")
    os.mkfifo(folder / "pipe.png")
    _bind(folder / "socket.png")
    with (folder / "sparse.png").open("wb") as stream:
        stream.truncate(2**40)
    found = {path.name: "unreadable" for path in set(folder.iterdir()) - before}
    del found["to_folder.png"]  # a link to a folder is passed over
    # Root may make a device; where nobody may, there is none to survive.
    try:
        os.mknod(folder / "device.png", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        return found
    return {**found, "device.png": "unreadable"}


def _bind(path: Path) -> None:
    """Leave a socket; by a short name, for the names of sockets may be long nowhere."""
    here = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)


Pack = Callable[[ZipFile], None]
GOOD = tuple(f"{kind}/{number}.png" for kind in "ab" for number in range(10))


def good(number: int) -> bytes:
    """A good film, which no other number has."""
    return encode(film(10_000 + number, 32, 32), "PNG")


def archives() -> dict[str, tuple[bytes, str]]:
    """ZIP files that must be refused whole, and words of the refusal."""
    whole = _zip()
    end = whole.rindex(b"PK\x05\x06")
    directory = whole.index(b"PK\x01\x02")
    lying_size = whole[: end + 12] + struct.pack("<I", 0xFFFFFF) + whole[end + 16 :]
    lying_start = whole[: end + 16] + struct.pack("<I", 0xFFFFFFF0) + whole[end + 20 :]
    lying_number = whole[: end + 8] + struct.pack("<HH", 1, 1) + whole[end + 12 :]
    version = whole[: directory + 6] + struct.pack("<H", 99) + whole[directory + 8 :]
    inner = _zip(lambda archive: archive.writestr("a/bomb.png", bytes(50 << 20), 8))
    quoted = _quoted()
    return {
        "parent": (_member("a/../../escaped.png"), "leaves the archive by '..'"),
        "absolute": (_member("/tmp/escaped.png"), "has an absolute name"),
        "drive": (_member("C:/escaped.png"), "has a name with a drive or backslashes"),
        "backslashes": (_member("a\\..\\..\\escaped.png"), "has a name with a drive"),
        "cut_name": (_member("a/film.png\0.exe"), "has a name that ends before its end"),
        "link": (_member("a/l.png", mode=stat.S_IFLNK | 0o777), "is a link"),
        "pipe": (_member("a/p.png", mode=stat.S_IFIFO | 0o666), "is neither a file nor a folder"),
        "device": (_member("a/d.png", mode=stat.S_IFCHR | 0o666), "is neither a file nor"),
        "encrypted": (_flagged(whole, 1), "is encrypted"),
        "unknown_method": (_method(whole, 97), "is compressed by method 97"),
        "unknown_version": (version, "can't be read as a ZIP file"),
        "flat_bomb": (inner, "inflates "),
        "flat_bomb_below_the_ratio": (_declared(whole, 2**35), "inflates "),
        "quoted_bomb": (quoted, "shares its bytes with another member, as in a bomb"),
        "same_place": (_overlapping(), "shares its bytes with another member, as in a bomb"),
        "same_name": (_member("a/1.png"), "stands there twice"),
        "same_name_in_disguise": (_member("a/./1.png"), "stands there twice"),
        "cut_directory": (whole[: directory + 60], "can't be read as a ZIP file"),
        "cut_end": (whole[: end + 10], "can't be read as a ZIP file"),
        "lost_start": (whole[directory:], "lies before the archive's first byte"),
        "lying_directory_size": (lying_size, "can't be read as a ZIP file"),
        "lying_directory_start": (lying_start, "lies before the archive's first byte"),
        "zip64_beyond_everything": (_zip64(whole, 2**64 - 1), "lies before the archive's"),
        "zip64_directory_of_exabytes": (_zip64(whole, 2**62), "lies before the archive's"),
        "no_zip": (b"PK\x03\x04" + bytes(500), "can't be read as a ZIP file"),
        "nothing": (b"", "can't be read as a ZIP file"),
        "page": (b"<html>404", "can't be read as a ZIP file"),
        "no_classes": (_zip(good_names=("1.png", "2.png")), "holds no class folder"),
        "zip_in_zip": (_zip(good_names=("a.zip", "b.zip")), "holds no class folder"),
        "lying_number_of_members": (lying_number, ""),
        "huge_comment": (_zip(_comment), ""),
        "nested": (_zip(lambda archive: archive.writestr("a/nested.zip", _zip())), ""),
    }


def _zip(more: Pack | None = None, good_names: tuple[str, ...] = GOOD) -> bytes:
    stream = io.BytesIO()
    with ZipFile(stream, "w") as archive:
        for number, name in enumerate(good_names):
            archive.writestr(name, good(number))
        if more:
            more(archive)
    return stream.getvalue()


def _comment(archive: ZipFile) -> None:
    archive.comment = b"PK\x01\x02" * 16_000


def _member(name: str, mode: int = stat.S_IFREG | 0o644) -> bytes:
    """An archive of good films and one of that name and kind."""
    harmless = "z" * len(name)
    info = ZipInfo(harmless)
    info.external_attr = mode << 16
    packed = _zip(lambda archive: archive.writestr(info, good(99)))
    # By hand, for zipfile itself would not write some of these names.
    return packed.replace(harmless.encode(), name.encode())


def _patched(packed: bytes, offset: int, value: bytes) -> bytes:
    """Change the first entry of the directory."""
    start = packed.index(b"PK\x01\x02") + offset
    return packed[:start] + value + packed[start + len(value) :]


def _flagged(packed: bytes, flags: int) -> bytes:
    return _patched(packed, 8, struct.pack("<H", flags))


def _method(packed: bytes, method: int) -> bytes:
    return _patched(packed, 10, struct.pack("<H", method))


def _declared(packed: bytes, size: int) -> bytes:
    return _patched(packed, 24, struct.pack("<I", min(size, 2**32 - 2)))


def _overlapping() -> bytes:
    """Two members of one place: the flat bomb of 1996."""
    packed = bytearray(_zip())
    second = packed.index(b"PK\x01\x02", packed.index(b"PK\x01\x02") + 4)
    packed[second + 42 : second + 46] = bytes(4)
    return bytes(packed)


def _quoted() -> bytes:
    """Fifield, 2019: each member's data hold the next member's header, quoted."""
    # Noise, so that no ratio betrays it: only the shared bytes do.
    noise = np.random.default_rng(0).bytes(1 << 16)
    kernel = zlib.compressobj(9, wbits=-15)
    data = kernel.compress(noise) + kernel.flush()
    names = [f"{kind}/{number}.png".encode() for kind in "ab" for number in range(8)]
    checksum = zlib.crc32(noise)
    body, places = data, []
    size = len(noise)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, checksum, len(body), size, 5, 0)
    body = local + names[-1] + body
    places.append((names[-1], len(data), size, len(body)))
    for name in reversed(names[:-1]):
        header = body[: 30 + 5]
        stored = b"\0" + struct.pack("<HH", len(header), len(header) ^ 0xFFFF)
        packed = len(stored) + places[-1][1] + len(header)
        size += len(header)
        local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, packed, size, len(name), 0)
        body = local + name + stored + body
        places.append((name, packed, size, len(body)))
    entries = b"".join(
        struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, packed, size, len(name)),
            *(0, 0, 0, 0, 0, len(body) - back),
        )
        + name
        for name, packed, size, back in places
    )
    count = len(places)
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(entries), len(body), 0)
    return body + entries + tail


def _zip64(packed: bytes, start: int) -> bytes:
    """A directory that a second end record puts far outside of the file."""
    end = packed.rindex(b"PK\x05\x06")
    size = end - packed.index(b"PK\x01\x02")
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 20, 20, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    last = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return packed[:end] + record + locator + last


def members() -> dict[str, tuple[bytes, str, str]]:
    """Archives of which one member is lost: the archive, the member, and its reason."""
    whole = _zip()
    with ZipFile(io.BytesIO(whole)) as archive:
        third = archive.getinfo("a/3.png")
    inside = third.header_offset + 30 + len(third.filename) + 40
    flipped = whole[:inside] + bytes([whole[inside] ^ 0xFF]) + whole[inside + 1 :]
    place = third.header_offset
    renamed = whole[: place + 30] + b"c/3.png" + whole[place + 37 :]
    headless = whole[:place] + b"XXXX" + whole[place + 4 :]
    return {
        "wrong_crc": (flipped, "a/3.png", "unreadable"),
        "two_names": (renamed, "a/3.png", "unreadable"),
        "no_header": (headless, "a/3.png", "unreadable"),
        "nested_zip": (
            _zip(lambda archive: archive.writestr("a/nested.zip", _zip())),
            "a/nested.zip",
            "unsupported_type",
        ),
        "nested_zip_called_png": (
            _zip(lambda archive: archive.writestr("a/nested.png", _zip())),
            "a/nested.png",
            "unsupported_type",
        ),
    }


def manifests() -> dict[str, tuple[bytes, str]]:
    """Lists of films that must be refused, and words of the refusal."""
    rows = [("a/0.png", "a"), ("b/0.png", "b")]

    def listed(image: str, label: str = "a", header: tuple[str, ...] = ("image", "label")) -> bytes:
        stream = io.StringIO()
        csv.writer(stream).writerows([header, *rows, (image, label)])
        return stream.getvalue().encode()

    return {
        "parent": (listed("../../etc/passwd"), "which is outside of"),
        "absolute": (listed("/etc/passwd"), "which is outside of"),
        "nul": (listed("a/1.png\0.jpeg"), "which is outside of"),
        "no_column": (listed("a/1.png", header=("image", "labels")), "has no column 'label'"),
        "column_twice": (listed("a", header=("label", "label")), "has no column 'image'"),
        "no_value": (listed(""), "has no value in column 'image'"),
        "no_label": (listed("a/1.png", " "), "has no value in column 'label'"),
        "huge_cell": (listed("a" * 200_000), "can't be read as CSV"),
        "more_values": (b"image,label\na/0.png,a,a,a\n", "has more values than there are columns"),
        "open_quote": (b'image,label\n"a/0.png,a\n', "can't be read as CSV"),
        "not_text": (b"image,label\n\xff\xfe/0.png,a\n", "can't be read as CSV"),
        "wide_text": ("image,label\na/0.png,a\n".encode("utf-16"), "can't be read as CSV"),
        "header_alone": (b"image,label\n", "lists no film"),
        "nothing": (b"", "has no column 'image'"),
        "program": (b"\x7fELF" + bytes(200), "has no column 'image'"),
        "one_class": (b"image,label\na/0.png,a\n", "holds only 'a'"),
    }


def listings() -> dict[str, tuple[bytes, str, str]]:
    """Lists of which one film is set aside: the list, the film, and its reason."""
    found = {
        "absent": ("a/absent.png", "unreadable"),
        "formula": ('=HYPERLINK("file:///etc/passwd")', "unreadable"),
        "long": ("a/" + "x" * 5000, "unreadable"),
        "deep": ("a/" * 20_000 + "1.png", "unreadable"),
        "folder": ("a", "unreadable"),
        "line_break": ("a/new\nline.png", "unreadable"),
        "itself": ("films.csv", "unsupported_type"),
        "twice": ("a/0.png", "duplicate"),
    }
    made = {}
    for kind, (name, reason) in found.items():
        stream = io.StringIO()
        rows = [(each, each[0]) for each in GOOD]
        csv.writer(stream).writerows([("image", "label"), *rows, (name, "a")])
        made[kind] = (stream.getvalue().encode(), name, reason)
    return made


def arrays() -> dict[str, tuple[bytes, str]]:
    """Files in the place of a MedMNIST set, and words of the refusal."""
    whole = _npz()
    objects = np.array([{"a": 1}, _Run("arrays")], dtype=object)
    return {
        "objects": (_npz(train_images=objects), "no whole npz file of plain arrays"),
        "pickle": (pickle.dumps(_Run("pickle")), "no whole npz file of plain arrays"),
        "cut": (whole[: len(whole) // 2], "no whole npz file of plain arrays"),
        "not_a_number": (_npz(test_images=np.full((8, 28, 28), np.nan)), "are float64 of shape"),
        "endless_shape": (_npy(f"({10**15}, 28, 28)"), "no whole npz file of plain arrays"),
        "negative_shape": (_npy("(-1, 28, 28)"), "no whole npz file of plain arrays"),
        "code_in_header": (_npy("__import__('os').abort()"), "no whole npz file of plain arrays"),
        "deep_header": (_npy("(" * 3000), "no whole npz file of plain arrays"),
        "bomb": (_npz(extra=np.zeros(2**26, np.uint8)), "the limit max_bytes is"),
        "negative_label": (_npz(val_labels=np.full(8, -1)), "val has label -1"),
        "no_key": (_npz(val_labels=None), "['val_labels'] are missing"),
        "nothing": (b"", "no whole npz file of plain arrays"),
    }


class _Run:
    """Unpickled, it leaves a file behind in the working folder."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (f"ran_{self.mark}",))


def _npz(**changed: np.ndarray | None) -> bytes:
    made: dict[str, np.ndarray | None] = {}
    for name in ("train", "val", "test"):
        made[f"{name}_images"] = np.zeros((8, 28, 28), np.uint8)
        made[f"{name}_labels"] = np.arange(8) % 2
    stream = io.BytesIO()
    kept = {key: value for key, value in {**made, **changed}.items() if value is not None}
    np.savez_compressed(stream, **kept)  # type: ignore[arg-type]
    return stream.getvalue()


def _npy(shape: str) -> bytes:
    """A set of which one array claims a shape."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    array = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(100)
    stream = io.BytesIO(_npz(train_images=None))
    with ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train_images.npy", array)
    return stream.getvalue()


def digits() -> dict[str, tuple[bytes, str]]:
    """Files in the place of MNIST's training images, and words of the refusal."""

    def idx(*sizes: int, data: bytes = b"", kind: int = 8) -> bytes:
        return gzip.compress(
            bytes([0, 0, kind, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + data, 9
        )

    return {
        "nothing": (b"", "expected an idx file of bytes"),
        "count_of_billions": (idx(2**32 - 1, 28, 28), "promises shape (4294967295, 28, 28)"),
        "count_too_high": (idx(500_000, 28, 28, data=bytes(784)), "and holds 784 bytes"),
        "count_too_low": (idx(1, 28, 28, data=bytes(64 << 20)), "and holds more bytes"),
        "sides_that_overflow": (idx(1, 2**31, 2**31), "promises shape (1, 2147483648"),
        "floats": (idx(1, 28, 28, data=bytes(784 * 4), kind=13), "expected an idx file of bytes"),
        "two_bombs": (
            idx(1, 28, 28, data=bytes(784)) + gzip.compress(bytes(64 << 20), 9),
            "and holds more bytes",
        ),
        "cut": (idx(9, 28, 28, data=bytes(784 * 9))[:-12], "is no whole gzip file"),
        "page": (b"<html>", "is no whole gzip file"),
    }


def batches() -> dict[str, tuple[bytes, str]]:
    """Pickles in the place of a batch of CIFAR-10, and words of the refusal."""
    return {
        "code": (pickle.dumps(_Run("batch"), 2), "it names 'posix.mkdir'"),
        "code_of_builtins": (b"c__builtin__\neval\n(S'1'\ntR.", "it names '__builtin__.eval'"),
        "memory_for_a_number": (b"\x80\x02Nr\0\0\0\x20.", "it numbers an object 536870912"),
        "nested_tuples": (b"\x80\x02}N" + b"\x85" * 500_000 + b"Ns.", "more than 100 tuples"),
        "long_string": (b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "is refused: "),
        "recursive": (b"\x80\x02]q\0h\0a.", "holds a list, expected a dictionary"),
        "nothing": (b"", "is refused: "),
    }
