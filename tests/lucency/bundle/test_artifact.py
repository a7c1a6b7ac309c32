"""The seal of a bundle: nothing missing, added or altered is ever read."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucency import files
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.errors import ArtifactError

ORIGIN: dict[str, Any] = {
    "name": "test",
    "versions": {"numpy": "2.0"},
    "data_digest": "0" * 64,
    "config_digest": "1" * 64,
    "run": "run",
}


@pytest.fixture
def copied(bundle: Artifact, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may damage."""
    shutil.copytree(bundle.path, tmp_path / "bundle")
    return tmp_path / "bundle"


def reseal(path: Path, **changes: Any) -> None:
    """Change the manifest and its seal with it, as only a program could."""
    manifest = json.loads((path / artifact.MANIFEST).read_text())
    text = json.dumps({**manifest, **changes})
    (path / artifact.MANIFEST).write_text(text)
    (path / artifact.SEAL).write_text(files.sha256(text.encode()))


def contents(path: Path) -> dict[str, bytes]:
    """All files of a bundle but the manifest and its seal."""
    names = Artifact.load(path).manifest.files
    return {name: (path / name).read_bytes() for name in names}


def test_copy_is_the_same_bundle(bundle: Artifact, copied: Path) -> None:
    """The digest is that of the content, wherever it lies."""
    found = Artifact.load(copied)

    assert (found.digest, found.model_digest) == (bundle.digest, bundle.model_digest)
    assert found.model == bundle.model
    assert found.version == bundle.digest[:12]


def test_every_byte_is_sealed(copied: Path) -> None:
    """One bit turned in any file, manifest and seal too, is refused with that file's name."""
    listed = [file for file in copied.rglob("*") if file.is_file()]
    assert len(listed) == 8

    for file in listed:
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        with pytest.raises(ArtifactError, match=file.name):
            Artifact.load(copied)
        file.write_bytes(whole)

    assert Artifact.load(copied)


def test_every_file_must_be_there(copied: Path) -> None:
    """Any one file taken away, manifest and seal too, is refused with its name."""
    for file in [file for file in copied.rglob("*") if file.is_file()]:
        whole = file.read_bytes()
        file.unlink()
        with pytest.raises(ArtifactError, match=file.name):
            Artifact.load(copied)
        file.write_bytes(whole)

    assert Artifact.load(copied)


@pytest.mark.parametrize("name", ["note.txt", "golden/1.png", ".hidden"])
def test_file_that_is_not_listed_is_refused(copied: Path, name: str) -> None:
    """Nothing can be smuggled in beside the listed files."""
    (copied / name).write_bytes(b"")

    with pytest.raises(ArtifactError, match=rf"holds \['{name}'\]"):
        Artifact.load(copied)


@pytest.mark.parametrize("text", ["[]", "null", "{"])
def test_manifest_that_is_none_is_refused(copied: Path, text: str) -> None:
    """Whoever wrote it wrote its seal too: it is still no manifest, and that is said."""
    (copied / artifact.MANIFEST).write_text(text)
    (copied / artifact.SEAL).write_text(files.sha256(text.encode()))

    with pytest.raises(ArtifactError, match=r"has bundle format None|can't be read as a bundle"):
        Artifact.load(copied)


@pytest.mark.parametrize("format_", [0, 1, artifact.FORMAT + 1, None])
def test_another_format_is_refused(copied: Path, format_: int | None) -> None:
    """An older or newer bundle says which format it has and what to do."""
    reseal(copied, format=format_)

    with pytest.raises(ArtifactError, match=f"bundle format {format_!r}.*export the run again"):
        Artifact.load(copied)


@pytest.mark.parametrize(
    ("labels", "threshold", "fits"),
    [
        (["a", "b"], 0.5, True),
        (["a", "b", "c"], None, True),
        (["a", "b"], None, False),
        (["a", "b", "c"], 0.5, False),
        (["a"], 0.5, False),
    ],
)
def test_threshold_is_for_two_classes_alone(
    copied: Path, tmp_path: Path, labels: list[str], threshold: float | None, fits: bool
) -> None:
    """Two labels have a threshold, more have none; a card that says otherwise is refused."""
    card = json.loads((copied / artifact.MODEL).read_text())
    sets = {**card["conformal"], "least": [0.5] * len(labels)}
    card |= {"labels": labels, "threshold": threshold, "conformal": sets}
    text = json.dumps(card).encode()
    other = {**contents(copied), artifact.MODEL: text}

    if fits:
        assert artifact.write(tmp_path / "other", other, **ORIGIN).model.threshold == threshold
    else:
        with pytest.raises(ArtifactError, match=r"two classes are told|at least 2 items"):
            artifact.write(tmp_path / "other", other, **ORIGIN)


CURVE = {"method": "isotonic", "given": [0.0, 0.5, 1.0], "observed": [0.0, 0.2, 1.0]}


def test_card_of_before_is_calibrated_by_its_temperature(copied: Path, tmp_path: Path) -> None:
    """A card that knows nothing of other methods loads, and means what it meant."""
    card = json.loads((copied / artifact.MODEL).read_text())
    del card["calibration"]
    older = {**contents(copied), artifact.MODEL: json.dumps(card).encode()}

    found = artifact.write(tmp_path / "older", older, **ORIGIN).model

    assert found.calibration.method == "temperature"
    assert found.probabilities(np.array([[3.0]]))[0, 1] == pytest.approx(1 / (1 + np.exp(-2)))


