"""Signatures: where keys are trusted, only what they signed is loaded."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lucency.bundle import artifact, signature
from lucency.bundle.artifact import Artifact
from lucency.errors import ArtifactError


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key, made by openssl as the documentation says."""
    private, public = tmp_path / "key.pem", tmp_path / "public.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(private))
    openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
    return private, public


def openssl(*arguments: str) -> None:
    """Run it, or skip where there is none."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def sealed(bundle: Artifact, folder: Path) -> Artifact:
    """The bundle written anew, by the key in force."""
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    origin: dict[str, Any] = bundle.manifest.model_dump(exclude={"format", "created", "files"})
    return artifact.write(folder / "signed", contents, **origin)


def test_signed_bundle_is_loaded(
    bundle: Artifact, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the key; one that is not asked for is not looked at."""
    monkeypatch.setenv(signature.SIGNING_KEY, str(keys[0]))
    found = sealed(bundle, tmp_path)

    assert (found.path / artifact.SIGNATURE).is_file()
    assert found.signed_by is None

    monkeypatch.setenv(signature.TRUSTED_KEYS, str(keys[1]))
    assert len(Artifact.load(found.path).signed_by or "") == 16


def test_openssl_verifies_the_signature(
    bundle: Artifact, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The format is nobody's own: other tools can check it."""
    monkeypatch.setenv(signature.SIGNING_KEY, str(keys[0]))
    found = sealed(bundle, tmp_path)
    message, raw = tmp_path / "message", tmp_path / "raw"
    message.write_bytes(b"lucency bundle v1\n" + (found.path / artifact.SEAL).read_bytes())
    with raw.open("wb") as stream:
        encoded = found.path / artifact.SIGNATURE
        subprocess.run(["base64", "-d", str(encoded)], check=True, stdout=stream)

    openssl(
        *("pkeyutl", "-verify", "-pubin", "-inkey", str(keys[1]), "-rawin"),
        *("-in", str(message), "-sigfile", str(raw)),
    )


@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "other", "moved"])
def test_bundle_without_a_trusted_signature_is_refused(
    bundle: Artifact,
    keys: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    """No signature, a broken one, another key's, or one of another bundle."""
    monkeypatch.setenv(signature.SIGNING_KEY, str(keys[0]))
    found = sealed(bundle, tmp_path)
    path = found.path / artifact.SIGNATURE
    if damage == "missing":
        path.unlink()
    elif damage == "other":
        openssl("genpkey", "-algorithm", "ed25519", "-out", str(keys[0]))
        shutil.rmtree(found.path)
        sealed(bundle, tmp_path)
    elif damage == "moved":
        path.write_bytes(signature.sign("0" * 64) or b"")
    else:
        path.write_bytes(b"" if damage == "empty" else b"\xff not base64")
    monkeypatch.setenv(signature.TRUSTED_KEYS, str(keys[1]))

    with pytest.raises(ArtifactError, match="not signed" if damage == "missing" else "by none of"):
        Artifact.load(found.path)


def test_any_of_several_keys_will_do(
    bundle: Artifact, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys are changed while bundles of the old one still serve."""
    monkeypatch.setenv(signature.SIGNING_KEY, str(keys[0]))
    found = sealed(bundle, tmp_path)
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "new.pem"))
    new = tmp_path / "new_public.pem"
    openssl("pkey", "-in", str(tmp_path / "new.pem"), "-pubout", "-out", str(new))
    monkeypatch.setenv(signature.TRUSTED_KEYS, f"{new}:{keys[1]}")

    assert Artifact.load(found.path).signed_by is not None


def test_bundle_that_could_not_be_loaded_is_not_written(
    bundle: Artifact, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence added where signatures are required and no key signs leaves the old bundle."""
    monkeypatch.setenv(signature.SIGNING_KEY, str(keys[0]))
    monkeypatch.setenv(signature.TRUSTED_KEYS, str(keys[1]))
    found = sealed(bundle, tmp_path)
    monkeypatch.delenv(signature.SIGNING_KEY)

    with pytest.raises(ArtifactError, match="not signed"):
        artifact.with_files(found, {"note.txt": b"new"})

    assert Artifact.load(found.path).digest == found.digest


@pytest.mark.parametrize("variable", [signature.SIGNING_KEY, signature.TRUSTED_KEYS])
@pytest.mark.parametrize("kind", ["missing", "text", "rsa"])
def test_key_that_is_none_is_refused(
    keys: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    kind: str,
) -> None:
    """The message names variable and file; nothing goes on unsigned or unchecked."""
    path = tmp_path / "wrong.pem"
    if kind == "text":
        path.write_text("no key")
    elif kind == "rsa":
        openssl("genpkey", "-algorithm", "rsa", "-out", str(tmp_path / "rsa.pem"))
        public = ["-pubout"] if variable == signature.TRUSTED_KEYS else []
        openssl("pkey", "-in", str(tmp_path / "rsa.pem"), *public, "-out", str(path))
    monkeypatch.setenv(variable, str(path))
    use: dict[str, Callable[[], object]] = {
        signature.SIGNING_KEY: lambda: signature.sign("0" * 64),
        signature.TRUSTED_KEYS: lambda: signature.check(tmp_path / "any.sig", "0" * 64),
    }

    with pytest.raises(ArtifactError, match=rf"{variable} names .*wrong\.pem"):
        use[variable]()
