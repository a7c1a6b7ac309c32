"""What is DICOM, and in which transfer syntax, by the bytes alone."""

import pytest
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from lucency import images
from lucency.dicom import container, decoder
from lucency.errors import ImageError
from tests.hostile_dicom import encode, film, relabelled


def bare(syntax: str | None = None) -> bytes:
    """A film without preamble and file meta."""
    dataset = film()
    if syntax is not None:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    data = encode(dataset)
    group = b"\0\x08\0\x16" if syntax == ExplicitVRBigEndian else b"\x08\0\x16\0"
    return data[data.index(group) :]


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_film_without_preamble_is_dicom(syntax: str | None) -> None:
    """Old archives wrote the elements alone; how they are coded is seen from the first ones."""
    data = bare(syntax)

    found = container.split(data)

    assert container.is_dicom(data)
    assert found.offset == 0
    assert found.implicit == (syntax == ImplicitVRLittleEndian)
    assert found.little == (syntax != ExplicitVRBigEndian)


def test_film_without_preamble_is_rendered() -> None:
    """And it is the same picture."""
    assert (decoder.render(bare()) == decoder.render(encode(film()))).all()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"DICM",
        b"\x08\0",
        b"\0" * 400,
        b"\xff\xd8\xff\xe0" + b"\0" * 400,
        images.encode_png(film().pixel_array.astype("uint8")),
        b"patient,label\nP1,0\n" * 30,
        b"PK\3\4" + b"\x14\0\0\0\x08\0" * 50,
        b"\x08\0\x16\0" + b"\xff" * 400,
    ],
)
def test_other_bytes_are_not_dicom(data: bytes) -> None:
    """Pictures, tables, archives and zeros are none."""
    assert not container.is_dicom(data)


def test_elements_may_be_coded_otherwise_than_the_meta_says() -> None:
    """Explicit elements under an implicit syntax are a common mistake, and are read."""
    wrong = relabelled(encode(film()), ImplicitVRLittleEndian)

    assert not container.split(wrong).implicit
    assert (decoder.render(wrong) == decoder.render(encode(film()))).all()


def test_unknown_syntax_is_not_repeated() -> None:
    """The element may hold anything, a name too."""
    with pytest.raises(ImageError) as caught:
        container.split(relabelled(encode(film()), "DOE^JANE"))

    assert caught.value.reason == "unknown_syntax"
    assert "DOE" not in str(caught.value)


@pytest.mark.parametrize("length", range(1, 300, 7))
def test_cut_meta_never_raises_another_error(length: int) -> None:
    """Wherever the file meta ends, the answer is one of three reasons."""
    with pytest.raises(ImageError) as caught:
        container.split(encode(film())[:length])

    assert caught.value.reason in {"empty", "unsupported_type", "unreadable"}
