"""
The bundle on disk: what is in it, and the refusal of anything that was changed.

``manifest.json`` lists the SHA-256 of every other file; ``manifest.sha256`` is the manifest's
own, and the bundle's digest; ``manifest.sig``, where there is one, is its signature. Nothing in
a bundle is read before all of it was checked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lucency import files
from lucency.bundle import signature
from lucency.drift.reference import DriftReference
from lucency.errors import ArtifactError
from lucency.evaluation import drop
from lucency.evaluation.calibrated import Calibration, Calibrator, Temperature
from lucency.evaluation.conformal import Conformal
from lucency.evaluation.rule import ClinicalRule
from lucency.preprocess import Preprocess

FORMAT = 3
MANIFEST = "manifest.json"
SEAL = "manifest.sha256"
SIGNATURE = "manifest.sig"
GRAPH = "graph.onnx"
MODEL = "model.json"
DRIFT = "drift.json"
GOLDEN = "golden.json"
EVIDENCE = "evidence.json"
CONFIG = "config.yaml"
HISTORY = "history.json"
VALIDATION = "validation.json"
USE = "use.json"
VARIANTS = "variants.json"
README = "README.md"
# What decides an answer; their digest names the model whose evidence is taken once. A variant is
# the same model in other arithmetic, and the evidence names each by a digest of its own.
DECISIVE = (GRAPH, MODEL)


class Manifest(BaseModel):
    """What a bundle holds and where it came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    name: str
    created: str
    files: dict[str, str]
    versions: dict[str, str]
    data_digest: str
    config_digest: str
    run: str


class ModelCard(BaseModel):
    """
    What turns logits into a decision.

    Attributes:
        labels: Class names; of two, the second one is the positive.
        temperature: Logits are divided by it, whatever the calibration.
        calibration: What follows the temperature; nothing, where a card says nothing of it.
        threshold: Probabilities of the positive class at or over it are positive. None for more
            than two classes: there the most probable class is called.
        threshold_held: Whether the rule held on validation films, decided so.
        conformal: Which labels can't be ruled out; what is not clear is left to a reader.
        rule: The floors that the threshold was chosen for.
        validation: Figures of these decisions on validation films.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    preprocess: Preprocess
    temperature: Annotated[float, Field(gt=0)]
    calibration: Calibration = Temperature()
    threshold: float | None
    threshold_held: bool
    conformal: Conformal
    rule: ClinicalRule
    validation: dict[str, Any]

    @model_validator(mode="after")
    def _parts_fit(self) -> "ModelCard":
        if (self.threshold is None) == (len(self.labels) == 2):
            raise ValueError(
                f"{len(self.labels)} labels and threshold {self.threshold}: two classes are told "
                "apart by a threshold, more have none"
            )
        if len(self.conformal.least) != len(self.labels):
            raise ValueError(
                f"{len(self.labels)} labels and {len(self.conformal.least)} bounds of prediction "
                "sets: give one a label"
            )
        if self.calibration.method != "temperature" and len(self.labels) > 2:
            raise ValueError(
                f"{len(self.labels)} labels and calibration {self.calibration.method!r}, which is "
                "for two"
            )
        return self

    @property
    def calibrator(self) -> Calibrator:
        """What makes probabilities of logits."""
        return Calibrator(self.temperature, self.calibration)

    def probabilities(self, logits_nk: np.ndarray) -> np.ndarray:
        """Calibrated, of all classes, one column each."""
        return self.calibrator(logits_nk)


class Use(BaseModel):
    """
    What a model is for; it decides no answer, so it is not part of the model's digest.

    Attributes:
        limits: What is known to be missing, beyond what the evidence itself shows.
        contact: Where to report a wrong answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intended: str = (
        "Research on how image classifiers are trained, proven and served. Not a medical device: "
        "nobody may be diagnosed by it."
    )
    limits: tuple[str, ...] = ()
    license: str = "other"
    contact: str = ""


