"""Stored values, whatever they are coded in."""

import io
import struct
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from lucency.dicom import container, decoder, frame, header
from lucency.errors import ImageError
from tests.hostile_dicom import encode, film, jpeg, wrapped

LOSSLESS = {
    "JPEG lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "JPEG-LS": gdcm.TransferSyntax.JPEGLSLossless,
    "JPEG 2000": gdcm.TransferSyntax.JPEG2000Lossless,
    "RLE": gdcm.TransferSyntax.RLELossless,
}


def smooth(kind: str, bits: int) -> np.ndarray:
    """A picture with all the values from the least to the greatest."""
    low = -(1 << (bits - 1)) if kind.startswith("i") else 0
    rows = np.linspace(low, low + (1 << bits) - 1, 48 * 56).reshape(48, 56)
    return rows.astype(kind)


def compressed(dataset: Dataset, syntax: int, folder: Path) -> bytes:
    """The same film, written anew by gdcm in another transfer syntax."""
    path = folder / "plain.dcm"
    path.write_bytes(encode(dataset))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(folder / "compressed.dcm"))
    assert writer.Write()
    return (folder / "compressed.dcm").read_bytes()


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize(("kind", "bits"), [("u1", 8), ("u2", 12), ("u2", 16), ("i2", 16)])
def test_compressed_film_is_the_plain_one(name: str, kind: str, bits: int, tmp_path: Path) -> None:
    """A lossless stream gives every value and every gray of the film it was made from."""
    plain = film(smooth(kind, bits), BitsStored=bits)

    data = compressed(plain, LOSSLESS[name], tmp_path)

    assert container.split(data).syntax not in container.NATIVE
    np.testing.assert_array_equal(decoder.codes(data), decoder.codes(encode(plain)))
    np.testing.assert_array_equal(decoder.render(data), decoder.render(encode(plain)))


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize(("kind", "bits"), [("u1", 8), ("u2", 12), ("i2", 14)])
def test_uncompressed_syntaxes_give_the_same_values(syntax: str, kind: str, bits: int) -> None:
    """Implicit or explicit, little or big endian, one byte or two, signed or not."""
    stored = smooth(kind, bits)
    big = syntax == ExplicitVRBigEndian
    dataset = film(stored, BitsStored=bits)
    data = stored.astype(stored.dtype.newbyteorder(">" if big else "<")).tobytes()
    if big and kind == "u1":
        data = stored.reshape(-1, 2)[:, ::-1].tobytes()
    dataset.PixelData = data
    dataset.file_meta.TransferSyntaxUID = UID(syntax)

    found = decoder.codes(encode(dataset))

    np.testing.assert_array_equal(found, stored.astype(np.int32) & ((1 << bits) - 1))


def test_big_endian_bytes_that_are_no_words_are_not_swapped() -> None:
    """OB has no byte order."""
    stored = smooth("u1", 8)
    dataset = film(stored)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian

    np.testing.assert_array_equal(decoder.codes(encode(dataset)), stored)


def test_odd_number_of_bytes_is_padded() -> None:
    """An even length is the standard's rule, and the byte more is no pixel."""
    stored = np.arange(17 * 17, dtype=np.uint16).astype(np.uint8).reshape(17, 17)
    dataset = film(stored)
    dataset.PixelData += b"\0"

    np.testing.assert_array_equal(decoder.codes(encode(dataset)), stored)


def test_fragments_are_joined(tmp_path: Path) -> None:
    """One frame may be cut into several fragments."""
    data = compressed(film(smooth("u2", 12)), LOSSLESS["JPEG lossless"], tmp_path)
    dataset = pydicom.dcmread(io.BytesIO(data))
    (stream,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = pydicom.encaps.encapsulate([stream], fragments_per_frame=3)

    np.testing.assert_array_equal(decoder.codes(encode(dataset)), smooth("u2", 12))


def test_cut_stream_is_refused(tmp_path: Path) -> None:
    """A compressed picture without its end is never shown, though codecs would fill it up."""
    data = compressed(film(smooth("u2", 12)), LOSSLESS["JPEG lossless"], tmp_path)
    dataset = pydicom.dcmread(io.BytesIO(data))
    (stream,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = pydicom.encaps.encapsulate([stream[: len(stream) // 2]])

    with pytest.raises(ImageError) as caught:
        decoder.render(encode(dataset))

    assert caught.value.reason == "truncated"


def test_sizes_are_compared_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """No decoder is asked for while the two headers disagree."""
    monkeypatch.setattr(frame, "get_decoder", lambda syntax: pytest.fail("decoding was begun"))
    dataset = header.parse(wrapped(jpeg(41, 32)))

    with pytest.raises(ImageError, match="32 x 41"):
        frame.codes(dataset, frame.format_of(dataset))


def test_only_named_decoders_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """gdcm first, then Pillow, and no other plugin that happens to be installed."""
    asked: list[str] = []

    class Recorder:
        available_plugins = ("gdcm", "pylibjpeg", "pillow")

        def as_array(self, dataset: Dataset, *, decoding_plugin: str, raw: bool) -> None:
            asked.append(decoding_plugin)
            raise RuntimeError

    monkeypatch.setattr(frame, "get_decoder", lambda syntax: Recorder())
    dataset = header.parse(wrapped(jpeg(40, 32)))

    with pytest.raises(ImageError):
        frame.codes(dataset, frame.format_of(dataset))

    assert asked == ["gdcm", "pillow"]


def test_rle_runs_are_counted() -> None:
    """A stream whose runs are one byte short of the picture is cut off."""
    runs = struct.pack("<16I", 1, 64, *[0] * 14)
    whole = runs + b"\x81\x07" * 10  # ten runs of 128: 40 x 32 pixels of gray 7

    picture = decoder.codes(wrapped(whole, container.RLE))
    with pytest.raises(ImageError) as caught:
        decoder.codes(wrapped(whole[:-2] + b"\x82\x07", container.RLE))

    assert (picture == 7).all()
    assert caught.value.reason == "truncated"
