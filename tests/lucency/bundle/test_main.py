"""``python -m lucency.bundle``: is it whole, and what is it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from lucency.bundle import artifact
from lucency.bundle.__main__ import main
from lucency.bundle.artifact import Artifact


def test_whole_bundle_is_verified(bundle: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0, and one JSON line that names the bundle."""
    status = main(["verify", str(bundle.path)])

    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert (found["ok"], found["digest"]) == (True, bundle.digest)


def test_altered_bundle_is_not(
    bundle: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1, the file's name for people, and JSON for programs."""
    shutil.copytree(bundle.path, tmp_path / "bundle")
    (tmp_path / "bundle" / "history.json").write_text("[]")

    status = main(["verify", str(tmp_path / "bundle")])

    out, err = capsys.readouterr()
    assert status == 1
    assert "history.json" in err
    assert json.loads(out)["kind"] == "ArtifactError"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: {verify,show,schema}"),
        (["chek", "BUNDLE"], "invalid choice: 'chek'"),
        (["verify"], "required: path; usage: python -m lucency.bundle verify"),
        (["show", "ONE", "OTHER"], "unrecognized arguments: OTHER"),
        (["show", "--fast", "BUNDLE"], "unrecognized arguments: --fast"),
    ],
)
def test_wrong_command_line_is_two(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for people, with the usage, and one JSON line for programs, as of a job."""
    status = main(arguments)

    out, err = capsys.readouterr()
    found = json.loads(out)
    assert status == 2
    assert (err.count("\n"), out.count("\n")) == (1, 1)
    assert (found["ok"], found["kind"]) == (False, "ConfigError")
    assert err == f"error: {found['error']}\n"
    assert said in err
    assert "usage: python -m lucency.bundle" in err


def test_bundle_that_is_not_there_is_not_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path that leads nowhere is a finding, as of a bundle that was deleted: status 1."""
    status = main(["verify", str(tmp_path / "gone")])

    out, err = capsys.readouterr()
    assert status == 1
    assert "gone' is not a bundle" in err
    assert json.loads(out)["kind"] == "ArtifactError"


def test_file_of_variants_that_can_not_be_read_is_told(
    bundle: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where only showing it reads the file: no traceback."""
    shutil.copytree(bundle.path, tmp_path / "bundle")
    artifact.with_files(Artifact.load(tmp_path / "bundle"), {artifact.VARIANTS: b"[1]"})

    status = main(["show", str(tmp_path / "bundle")])

    out, err = capsys.readouterr()
    assert status == 1
    assert "variants.json' can't be read" in err
    assert json.loads(out)["kind"] == "ArtifactError"


def test_bundle_is_shown(bundle: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    """Classes, decision, rule and evidence, for people."""
    assert main(["show", str(bundle.path)]) == 0

    shown = capsys.readouterr().err
    for text in (*bundle.model.labels, bundle.version, "evidence", "rule", "temperature 1.500"):
        assert text in shown


def test_worth_of_the_calibration_is_shown(
    bundle: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the card has both errors, for people."""
    shutil.copytree(bundle.path, tmp_path / "bundle")
    worth = {"before": {"ece": 0.047}, "after": {"ece": 0.0101}}
    card = bundle.model.model_copy(update={"validation": {"calibration": worth}})
    artifact.with_files(
        Artifact.load(tmp_path / "bundle"), {artifact.MODEL: card.model_dump_json().encode()}
    )

    assert main(["show", str(tmp_path / "bundle")]) == 0

    assert "error on validation films 0.047 before, 0.010 after" in capsys.readouterr().err


def test_command_needs_no_training_stack(bundle: Artifact) -> None:
    """An auditor's machine has neither torch nor ray."""
    script = (
        "import runpy, sys; sys.argv = ['bundle', 'verify', sys.argv[1]]\n"
        "try: runpy.run_module('lucency.bundle', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'torch', 'ray', 'onnxruntime'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", script, str(bundle.path)]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    assert ended.returncode == 0, ended.stderr


def test_schema_is_that_of_the_files(bundle: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    """Every JSON file that it names passes, and a value of another kind does not."""
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    paths = {name: bundle.path / name for name in schema["properties"]}
    whole = {name: json.loads(path.read_bytes()) for name, path in paths.items() if path.exists()}

    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(whole, schema)
    assert set(schema["properties"]) - set(whole) == {"variants.json"}
    whole["model.json"]["threshold"] = "half"
    with pytest.raises(jsonschema.ValidationError, match="half"):
        jsonschema.validate(whole, schema)
