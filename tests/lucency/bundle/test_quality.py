"""Warnings about a film: what raises each, and that none changes the answer."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lucency import images
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact, Golden
from lucency.bundle.predictor import Predictor
from lucency.datasets.phantom import Phantom
from lucency.drift import reference as drift

FILMS = 24


def drawn(count: int, seed: int = 0) -> list[bytes]:
    """Drawn chest films, JPEG."""
    return [each.read() for each in Phantom(patients=count, size=96, max_films=1, seed=seed)]


@pytest.fixture(scope="module")
def predictor(bundle: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A bundle whose golden films and drift reference are those of drawn films."""
    path = tmp_path_factory.mktemp("quality") / "bundle"
    shutil.copytree(bundle.path, path)
    plain, films = Predictor(bundle.path), drawn(FILMS)
    features = [plain.predict_bytes(film).features for film in films]
    reference = drift.fit({name: np.array([f[name] for f in features]) for name in drift.FEATURES})
    golden = [
        Golden(file=f"golden/{n}.jpeg", logits=plain.predict_bytes(film).logits, tolerance=1e-3)
        for n, film in enumerate(films[:4])
    ]
    added = {f"golden/{n}.jpeg": film for n, film in enumerate(films[:4])}
    added[artifact.DRIFT] = reference.model_dump_json().encode()
    entries = ",".join(each.model_dump_json() for each in golden)
    added[artifact.GOLDEN] = f"[{entries}]".encode()
    return Predictor(artifact.with_files(Artifact.load(path), added).path)


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


def test_every_bundle_loads(bundle: Artifact, tmp_path: Path) -> None:
    """Without golden films there is no kind, and no film is called a negative of it."""
    shutil.copytree(bundle.path, tmp_path / "bundle")
    bare = artifact.with_files(Artifact.load(tmp_path / "bundle"), {artifact.GOLDEN: b"[]"})
    negative = images.encode_png(255 - pixels(drawn(1)[0]))

    assert "inverted" not in Predictor(bare.path).predict_bytes(negative).warnings