def test_card_applies_its_calibration(copied: Path, tmp_path: Path) -> None:
    """The curve comes after the temperature; and another curve is another model."""
    before = Artifact.load(copied)
    card = {**json.loads((copied / artifact.MODEL).read_text()), "calibration": CURVE}
    curved = {**contents(copied), artifact.MODEL: json.dumps(card).encode()}

    found = artifact.write(tmp_path / "curved", curved, **ORIGIN)

    assert found.model.probabilities(np.array([[0.0]]))[0].tolist() == [0.8, 0.2]
    assert found.model_digest != before.model_digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b", "c"], "threshold": None}, "3 labels and calibration 'isotonic'"),
        ({"calibration": {**CURVE, "observed": [0.0, 0.2, 0.2]}}, "must rise"),
        ({"calibration": {**CURVE, "method": "magic"}}, "magic"),
    ],
)
def test_calibration_that_can_not_be_is_refused(
    copied: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """A curve for three classes, one that does not rise, a method that nobody knows."""
    card = {**json.loads((copied / artifact.MODEL).read_text()), "calibration": CURVE, **changes}
    card["conformal"]["least"] = [0.5] * len(card["labels"])
    other = {**contents(copied), artifact.MODEL: json.dumps(card).encode()}

    with pytest.raises(ArtifactError, match=message):
        artifact.write(tmp_path / "other", other, **ORIGIN)


def test_every_label_has_its_bound(copied: Path, tmp_path: Path) -> None:
    """Prediction sets for other labels than the card's are refused."""
    card = json.loads((copied / artifact.MODEL).read_text())
    card["conformal"]["least"] = [0.5, 0.5, 0.5]
    other = {**contents(copied), artifact.MODEL: json.dumps(card).encode()}

    with pytest.raises(ArtifactError, match="2 labels and 3 bounds of prediction sets"):
        artifact.write(tmp_path / "other", other, **ORIGIN)


def test_manifest_of_another_kind_is_refused(copied: Path) -> None:
    """A manifest with a key that this version does not know is an artifact error too."""
    reseal(copied, color="blue")

    with pytest.raises(ArtifactError, match="can't be read as a bundle"):
        Artifact.load(copied)


def test_path_out_of_the_bundle_is_refused(copied: Path) -> None:
    """A manifest can't make a bundle of files that lie elsewhere."""
    outside = copied.parent / "outside.txt"
    outside.write_bytes(b"")
    reseal(
        copied, files={**Artifact.load(copied).manifest.files, "../outside.txt": files.sha256(b"")}
    )

    with pytest.raises(ArtifactError, match=r"lacks \['\.\./outside\.txt'\]"):
        Artifact.load(copied)


@pytest.mark.parametrize("name", [artifact.MODEL, artifact.DRIFT, artifact.GOLDEN])
@pytest.mark.parametrize("data", [b"", b'{"a": 1}', b"[1]", b"\xff"])
def test_sealed_nonsense_is_refused(copied: Path, tmp_path: Path, name: str, data: bytes) -> None:
    """A file with the right digest and the wrong content is no bundle."""
    with pytest.raises(ArtifactError, match="can't be read as a bundle"):
        artifact.write(tmp_path / "other", {**contents(copied), name: data}, **ORIGIN)


@pytest.mark.parametrize("name", ["", "nothing", "bundle/model.json"])
def test_what_is_no_bundle_is_refused(copied: Path, name: str) -> None:
    """A folder without manifest, a path to nothing and a file get the same advice."""
    with pytest.raises(ArtifactError, match=r"is not a bundle.*export a run"):
        Artifact.load(copied.parent / name)


def test_added_evidence_changes_the_bundle_not_the_model(copied: Path) -> None:
    """Evidence is sealed in under a new digest, and still belongs to the same model."""
    before = Artifact.load(copied)

    after = artifact.with_files(before, {artifact.EVIDENCE: b'{"films": 3}'})

    assert after.digest != before.digest
    assert after.model_digest == before.model_digest
    assert (before.evidence, after.evidence) == (None, {"films": 3})
    assert Artifact.load(copied) == after


@pytest.mark.parametrize("name", artifact.DECISIVE)
def test_another_graph_or_card_is_another_model(copied: Path, name: str) -> None:
    """Evidence can't be carried over to a model that would answer differently."""
    before = Artifact.load(copied)
    data = (copied / name).read_bytes() + b"\n"

    after = artifact.with_files(before, {name: data})

    assert after.model_digest != before.model_digest


def test_origin_is_kept(copied: Path) -> None:
    """Files that are added leave untouched where the model came from."""
    before = Artifact.load(copied)

    after = artifact.with_files(before, {"note.txt": b"seen"})

    own = {"created", "files"}
    assert after.manifest.model_dump(exclude=own) == before.manifest.model_dump(exclude=own)
    assert set(after.manifest.files) - set(before.manifest.files) == {"note.txt"}


def test_failed_write_leaves_the_bundle_that_was_there(copied: Path) -> None:
    """A write that ends early changes nothing and leaves no rest beside it."""
    whole = Artifact.load(copied)

    with pytest.raises(TypeError):
        artifact.with_files(whole, {"note.txt": "text, not bytes"})  # type: ignore[dict-item]

    assert Artifact.load(copied) == whole
    assert [path.name for path in copied.parent.iterdir()] == ["bundle"]
