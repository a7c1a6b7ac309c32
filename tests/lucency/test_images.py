"""Bytes from anywhere become checked pixels, or one of a few reasons."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from lucency import images
from lucency.errors import ImageError

PNG = b"\x89PNG\r\n\x1a\n"
HEADER = 33  # signature and IHDR of a PNG


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """The image as a file of that kind."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """One PNG chunk with a right checksum."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def header_only(width: int, height: int) -> bytes:
    """A PNG whose header promises that many pixels and whose data hold next to none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(64))
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def coded_as(process: int) -> bytes:
    """A baseline JPEG whose start-of-frame marker claims another process."""
    start = JPEG_FILE.index(b"\xff\xc0")
    return JPEG_FILE[:start] + bytes([0xFF, 0xC0 + process]) + JPEG_FILE[start + 2 :]


RAMP = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (24, 1))
FILM = Image.fromarray(RAMP)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
JPEG_FILE = encode(FILM, "JPEG")
PNG_FILE = encode(NOISE, "PNG")
SCAN = JPEG_FILE.index(b"\xff\xda")  # where the header of the JPEG ends
PROGRESSIVE = encode(FILM, "JPEG", progressive=True)
INKS = encode(FILM.convert("CMYK"), "JPEG")
MANY = 100_000  # parts of a file, each of which costs a reader time
TURNED = Image.Exif()
TURNED[ExifTags.Base.Orientation] = 6

HOSTILE = {
    "nothing": (b"", "empty"),
    "text": (b"a film of a child", "unsupported_type"),
    "web_page": (b"<!doctype html><img src=film.png>", "unsupported_type"),
    "vector_graphic": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_type"),
    "gif": (encode(FILM, "GIF"), "unsupported_type"),
    "tiff": (encode(FILM, "TIFF"), "unsupported_type"),
    "bmp": (encode(FILM, "BMP"), "unsupported_type"),
    "three_bytes_of_jpeg": (b"\xff\xd8\xff", "truncated"),
    "noise_after_jpeg_magic": (
        b"\xff\xd8\xff" + np.random.default_rng(0).bytes(400),
        "truncated",
    ),
    "jpeg_header_cut": (JPEG_FILE[:20], "truncated"),
    "jpeg_data_cut": (JPEG_FILE[:-20], "truncated"),
    "noise_after_png_magic": (PNG + np.random.default_rng(0).bytes(400), "unreadable"),
    "png_header_cut": (PNG_FILE[:20], "unreadable"),
    "png_data_cut": (PNG_FILE[: len(PNG_FILE) // 2], "truncated"),
    "png_bit_flipped": (
        PNG_FILE[:2000] + bytes([PNG_FILE[2000] ^ 1]) + PNG_FILE[2001:],
        "truncated",
    ),
    "png_of_no_size": (header_only(0, 0), "unreadable"),
    "png_text_bomb": (
        PNG_FILE[:HEADER]
        + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(8_000_000)))
        + PNG_FILE[HEADER:],
        "unreadable",
    ),
    "one_pixel": (encode(Image.new("L", (1, 1)), "PNG"), "too_small"),
    "a_line": (encode(Image.new("L", (400, images.MIN_SIDE - 1)), "PNG"), "too_small"),
    "pixel_bomb": (header_only(20_000, 20_000), "too_many_pixels"),
    "animated_png": (
        encode(FILM, "PNG", save_all=True, append_images=[FILM.rotate(180)]),
        "animated",
    ),
    "several_jpegs": (
        encode(FILM, "MPO", save_all=True, append_images=[FILM.rotate(180)]),
        "animated",
    ),
    "scan_before_frame": (b"\xff\xd8" + JPEG_FILE[SCAN:], "truncated"),
    "many_segments": (JPEG_FILE[:SCAN] + b"\xff\xe0\0\2" * MANY + JPEG_FILE[SCAN:], "truncated"),
    "much_fill": (JPEG_FILE[:SCAN] + b"\xff" * MANY + JPEG_FILE[SCAN:], "truncated"),
    "many_scans": (JPEG_FILE[:-2] + JPEG_FILE[SCAN:-2] * 100 + JPEG_FILE[-2:], "unreadable"),
    "many_chunks": (
        PNG_FILE[:HEADER] + chunk(b"spAm", b"") * MANY + PNG_FILE[HEADER:],
        "unreadable",
    ),
    "cut_in_a_frame": (JPEG_FILE[: JPEG_FILE.index(b"\xff\xc0") + 8], "truncated"),
    "bare_marker": (JPEG_FILE[:2] + b"\xff\x01\0\4" + JPEG_FILE[2:], "truncated"),
    "restart_in_header": (JPEG_FILE[:2] + b"\xff\xd0\0\4ab" + JPEG_FILE[2:], "truncated"),
    "segment_of_no_length": (JPEG_FILE[:2] + b"\xff\xe5\0\0" + JPEG_FILE[2:], "truncated"),
    "many_progressive_scans": (
        PROGRESSIVE[:-2] + PROGRESSIVE[PROGRESSIVE.index(b"\xff\xda") : -2] * 100,
        "unreadable",
    ),
    "many_scans_of_inks": (
        INKS[:-2] + INKS[INKS.index(b"\xff\xda") : -2] * 100 + INKS[-2:],
        "unreadable",
    ),
    "lossless_jpeg": (coded_as(3), "unreadable"),
    "arithmetic_jpeg": (coded_as(9), "unreadable"),
}


@pytest.mark.parametrize("at_least", [0, 16], ids=["full size", "scaled"])
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_hostile_file_gets_its_reason(name: str, at_least: int) -> None:
    """A file that is no usable film is refused with the one reason that fits, at any scale."""
    data, reason = HOSTILE[name]

    with pytest.raises(ImageError) as caught:
        images.decode(data, at_least=at_least)

    assert caught.value.reason == reason
    assert str(caught.value)


def test_pixel_bomb_costs_no_memory() -> None:
    """A header that promises 400 megapixels in 90 bytes is refused before any is allocated."""
    data = header_only(20_000, 20_000)
    code = f"""
