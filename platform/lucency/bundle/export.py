"""A finished run -> a sealed bundle: graph, parity, calibration, threshold, drift reference."""

import json
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import load_file

from lucency import batch, environment, progress
from lucency.bundle import artifact, readme
from lucency.bundle.artifact import Artifact, Golden, ModelCard, Use
from lucency.bundle.predictor import Predictor
from lucency.config.train import Recipe
from lucency.datasets.phantom import Phantom
from lucency.datasets.table import Table
from lucency.drift import reference as drift
from lucency.errors import ArtifactError
from lucency.evaluation import calibration, conformal, metrics, probability, rule, selection
from lucency.evaluation.calibrated import Method
from lucency.evaluation.conformal import Conformal
from lucency.models.base import Classifier, Explained, architectures

# Probabilities of graph and training code may differ by this much at most.
PARITY = 1e-4
_GOLDEN_TOLERANCE = 1e-2
_GOLDEN_FILMS = 4
_OPSET = 18


def export(
    *,
    name: str,
    run: str,
    recipe: Recipe,
    weights: Path,
    history: list[dict[str, float]],
    table: Table,
    output: Path,
    coverage: float = 0.95,
    use: Use | None = None,
    method: Method = "temperature",
) -> Artifact:
    """
    Export the best weights of a run and calibrate on its validation films.

    Calibration, threshold and drift reference are fitted through the exported graph, on what
    will answer, not on the training code. The bundle has no test evidence yet.

    Args:
        coverage: Of the prediction sets, in every class.
        use: What the model is for.
        method: Of calibration.

    Raises:
        ArtifactError: the graph's probabilities differ from the training code's.
        DataError: the method does not take so many classes.
    """
    calibration.refuse_many(method, len(table.classes))
    model = rebuild(recipe, weights, len(table.classes))
    graph = to_onnx(model, recipe)
    validation = table.rows("validation")
    samples = table.images(validation[np.linspace(0, len(validation) - 1, 16).astype(int)])
    check_parity(model, graph, recipe, samples)
    progress.say(f"    graph: {len(graph) / 1e6:.1f} MB, parity within {PARITY}")
    origin = {
        "name": name,
        "versions": environment.versions(),
        "data_digest": table.digest,
        "config_digest": recipe.digest,
        "run": run,
    }
    labels = table.classes
    contents = {
        artifact.GRAPH: graph,
        artifact.CONFIG: recipe.to_yaml().encode(),
        artifact.USE: (use or Use()).model_dump_json(indent=2).encode(),
    }
    with tempfile.TemporaryDirectory() as scratch:
        draft = artifact.write(
            Path(scratch) / "draft", {**contents, **_draft(recipe, labels)}, **origin
        )
        found = batch.predict_split(draft.path, table, "validation")
        golden, films = _golden(Predictor(draft.path))
    calibrator = calibration.fit(found.logits, found.labels, method)
    given_nk = calibrator(found.logits)
    point = rule.operating_point(found.labels, given_nk, found.patients, recipe.rule)
    decision = "most probable class" if point.threshold is None else f"{point.threshold:.4f}"
    progress.say(
        f"    {calibrator}, threshold {decision} on validation: " + "; ".join(point.verdict.reasons)
    )
    worth = calibration.assess(found.logits, found.labels, found.patients, method)
    progress.say(
        f"    calibration error on films apart: {worth['before']['ece']:.3f} before, "
        f"{worth['after']['ece']:.3f} after"
    )
    card = ModelCard(
        labels=labels,
        preprocess=recipe.preprocess,
        temperature=calibrator.temperature,
        calibration=calibrator.calibration,
        threshold=point.threshold,
        threshold_held=point.verdict.passed,
        conformal=_sets(table, found, given_nk, coverage),
        rule=recipe.rule,
        validation={
            "sensitivity": metrics.plain(point.sensitivity),
            "specificity": metrics.plain(point.specificity),
            "calibration": worth,
        },
    )
    watched_n = given_nk[:, 1] if len(labels) == 2 else given_nk.max(axis=1)
    reference = drift.fit({**found.features, "probability": watched_n})
    contents |= {
        **films,
        artifact.MODEL: card.model_dump_json(indent=2).encode(),
        artifact.DRIFT: reference.model_dump_json(indent=2).encode(),
        artifact.GOLDEN: json.dumps([entry.model_dump() for entry in golden]).encode(),
        artifact.HISTORY: json.dumps(history).encode(),
        artifact.VALIDATION: json.dumps(
            {"labels": found.labels.tolist(), "logits": found.logits.tolist()}
        ).encode(),
    }
    return readme.write(output, contents, **origin)


