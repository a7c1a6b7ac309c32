"""Bundles that offer a variant, with the figures that a test wants."""

import json
from pathlib import Path
from typing import Any

from lucency.bundle import artifact, offered
from lucency.bundle.artifact import Artifact, Golden
from lucency.bundle.machine import Precision, Runtime
from lucency.bundle.offered import Speed, Variant

GRAPH = "variants/{}/graph.onnx"


def figures(*, lower: float = 0.95, lost: float | None = 0.0) -> dict[str, Any]:
    """Of a variant, as ``variants.figures`` gives them: all is well but what is said."""
    return {
        "metrics": {
            "sensitivity": {"value": 0.97, "lower": lower, "upper": 0.99},
            "specificity": {"value": 0.9, "lower": 0.85, "upper": 0.95},
        },
        "auroc_drop": lost,
        "verdict": {"passed": True, "reasons": []},
    }


def variant(
    bundle: Artifact,
    name: str = "twin",
    *,
    runtime: Runtime = "onnx",
    precision: Precision = "fp32",
    ratio: float = 2.0,
    golden: tuple[Golden, ...] | None = None,
    **changes: Any,
) -> Variant:
    """One that says to be twice as fast, and answers as the bundle's graph does."""
    entry = Variant(
        name=name,
        runtime=runtime,
        precision=precision,
        files=(GRAPH.format(name),),
        model=bundle.model_digest,
        speed=Speed(ratio=ratio, ms=1, reference_ms=ratio, cpu="a CPU", measured="2026-01-01"),
        validation=figures(),
        offered=True,
        golden=bundle.golden if golden is None else golden,
    )
    return entry.model_copy(update=changes)


def offering(
    bundle: Artifact,
    path: Path,
    *variants: Variant,
    graph: bytes = b"",
    tested: dict[str, Any] | None = None,
) -> Artifact:
    """
    A bundle with these variants and test evidence.

    Args:
        graph: Of every variant; the bundle's own if left out.
        tested: Figures by variant; those of a good one if left out.
    """
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    graph = graph or contents[artifact.GRAPH]
    contents |= {each.files[0]: graph for each in variants}
    contents[artifact.VARIANTS] = offered.write(variants)
    origin = artifact.origin(bundle)
    draft = artifact.write(path, contents, **origin)
    good = {each.name: figures() for each in variants} if tested is None else tested
    measured = {
        each.name: {**good[each.name], "digest": each.digest(draft)}
        for each in variants
        if each.name in good
    }
    evidence = {
        "model": {"name": "test", "digest": bundle.model_digest},
        "rule": bundle.model.rule.model_dump(),
        "metrics": figures()["metrics"],
        "variants": measured,
    }
    return artifact.write(
        path, {**contents, artifact.EVIDENCE: json.dumps(evidence).encode()}, **origin
    )