import resource
from lucency import errors, images
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    images.decode({data!r})
except errors.ImageError as error:
    print(error.reason, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    reason, grown_kib = done.stdout.split()
    assert len(data) < 90
    assert reason == "too_many_pixels"
    assert int(grown_kib) < 20_000


@pytest.mark.parametrize("read", [images.decode, images.size])
def test_limit_of_pixels_is_the_callers(read: Callable[..., object]) -> None:
    """A film of exactly the limit is read, one pixel more is refused, by header and by film."""
    read(JPEG_FILE, max_pixels=24 * 32)

    with pytest.raises(ImageError, match="the limit is 767"):
        read(JPEG_FILE, max_pixels=24 * 32 - 1)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "PNG"), ("1", "PNG"), ("RGB", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("LA", "PNG")],
)
def test_every_usual_mode_decodes(mode: str, kind: str) -> None:
    """Gray, bilevel, colour, CMYK, palette and alpha films keep their dark and bright side."""
    data = encode(FILM.convert(mode), kind)

    pixels = images.decode(data)

    assert pixels.shape == (24, 32, 1)
    assert pixels.dtype == np.uint8
    assert pixels[:, :4].mean() < 60 < 190 < pixels[:, -4:].mean()


@pytest.mark.parametrize(("color", "channels"), [("L", 1), ("RGB", 3)])
def test_color_decides_the_channels(color: images.Color, channels: int) -> None:
    """A gray film read as RGB is repeated in each channel."""
    pixels = images.decode(encode(FILM, "PNG"), color=color)

    np.testing.assert_array_equal(pixels, np.repeat(RAMP[:, :, None], channels, axis=2))


def test_progressive_jpeg_decodes() -> None:
    """The progressive process is one that films really have."""
    pixels = images.decode(encode(FILM, "JPEG", progressive=True, quality=95))

    np.testing.assert_allclose(pixels[:, :, 0], RAMP, atol=6)


def test_sixteen_bit_film_keeps_its_contrast() -> None:
    """A 12-bit film stored in 16 bits is stretched to the full range, not shown nearly black."""
    values = np.tile(np.linspace(1000, 4095, 32).astype(np.uint16), (24, 1))

    pixels = images.decode(encode(Image.fromarray(values), "PNG"))[:, :, 0]

    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.all(np.diff(pixels[0].astype(int)) > 0)


