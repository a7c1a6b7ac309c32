"""
What a bundle is, without loading a model: ``python -m lucency.bundle verify|show PATH``.
``python -m lucency.bundle schema`` prints the JSON schema of its files.

``verify`` checks every byte and, where LUCENCY_TRUSTED_KEYS names keys, the signature; ``show``
prints what it decides and what proves it. stdout is one JSON object; exit status 0 is whole, 1 is
not, and 2 a command line that can't be read.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from lucency.arguments import Parser
from lucency.bundle import artifact as bundle
from lucency.bundle import offered
from lucency.bundle.artifact import Artifact, Golden, Manifest, ModelCard, Use
from lucency.bundle.offered import Variant
from lucency.drift.reference import DriftReference
from lucency.errors import LucencyError

_Files = TypedDict(
    "_Files",
    {
        "manifest.json": Manifest,
        "model.json": ModelCard,
        "drift.json": DriftReference,
        "golden.json": list[Golden],
        "use.json": Use,
        "variants.json": NotRequired[list[Variant]],
    },
)


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; gives the exit status."""
    try:
        given = _parser().parse_args(arguments)
        if given.action == "schema":
            print(json.dumps(schema(), indent=2))
            return 0
        artifact = Artifact.load(given.path)
        if given.action == "show":
            for line in _shown(artifact):
                print(line, file=sys.stderr)
    except LucencyError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        print(json.dumps({"ok": False, "error": str(error), "kind": type(error).__name__}))
        return error.exit_code
    print(json.dumps({"ok": True, **_plain(artifact)}))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m lucency.bundle", description="Check a bundle, or show what it is."
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="{verify,show,schema}")
    told = {
        "verify": "is every byte the one that was sealed",
        "show": "what it decides, and what proves it",
    }
    for action, does in told.items():
        command = commands.add_parser(action, help=does)
        command.add_argument("path", type=Path, help="folder of the bundle")
    commands.add_parser("schema", help="JSON schema of a bundle's files")
    return parser


def schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a bundle's files, by their names."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **TypeAdapter(_Files).json_schema(),
        "title": f"Lucency bundle, format {bundle.FORMAT}",
    }


def _plain(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    return {
        "bundle": str(artifact.path),
        "name": manifest.name,
        "version": artifact.version,
        "digest": artifact.digest,
        "model_digest": artifact.model_digest,
        "data_digest": manifest.data_digest,
        "format": manifest.format,
        "files": len(manifest.files),
        "signed_by": artifact.signed_by,
        "evidence": artifact.evidence is not None,
    }


def _worth(card: ModelCard) -> str:
    """What the calibration did to the error on validation films, where the card says it."""
    told = card.validation.get("calibration", {})
    before, after = (told.get(name, {}).get("ece") for name in ("before", "after"))
    if before is None or after is None:
        return ""
    return f"; error on validation films {before:.3f} before, {after:.3f} after"


def _shown(artifact: Artifact) -> list[str]:
    card, manifest = artifact.model, artifact.manifest
    size = sum((artifact.path / name).stat().st_size for name in manifest.files)
    decides = (
        "the most probable class"
        if card.threshold is None
        else f"{card.labels[1]} at probability {card.threshold:.4f} or more"
    )
    lines = [
        f"{manifest.name} {artifact.version}, {len(manifest.files)} files, {size / 1e6:.1f} MB, "
        f"sealed {manifest.created}",
        f"  tells apart  {', '.join(card.labels)}",
        f"  decides      {decides}",
        f"  calibration  {card.calibrator}{_worth(card)}",
        f"  uncertain    unless one label alone can't be ruled out; "
        f"{card.conformal.coverage:.0%} of sets hold the true one",
        f"  sees         {card.preprocess.size} px, {card.preprocess.color}",
        f"  rule         sensitivity {card.rule.sensitivity_floor}, "
        f"specificity {card.rule.specificity_floor}",
        f"  run          {manifest.run}, data {manifest.data_digest[:12]}",
        f"  signed by    {artifact.signed_by or 'not asked for'}",
        *(f"  variant      {line}" for line in offered.lines(artifact)),
    ]
    if artifact.evidence is None:
        return [*lines, "  evidence     none: it was not tested"]
    return [
        *lines,
        f"  evidence     {artifact.evidence['films']:,} films of "
        f"{artifact.evidence['patients']:,} patients",
        *(
            f"    {name:<12} {figure['value']:.4f} ({figure['lower']:.4f} to {figure['upper']:.4f})"
            for name, figure in artifact.evidence["metrics"].items()
            if None not in figure.values()
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
