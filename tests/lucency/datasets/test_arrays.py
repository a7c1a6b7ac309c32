"""Pictures that lie in memory become samples with PNG bytes."""

import numpy as np
import pytest

from lucency import images
from lucency.datasets import clean
from lucency.datasets.arrays import ArrayDataset, Part
from lucency.errors import DataError

CLASSES = ("NO", "YES")


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    """Gray values without order."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def source(*parts: Part) -> ArrayDataset:
    """A set of two classes at one place."""
    return ArrayDataset(parts, CLASSES, "here")


@pytest.mark.parametrize(("shape", "color"), [((2, 18, 16), "L"), ((2, 18, 16, 3), "RGB")])
def test_bytes_are_a_picture_of_the_array(shape: tuple[int, ...], color: images.Color) -> None:
    """What is read is a PNG of the very pixels, gray or colour."""
    stored = pixels(*shape)

    _, second = source(Part("train", stored, np.array([0, 1])))

    decoded = images.decode(second.read(), color=color)
    np.testing.assert_array_equal(decoded.squeeze(), stored[1])


def test_same_pixels_have_the_same_bytes() -> None:
    """Encoding is repeatable, so a copy can be known by its digest."""
    twice = pixels(1, 16, 16).repeat(2, axis=0)

    first, second = source(Part("train", twice, np.array([0, 0])))

    assert first.read() == second.read()


def test_samples_come_in_the_order_of_the_parts() -> None:
    """Names tell part and row, labels and splits go with them."""
    parts = [
        Part("test", pixels(1, 16, 16), np.array([1])),
        Part("val", pixels(2, 16, 16), np.array([0, 1])),
    ]

    samples = list(source(*parts))

    assert len(source(*parts)) == 3
    assert [sample.name for sample in samples] == ["test/00000", "val/00000", "val/00001"]
    assert [sample.split for sample in samples] == ["test", "validation", "validation"]
    assert [sample.label for sample in samples] == [1, 0, 1]
    assert {sample.site for sample in samples} == {"here"}


def test_row_without_a_patient_is_its_own() -> None:
    """A patient that is known is kept; the others are one a row."""
    part = Part("train", pixels(3, 16, 16), np.array([0, 0, 1]), {0: "Ann", 2: "Ann"})

    assert [sample.patient for sample in source(part)] == ["Ann", "train/00001", "Ann"]


def test_part_given_first_keeps_a_shared_picture() -> None:
    """A picture in test and in train stays in test, whose figures are compared with others'."""
    shared = pixels(1, 16, 16)
    parts = [Part(name, shared, np.array([1])) for name in ("test", "train")]

    inspection = clean.inspect(source(*parts))

    assert [film.sample.split for film in inspection.films] == ["test"]
    assert [(aside.name, aside.reason) for aside in inspection.set_aside] == [
        ("train/00000", "duplicate")
    ]


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        (pixels(2, 16, 16).astype(np.float32), r"float32 of shape \(2, 16, 16\)"),
        (pixels(2, 16, 16, 4), r"uint8 of shape \(2, 16, 16, 4\)"),
        (pixels(2, 16), r"uint8 of shape \(2, 16\)"),
    ],
    ids=["float", "alpha", "flat"],
)
def test_images_of_another_form_are_refused(stored: np.ndarray, found: str) -> None:
    """Type and shape that were found are told beside those that are read."""
    with pytest.raises(DataError, match=found + "; expected uint8"):
        source(Part("train", stored, np.array([0, 1])))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (np.array([0.0, 1.0]), r"labels are float64 of shape \(2,\)"),
        (np.array([[0, 1], [1, 0]]), r"labels are int64 of shape \(2, 2\)"),
        (np.array([0, 1, 1]), "2 images and 3 labels"),
        (np.array([0, 2]), r"label 2; the 2 classes \['NO', 'YES'\] have labels 0 to 1"),
        (np.array([-1, 0]), "label -1"),
    ],
    ids=["float", "several", "surplus", "above", "below"],
)
def test_labels_of_another_form_are_refused(labels: np.ndarray, found: str) -> None:
    """Each image needs one label, and each label a class."""
    with pytest.raises(DataError, match=found):
        source(Part("train", pixels(2, 16, 16), labels))