def test_flat_sixteen_bit_film_stays_flat() -> None:
    """A film of one value is not divided by its range of zero."""
    values = np.full((24, 32), 4095, np.uint16)

    assert not images.decode(encode(Image.fromarray(values), "PNG")).any()


@pytest.mark.parametrize(
    "film", [FILM, Image.fromarray(RAMP.astype(np.uint16) * 257)], ids=["8 bit", "16 bit"]
)
def test_film_is_turned_upright(film: Image.Image) -> None:
    """A film whose EXIF says it was turned by a quarter comes out as a person sees it."""
    pixels = images.decode(encode(film, "PNG", exif=TURNED))[:, :, 0]

    expected = images.decode(encode(film, "PNG"))[:, :, 0]
    np.testing.assert_array_equal(pixels, np.rot90(expected, -1))


@pytest.mark.parametrize("orientation", range(1, 10))
def test_orientation_is_undone_as_pillow_does(orientation: int) -> None:
    """All eight orientations, and one that does not exist, agree with Pillow's own turning."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encode(NOISE.resize((20, 30)), "PNG", exif=exif)

    pixels = images.decode(data)[:, :, 0]

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(pixels, np.asarray(expected))


def test_damaged_description_does_not_cost_the_film() -> None:
    """A turned film decodes although another EXIF tag of it holds a value of the wrong type."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = 72.0
    data = encode(FILM, "JPEG", exif=exif)
    rational = struct.pack(">HH", ExifTags.Base.XResolution, 5)
    as_text = struct.pack(">HH", ExifTags.Base.XResolution, 2)
    assert rational in data

    pixels = images.decode(data.replace(rational, as_text))

    assert pixels.shape == (32, 24, 1)


def test_transparent_pixels_are_black() -> None:
    """Outside the film there is no exposure, whatever colour hides under the transparency."""
    layers = np.full((24, 32, 4), 255, np.uint8)
    layers[:, :16, 3] = 0

    pixels = images.decode(encode(Image.fromarray(layers), "PNG"))

    assert not pixels[:, :16].any()
    assert (pixels[:, 16:] == 255).all()


def test_transparent_palette_entry_is_black() -> None:
    """A palette's transparent colour counts as no exposure too."""
    palette = Image.fromarray(np.where(RAMP < 128, 0, 1).astype(np.uint8))
    palette.putpalette([255, 255, 255, 200, 200, 200])

    pixels = images.decode(encode(palette, "PNG", transparency=0))

    assert set(np.unique(pixels)) == {0, 200}


def test_content_type_looks_at_the_bytes() -> None:
    """The type comes from the first bytes alone."""
    assert images.content_type(JPEG_FILE) == "image/jpeg"
    assert images.content_type(PNG_FILE) == "image/png"


def test_size_is_width_first() -> None:
    """The header's size is given as width and height."""
    assert images.size(JPEG_FILE) == (32, 24)


@pytest.mark.parametrize("shape", [(24, 32), (24, 32, 1), (24, 32, 3)])
def test_written_png_reads_back(shape: tuple[int, ...]) -> None:
    """What ``encode_png`` writes, ``decode`` gives back, channel by channel."""
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    color: images.Color = "RGB" if shape[-1] == 3 else "L"

    back = images.decode(images.encode_png(pixels), color=color)

    np.testing.assert_array_equal(back.reshape(shape), pixels)


def film_of(height: int, width: int) -> Image.Image:
    """A large film without fine detail."""
    small = Image.fromarray(np.random.default_rng(1).integers(0, 256, (6, 8), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(800, 1000, (300, 375)), (448, 448, (224, 224)), (256, 300, (256, 300)), (90, 95, (90, 95))],
)
def test_large_jpeg_may_come_smaller(height: int, width: int, expected: tuple[int, int]) -> None:
    """The scale is the least whose both sides suffice; nothing is enlarged."""
    pixels = images.decode(encode(film_of(height, width), "JPEG"), at_least=224)

    assert pixels.shape == (*expected, 1)