class Golden(BaseModel):
    """A film inside the bundle and the logits it must give on every machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    logits: tuple[float, ...]
    tolerance: float


@dataclass(frozen=True)
class Artifact:
    """
    A bundle whose every byte was checked.

    Attributes:
        digest: Of the whole bundle.
        signed_by: Fingerprint of the trusted key that signed it; None where none is asked for.
        model_digest: Of graph and model card alone; evidence does not change it.
    """

    path: Path
    digest: str
    manifest: Manifest
    model: ModelCard
    drift: DriftReference
    golden: tuple[Golden, ...]
    evidence: dict[str, Any] | None
    use: Use
    signed_by: str | None

    @classmethod
    def load(cls, path: Path) -> "Artifact":
        """
        Check and read a bundle.

        Raises:
            ArtifactError: a file is missing, added or altered, the format is another, or a
                signature is required and is not there or not a trusted one.
        """
        try:
            manifest, digest = _verified(path)
            signed_by = signature.check(path / SIGNATURE, digest)
            return cls(
                path=path,
                digest=digest,
                manifest=manifest,
                model=ModelCard.model_validate_json((path / MODEL).read_bytes()),
                drift=DriftReference.model_validate_json((path / DRIFT).read_bytes()),
                golden=tuple(
                    Golden.model_validate(entry)
                    for entry in json.loads((path / GOLDEN).read_bytes())
                ),
                evidence=(
                    json.loads((path / EVIDENCE).read_bytes())
                    if EVIDENCE in manifest.files
                    else None
                ),
                use=Use.model_validate_json((path / USE).read_bytes()),
                signed_by=signed_by,
            )
        except (OSError, ValidationError, ValueError) as cause:
            raise ArtifactError(f"{str(path)!r} can't be read as a bundle: {cause}") from cause

    @property
    def model_digest(self) -> str:
        """Names the model, whatever evidence is beside it."""
        return files.digest({name: self.manifest.files[name] for name in DECISIVE})

    def external(self) -> list[dict[str, Any]]:
        """The evidence on other tables that is sealed into it, whatever model it is of."""
        return [
            json.loads((self.path / name).read_bytes())
            for name in self.manifest.files
            if name.startswith(drop.FOLDER)
        ]

    @property
    def version(self) -> str:
        """Short name of this bundle, twelve digits of its digest."""
        return self.digest[:12]


def write(path: Path, contents: Mapping[str, bytes], **origin: Any) -> Artifact:
    """
    Write a bundle at ``path`` in one move and seal it.

    Args:
        contents: Every file but the manifest, by its path inside the bundle.
        origin: ``name``, ``versions``, ``data_digest``, ``config_digest``, ``run``.
    """
    manifest = Manifest(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        files={name: files.sha256(data) for name, data in sorted(contents.items())},
        **origin,
    )
    text = manifest.model_dump_json(indent=2)
    with files.atomic_folder(path) as folder:
        for name, data in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / MANIFEST).write_text(text)
        digest = files.sha256(text.encode())
        (folder / SEAL).write_text(digest)
        if signed := signature.sign(digest):
            (folder / SIGNATURE).write_bytes(signed)
        # Before it takes the place of one that may be good.
        written = Artifact.load(folder)
    return replace(written, path=path)


def with_files(artifact: Artifact, added: Mapping[str, bytes]) -> Artifact:
    """The same bundle, in place, with files added or replaced, and sealed again."""
    contents = {name: (artifact.path / name).read_bytes() for name in artifact.manifest.files}
    return write(artifact.path, {**contents, **added}, **origin(artifact))


def origin(artifact: Artifact) -> dict[str, Any]:
    """What ``write`` is told of a bundle beside its files."""
    return artifact.manifest.model_dump(exclude={"format", "created", "files"})


def _verified(path: Path) -> tuple[Manifest, str]:
    if not (path / MANIFEST).is_file():
        raise ArtifactError(
            f"{str(path)!r} is not a bundle: it has no {MANIFEST}; export a run with "
            "python jobs/export.py configs/export/default.yaml run=RUN"
        )
    text = (path / MANIFEST).read_bytes()
    digest = files.sha256(text)
    seal = (path / SEAL).read_bytes() if (path / SEAL).is_file() else b""
    if seal != digest.encode():
        raise ArtifactError(
            f"{path / MANIFEST} has digest {digest[:12]!r}, {SEAL} promises "
            f"{seal[:12].decode(errors='replace')!r}. One of them changed after export: export "
            "the run again"
        )
    raw = json.loads(text)
    stated = raw.get("format") if isinstance(raw, dict) else None
    if stated != FORMAT:
        raise ArtifactError(
            f"{str(path)!r} has bundle format {stated!r}, this version reads {FORMAT}: export the "
            "run again"
        )
    manifest = Manifest.model_validate(raw)
    present = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()} - {
        MANIFEST,
        SEAL,
        SIGNATURE,
    }
    if missing := sorted(set(manifest.files) - present):
        raise ArtifactError(f"{str(path)!r} lacks {missing}: export the run again")
    if extra := sorted(present - set(manifest.files)):
        raise ArtifactError(f"{str(path)!r} holds {extra}, which its manifest does not list")
    for name, promised in manifest.files.items():
        found = files.sha256_file(path / name)
        if found != promised:
            raise ArtifactError(
                f"{path / name} has digest {found[:12]!r}, its manifest promises "
                f"{promised[:12]!r}. The file changed after export: export the run again"
            )
    return manifest, digest