def _sets(
    table: Table, found: batch.Predictions, given_nk: np.ndarray, coverage: float
) -> Conformal:
    fitted = conformal.fit(found.labels, given_nk, found.patients, coverage)
    for label, least in zip(table.classes, fitted.least, strict=True):
        if least == 0:
            progress.say(
                f"    {label} stays in every prediction set, so films are answered uncertain: "
                f"validation has too few patients of it to promise {coverage:.0%}; a lower "
                "coverage needs fewer"
            )
    return fitted


def rebuild(recipe: Recipe, weights: Path, classes: int) -> Classifier:
    """The trained network on the CPU, ready to answer; pretrained files are not needed again."""
    outputs = selection.outputs(classes)
    options = recipe.model
    if "weights" in type(options).model_fields:
        options = options.model_copy(update={"weights": "none"})
    model = architectures.build(
        options,
        in_channels=recipe.preprocess.channels,
        outputs=outputs,
        side=recipe.preprocess.size,
    )
    model.load_state_dict(load_file(weights))
    return model.eval()


def to_onnx(model: Classifier, recipe: Recipe) -> bytes:
    """The graph with its weights inside; any batch size, outputs ``logits`` and ``maps``."""
    size = recipe.preprocess.size
    graph_module = Explained(model).eval()
    example = torch.zeros(2, recipe.preprocess.channels, size, size)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, not ours to mend
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        path = Path(scratch) / artifact.GRAPH
        torch.onnx.export(
            graph_module,
            (example,),
            str(path),
            input_names=["images"],
            output_names=list(graph_module.outputs),
            dynamic_shapes={"images_nchw": {0: torch.export.Dim("n")}},
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        graph = path.read_bytes()
    onnx.checker.check_model(onnx.load_from_string(graph))
    return graph


def check_parity(model: Classifier, graph: bytes, recipe: Recipe, samples: list[bytes]) -> None:
    """
    Compare probabilities of training code and graph on real films.

    Raises:
        ArtifactError: they differ by more than ``PARITY``.
    """
    batch_nchw = np.stack([recipe.preprocess(data) for data in samples])
    with torch.inference_mode():
        expected_nk = model(torch.from_numpy(batch_nchw)).numpy()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    logits_nk, *_ = session.run(None, {"images": batch_nchw})
    agree("graph", expected_nk, logits_nk)


def agree(what: str, expected_nk: np.ndarray, found_nk: np.ndarray) -> None:
    """
    Hold the logits of something exported against the training code's.

    Raises:
        ArtifactError: their probabilities differ by more than ``PARITY``.
    """
    apart_nk = probability.of_classes(found_nk) - probability.of_classes(expected_nk)
    worst = float(np.abs(apart_nk).max())
    if not worst <= PARITY:
        raise ArtifactError(
            f"the exported {what}'s probabilities differ by up to {worst:.2e} from the training "
            f"code's; at most {PARITY} is allowed. The network uses something that the format "
            "changes"
        )


def _draft(recipe: Recipe, labels: tuple[str, ...]) -> dict[str, bytes]:
    """Model card and reference that leave logits as they are, for the calibration itself."""
    card = ModelCard(
        labels=labels,
        preprocess=recipe.preprocess,
        temperature=1.0,
        threshold=0.5 if len(labels) == 2 else None,
        threshold_held=False,
        conformal=Conformal(coverage=0.95, least=(0.0,) * len(labels)),
        rule=recipe.rule,
        validation={},
    )
    return {
        artifact.MODEL: card.model_dump_json().encode(),
        artifact.DRIFT: drift.DriftReference(films=0, features={}).model_dump_json().encode(),
        artifact.GOLDEN: b"[]",
    }


def _golden(draft: Predictor) -> tuple[list[Golden], dict[str, bytes]]:
    """Drawn films and their logits: a bundle travels, and no patient's pixels go with it."""
    entries, contents = [], {}
    for number, sample in enumerate(Phantom(patients=_GOLDEN_FILMS, max_films=1, seed=1)):
        path = f"golden/{number}.jpeg"
        contents[path] = sample.read()
        logits = draft.predict_bytes(contents[path]).logits
        entries.append(Golden(file=path, logits=logits, tolerance=_GOLDEN_TOLERANCE))
    return entries, contents