@pytest.mark.parametrize("color", ["L", "RGB"])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_smaller_jpeg_shows_the_same_film(
    color: images.Color, mode: str, progressive: bool
) -> None:
    """A scaled film is the whole film shrunk, to a few gray levels."""
    data = encode(film_of(480, 640).convert(mode), "JPEG", quality=95, progressive=progressive)

    scaled = images.decode(data, color=color, at_least=100)

    whole = images.decode(data, color=color)
    shrunk = cv2.resize(whole, scaled.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert whole.shape[:2] == (480, 640)
    assert np.abs(shrunk.reshape(scaled.shape).astype(int) - scaled).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_smaller_jpeg_is_upright(orientation: int) -> None:
    """All eight orientations of a JPEG agree with Pillow's own turning, at any scale."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encode(film_of(160, 240), "JPEG", exif=exif, quality=95)

    scaled = images.decode(data, at_least=80)[:, :, 0]

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert scaled.shape == (expected.height // 2, expected.width // 2)
    shrunk = expected.resize((scaled.shape[1], scaled.shape[0]), Image.Resampling.BOX)
    assert np.abs(np.asarray(shrunk).astype(int) - scaled).max() <= 6


def test_orientation_in_xmp_counts() -> None:
    """A film that is turned by XMP alone comes out upright too."""
    packet = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    segment = b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet

    pixels = images.decode(JPEG_FILE[:2] + segment + JPEG_FILE[2:])

    assert pixels.shape == (32, 24, 1)


@pytest.mark.parametrize("at_least", [0, 16])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("progressive", [False, True])
def test_cut_jpeg_is_never_half_gray(progressive: bool, share: float, at_least: int) -> None:
    """Wherever a JPEG ends too early it is refused, not filled up."""
    data = encode(NOISE.resize((200, 150)), "JPEG", progressive=progressive)

    with pytest.raises(ImageError, match="cut off"):
        images.decode(data[: int(share * len(data))], at_least=at_least)


@pytest.mark.parametrize("at_least", [0, 16])
def test_jpeg_with_a_hole_is_refused(at_least: int) -> None:
    """Data lost in the middle is noticed although a decoder could fill up what is missing."""
    data = encode(NOISE.resize((200, 150)), "JPEG")
    middle = len(data) // 2

    with pytest.raises(ImageError) as caught:
        images.decode(data[:middle] + data[middle + 300 :], at_least=at_least)

    assert caught.value.reason == "truncated"


def test_gray_of_a_colour_jpeg_is_pillows() -> None:
    """Taking the luma plane alone gives the gray that the colours have."""
    colors = np.dstack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 90)])
    data = encode(Image.fromarray(colors), "JPEG", quality=95, subsampling=0)

    pixels = images.decode(data)[:, :, 0]

    expected = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    assert np.abs(pixels.astype(int) - expected).max() <= 2


ROWS = {
    "gray": PNG_FILE,
    "colour": encode(Image.fromarray(np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1]])), "PNG"),
    "one_bit": encode(FILM.convert("1"), "PNG"),
    "palette": encode(FILM.convert("P"), "PNG"),
    "alpha": encode(FILM.convert("LA"), "PNG"),
    "blanked": encode(FILM, "PNG", transparency=0),
    "sixteen_bit": encode(Image.fromarray(RAMP.astype(np.uint16) * 99), "PNG"),
    "turned": encode(FILM, "PNG", exif=TURNED),
    "jpeg": JPEG_FILE,
    "turned_jpeg": encode(FILM, "JPEG", exif=TURNED),
    "inks": INKS,
}


@pytest.mark.parametrize("color", ["L", "RGB"])
@pytest.mark.parametrize("name", ROWS)
def test_checked_film_has_the_same_pixels(name: str, color: images.Color) -> None:
    """Reading a row of our own table leaves out checks and nothing else."""
    expected = images.decode(ROWS[name], color=color)

    np.testing.assert_array_equal(images.decode_checked(ROWS[name], color=color), expected)


def test_damaged_row_is_still_refused() -> None:
    """A row that was damaged after it was checked does not become a film."""
    with pytest.raises(ImageError):
        images.decode_checked(PNG_FILE[: len(PNG_FILE) // 2])
