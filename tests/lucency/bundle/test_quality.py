"""Warnings about a film: what raises each, and that none changes the answer."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lucency import images
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.datasets.phantom import Phantom
from lucency.drift import reference as drift
from tests import hostile_dicom

FILMS = 24


def drawn(count: int, seed: int = 0) -> list[bytes]:
    """Drawn chest films, JPEG."""
    return [each.read() for each in Phantom(patients=count, size=96, max_films=1, seed=seed)]


def proven_on(films: list[bytes], bundle: Artifact, path: Path) -> Predictor:
    """The bundle with the drift reference of these films."""
    shutil.copytree(bundle.path, path)
    plain = Predictor(bundle.path)
    features = [plain.predict_bytes(film).features for film in films]
    reference = drift.fit({name: np.array([f[name] for f in features]) for name in drift.FEATURES})
    added = {artifact.DRIFT: reference.model_dump_json().encode()}
    return Predictor(artifact.with_files(Artifact.load(path), added).path)


@pytest.fixture(scope="module")
def predictor(bundle: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A bundle that was proven on drawn films."""
    return proven_on(drawn(FILMS), bundle, tmp_path_factory.mktemp("quality") / "bundle")


def pixels(data: bytes) -> np.ndarray:
    """A film's grays."""
    return images.decode(data)


def test_films_of_the_kind_are_not_warned_of(predictor: Predictor) -> None:
    """Films that the reference has never seen, of the same kind, pass."""
    assert [predictor.predict_bytes(film).warnings for film in drawn(12, seed=9)] == [()] * 12


def test_negative_is_inverted(predictor: Predictor, film: bytes) -> None:
    """A film with black bones is told from one of another kind."""
    negative = images.encode_png(255 - pixels(film))

    assert "inverted" in predictor.predict_bytes(negative).warnings


@pytest.mark.parametrize("value", [0, 128, 255])
def test_empty_film_is_blank_and_nothing_else(predictor: Predictor, value: int) -> None:
    """Of a film that shows nothing nothing else is said."""
    empty = images.encode_png(np.full((96, 96), value, np.uint8))

    assert predictor.predict_bytes(empty).warnings == ("blank",)


@pytest.mark.parametrize(("side", "small"), [(31, True), (32, False)])
def test_smaller_than_the_input_is_too_small(predictor: Predictor, side: int, small: bool) -> None:
    """A film that must be enlarged has less to see than the network was proven on."""
    noise = np.random.default_rng(0).integers(0, 256, (60, side)).astype(np.uint8)

    warned = predictor.predict_bytes(images.encode_png(noise)).warnings

    assert ("too_small" in warned) is small


def test_noise_is_unlike_validation(predictor: Predictor) -> None:
    """A picture that is no film at all is outside of the range of those that were."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.uint8)

    assert predictor.predict_bytes(images.encode_png(noise)).warnings == ("unlike_validation",)


def test_too_dark_is_unlike_validation(predictor: Predictor, film: bytes) -> None:
    """Layout alone does not make a film: one that is nearly black is far from all others."""
    dark = images.encode_png(pixels(film) // 12)

    assert predictor.predict_bytes(dark).warnings == ("unlike_validation",)


def test_warning_changes_no_answer(predictor: Predictor, bundle: Artifact) -> None:
    """The same logits and decision come from a bundle that has nothing to warn by."""
    noise = images.encode_png(np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.uint8))

    warned, plain = predictor.predict_bytes(noise), Predictor(bundle.path).predict_bytes(noise)

    assert warned.warnings
    assert (warned.logits, warned.decision) == (plain.logits, plain.decision)


def test_pictures_of_no_one_kind_are_not_warned_of(bundle: Artifact, tmp_path: Path) -> None:
    """Where things lie anywhere, there is no kind, and no picture is a negative of it."""
    generator = np.random.default_rng(0)

    def picture() -> bytes:
        plane = generator.integers(60, 90, (64, 64)).astype(np.uint8)
        top, left = generator.integers(0, 40, 2)
        plane[top : top + 24, left : left + 24] += 100
        return images.encode_png(plane)

    predictor = proven_on([picture() for _ in range(60)], bundle, tmp_path / "bundle")

    warned = [kind for _ in range(40) for kind in predictor.predict_bytes(picture()).warnings]
    assert "inverted" not in warned
    assert len(warned) <= 4, "the histograms of sixty pictures have a tail"


def test_every_bundle_loads(bundle: Artifact, tmp_path: Path) -> None:
    """A draft, whose reference has no features yet, warns of what needs none."""
    shutil.copytree(bundle.path, tmp_path / "bundle")
    empty = drift.DriftReference(films=0, features={}).model_dump_json().encode()
    bare = artifact.with_files(Artifact.load(tmp_path / "bundle"), {artifact.DRIFT: empty})
    negative = images.encode_png(255 - pixels(drawn(1)[0]))

    assert Predictor(bare.path).predict_bytes(negative).warnings == ()


def test_text_in_the_pixels_is_the_headers_word(bundle: Artifact) -> None:
    """A DICOM film that says so is answered as any other, with the warning."""
    pixels = np.add.outer(np.arange(90) * 20, np.arange(70) * 13).astype(np.uint16)
    plain, marked = (
        Predictor(bundle.path).predict_bytes(
            hostile_dicom.encode(hostile_dicom.film(pixels, BurnedInAnnotation=said))
        )
        for said in ("NO", "YES")
    )

    assert "burned_in_text" not in plain.warnings
    assert set(marked.warnings) == {*plain.warnings, "burned_in_text"}
    assert marked.logits == plain.logits
