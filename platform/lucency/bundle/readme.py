"""The model card, ``README.md`` of a bundle, in the form that Hugging Face's hub reads."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact, ModelCard, Use

# The hub's names of what is measured here.
_HUB = {"auroc": "roc_auc", "sensitivity": "recall", "accuracy": "accuracy", "f1": "f1"}
_NEEDED = (
    "a statement of the population, the films and the reader that the model is meant for, and the "
    "floors of the clinical rule agreed on with those who treat",
    "external evidence from every site and scanner it is to work at (`jobs/evaluate.py "
    "external=true`), with the gate bounding the drop",
    "a risk file (ISO 14971), a quality system (ISO 13485) and a software life cycle (IEC 62304); "
    "for the EU MDR a notified body, for the FDA a submission with a plan for later changes",
    "a prospective trial under a registered protocol (CONSORT-AI, SPIRIT-AI): endpoint, sample "
    "size from the floors and their confidence, readers blinded to the model, an ethics vote",
    "monitoring at the site: late labels, sensitivity by version, alarms and who answers them",
)


def write(path: Path, contents: Mapping[str, bytes], **origin: Any) -> Artifact:
    """Write a bundle as ``artifact.write`` does, with its model card."""
    card = text(contents, **origin).encode()
    return artifact.write(path, {**contents, artifact.README: card}, **origin)


def seal(bundle: Artifact, added: Mapping[str, bytes]) -> Artifact:
    """The bundle, in place, with files added or replaced, and its model card made anew."""
    kept = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    return write(bundle.path, {**kept, **added}, **artifact.origin(bundle))


def text(contents: Mapping[str, bytes], **origin: Any) -> str:
    """The card of a bundle with these files; what stands in it is read from them."""
    card = ModelCard.model_validate_json(contents[artifact.MODEL])
    use = Use.model_validate_json(contents[artifact.USE])
    evidence = json.loads(contents[artifact.EVIDENCE]) if artifact.EVIDENCE in contents else None
    stored = contents.get(artifact.VARIANTS)
    sites = [
        json.loads(contents[name]) for name in sorted(contents) if name.startswith("external/")
    ]
    parts = [
        f"---\n{_front(origin['name'], use, evidence)}\n---\n",
        f"# {origin['name']}\n",
        *_section("Intended use", [use.intended, *([use.contact] if use.contact else [])]),
        *_section("What it decides", _decides(card)),
        *_section("Evidence", _evidence(evidence)),
        *(_section("Variants", _variants(json.loads(stored), evidence, sites)) if stored else []),
        *(part for site in sites for part in _section(*_site(site))),
        *_section("Limits", _listed(_limits(card, use, evidence))),
        *_section("Before it may touch care", _listed(_NEEDED)),
        *_section("Use", _calls(card)),
        *_section("Origin", _origin(**origin)),
    ]
    return "\n".join(parts) + "\n"


def _front(name: str, use: Use, evidence: dict[str, Any] | None) -> str:
    results = [] if evidence is None else _results(evidence)
    data = ModelCardData(
        license=use.license,
        library_name="onnx",
        pipeline_tag="image-classification",
        tags=["lucency"],
        model_name=name,
        eval_results=results or None,
    )
    found: str = data.to_yaml()
    return found


def _results(evidence: dict[str, Any]) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type="parquet",
            dataset_name=evidence["data"]["name"],
            dataset_split="test",
            metric_type=_HUB[metric],
            metric_value=round(figure["value"], 4),
        )
        for metric, figure in evidence["metrics"].items()
        if metric in _HUB and figure["value"] is not None
    ]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return [f"## {title}\n", *lines, ""]


def _listed(lines: Iterable[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _decides(card: ModelCard) -> list[str]:
    if card.threshold is None:
        decision = f"The most probable of {', '.join(card.labels)}."
    else:
        decision = (
            f"{card.labels[1]} where its calibrated probability is {card.threshold:.4f} or more, "
            f"else {card.labels[0]}."
        )
    held = "held" if card.threshold_held else "did not hold"
    return [
        f"{decision} Chosen on validation films for a sensitivity whose lower "
        f"{card.rule.confidence:.0%} bound by patient is at least {card.rule.sensitivity_floor}, "
        f"and a specificity of at least {card.rule.specificity_floor}; it {held} there.",
        "",
        f"Probabilities are calibrated on validation films: {card.calibrator}.",
        "",
        "Answered `uncertain`, for a reader to decide, where the conformal set leaves more or "
        f"less than that label; in every class {card.conformal.coverage:.0%} of sets hold the "
        "true one, for patients like those of validation.",
    ]


def _evidence(evidence: dict[str, Any] | None) -> list[str]:
    if evidence is None:
        return ["None yet: the test split was not opened for it, and no gate lets it pass."]
    drawn = ["**On drawn films: no clinical meaning.**", ""] if evidence["data"]["drawn"] else []
    return [
        *drawn,
        f"{evidence['films']:,} test films of {evidence['patients']:,} patients "
        f"({evidence['data']['name']}), opened {len(evidence['openings'])} time(s) for models of "
        "this name.",
        "",
        *_table(evidence["metrics"], evidence["rule"]["confidence"]),
    ]


def _variants(
    stored: list[dict[str, Any]], evidence: dict[str, Any] | None, sites: list[dict[str, Any]]
) -> Iterator[str]:
    yield "| | times as fast as fp32 | films | AUROC drop | sensitivity, lower bound | verdict |"
    yield "|---|---|---|---|---|---|"
    judged = [("test", evidence or {}), *((f"of {each['data']['name']}", each) for each in sites)]
    for each in stored:
        name, speed = each["name"], each["speed"]
        shown = [("validation", each["validation"])]
        shown += [
            (films, found["variants"][name])
            for films, found in judged
            if name in found.get("variants", {})
        ]
        for films, found in shown:
            verdict = "holds" if found["verdict"]["passed"] else "does not hold"
            yield (
                f"| {name} | {speed['ratio']:.2f} ({speed['cpu']}) | {films} | "
                f"{_figure(found['auroc_drop'])} | "
                f"{_figure(found['metrics']['sensitivity']['lower'])} | {verdict} |"
            )


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{round(value, 4) + 0.0:.4f}"


def _site(found: dict[str, Any]) -> tuple[str, list[str]]:
    return f"Another site: {found['data']['name']} ({found['data']['digest'][:12]})", [
        f"{found['films']:,} films of {found['patients']:,} patients, nothing fitted on them.",
        "",
        *_table(found["metrics"], found["rule"]["confidence"]),
    ]


def _table(metrics: dict[str, dict[str, float | None]], confidence: float) -> Iterator[str]:
    yield f"| | value | {confidence:.0%} interval by patient |"
    yield "|---|---|---|"
    for name, figure in metrics.items():
        if None not in figure.values():
            value, lower, upper = (f"{figure[key]:.3f}" for key in ("value", "lower", "upper"))
            yield f"| {name} | {value} | {lower} to {upper} |"


def _limits(card: ModelCard, use: Use, evidence: dict[str, Any] | None) -> Iterator[str]:
    yield from use.limits
    if not card.threshold_held:
        yield "the clinical rule did not hold on validation films"
    if evidence is not None and not evidence["verdict"]["passed"]:
        yield from (f"on test films: {reason}" for reason in evidence["verdict"]["reasons"])
    yield "what is no film of this kind is answered too; mind reasons and warnings of the service"


def _calls(card: ModelCard) -> list[str]:
    shape = (
        f"float32 n x {card.preprocess.channels} x {card.preprocess.size} x {card.preprocess.size}"
    )
    return [
        "```python",
        "from pathlib import Path",
        "from lucency.bundle.predictor import Predictor",
        'found = Predictor(Path("BUNDLE")).predict_bytes(Path("film.png").read_bytes())',
        "print(found.decision, found.reason, found.probability)",
        "```",
        f"`graph.onnx` takes `images`, {shape}; `model.json` says how pixels become that.",
    ]


def _origin(
    *, name: str, run: str, config_digest: str, data_digest: str, versions: Mapping[str, str]
) -> list[str]:
    return _listed(
        [
            f"run `{run}` of `{name}`, configuration `{config_digest[:12]}`",
            f"data `{data_digest[:12]}`",
            "made with " + ", ".join(f"{package} {found}" for package, found in versions.items()),
        ]
    )
