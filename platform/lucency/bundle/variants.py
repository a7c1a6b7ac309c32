"""
Make a bundle's variants: int8 and bf16 of the exported graph, each measured before it is offered.

Quantisation is calibrated on training films, one of each of some patients: on validation films
the result is judged.
"""

import contextlib
import io
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from lucency import batch, progress
from lucency.batch import Predictions
from lucency.bundle import artifact, engine, machine, offered, readme
from lucency.bundle.artifact import Artifact, Golden, ModelCard
from lucency.bundle.engine import Engine
from lucency.bundle.machine import Precision, Runtime
from lucency.bundle.offered import Speed, Variant
from lucency.bundle.predictor import Predictor
from lucency.datasets.table import Table
from lucency.errors import ArtifactError
from lucency.evaluation import metrics, rule

FOLDER = "variants/"
_CALIBRATION_FILMS = 300
_TURNS = 41
# Of a logit, on another machine with the same instructions: bf16 keeps eight bits, and what lies
# on the edge of an int8 step falls to either side.
_TOLERANCE, _TOLERANCE_SHARE = 0.05, 0.02

# Calibration films n x c x h x w and the graph -> files of the variant, the runtime's own first.
Make = Callable[[Path, np.ndarray], dict[str, bytes]]


@dataclass(frozen=True)
class Kind:
    """How a variant is made, and what runs it."""

    runtime: Runtime
    precision: Precision
    make: Make


def _as_it_is(graph: Path, calibration_nchw: np.ndarray) -> dict[str, bytes]:
    """bf16 is how OpenVINO computes the float32 graph: nothing to store."""
    return {}


def _onnx_int8(graph: Path, calibration_nchw: np.ndarray) -> dict[str, bytes]:
    """Static quantisation of ONNX Runtime: QDQ, weights by channel, all but the head."""
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        folded, made = Path(scratch) / "folded.onnx", Path(scratch) / "int8.onnx"
        # Folds batch normalisation into convolutions and merges what the runtime would merge.
        quant_pre_process(str(graph), str(folded), skip_symbolic_shape=True)
        ends = onnx.load(str(folded)).graph
        names = {each.name for each in ends.output}
        quantize_static(
            str(folded),
            str(made),
            _Reader(calibration_nchw),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # The head costs nothing and gives the logit itself.
            nodes_to_exclude=[node.name for node in ends.node if names & set(node.output)],
        )
        return {"graph.onnx": made.read_bytes()}


def _openvino_int8(graph: Path, calibration_nchw: np.ndarray) -> dict[str, bytes]:
    """Static quantisation of NNCF, as an OpenVINO graph with its weights beside it."""
    openvino = engine.openvino()
    # Inside: it needs openvino, an optional extra, and the telemetry that both share shut off.
    import nncf  # type: ignore[import-untyped, unused-ignore]

    nncf.set_log_level(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        quantized = nncf.quantize(
            openvino.Core().read_model(str(graph)),
            nncf.Dataset([film_chw[None] for film_chw in calibration_nchw]),
            subset_size=len(calibration_nchw),
        )
        path = Path(scratch) / "graph.xml"
        openvino.save_model(quantized, str(path), compress_to_fp16=False)
        return {each: (Path(scratch) / each).read_bytes() for each in ("graph.xml", "graph.bin")}


KINDS: dict[str, Kind] = {
    "bf16": Kind("openvino", "bf16", _as_it_is),
    "int8": Kind("onnx", "int8", _onnx_int8),
    "openvino_int8": Kind("openvino", "int8", _openvino_int8),
}


def add(bundle: Artifact, table: Table, names: tuple[str, ...]) -> Artifact:
    """
    The bundle, in place, with variants that were made of its graph and measured here.

    A variant that does not hold keeps its figures in ``variants.json``, but not its files.

    Raises:
        ArtifactError: a variant's runtime is not installed, or the CPU lacks its instructions, so
            that nothing could be measured.
    """
    for name in names:
        kind = KINDS[name]
        if missing := machine.lacks(kind.runtime, kind.precision):
            raise ArtifactError(f"variant {name!r} can't be made here: {missing}")
    calibration_nchw = calibration_films(bundle, table)
    kept = {
        name: (bundle.path / name).read_bytes()
        for name in bundle.manifest.files
        if name != artifact.VARIANTS and not name.startswith(FOLDER)
    }
    reference = _reference(bundle, table)
    made: list[Variant] = []
    for name in names:
        with progress.stage(f"variant {name}"), tempfile.TemporaryDirectory() as scratch:
            files = {
                f"{FOLDER}{name}/{file}": data
                for file, data in KINDS[name]
                .make(bundle.path / artifact.GRAPH, calibration_nchw)
                .items()
            }
            contents = {**kept, **files}
            draft = _draft(name, contents, tuple(files), bundle, Path(scratch) / "draft")
            variant = _measured(draft, reference, table, calibration_nchw[:1])
        made.append(variant)
        if variant.offered:
            kept |= files
        _say(variant)
    return readme.write(
        bundle.path,
        {**kept, artifact.VARIANTS: offered.write(tuple(made))},
        **artifact.origin(bundle),
    )


def carry(
    source: Artifact,
    made: Artifact,
    found: Predictions,
    predict: Callable[[str], Predictions],
) -> Artifact:
    """
    The bundle ``made``, in place, with the variants that ``source`` offers, judged anew.

    Both have one graph, and cards that make other probabilities of its logits. So files, golden
    films and speed are what they were; figures are not, and are taken by the card of ``made`` on
    the films that it was fitted on. One that can't run here is left out, and people are told.

    Args:
        found: Float32 on those films.
        predict: A variant of ``source`` on the same films, by its name.
    """
    assert made.manifest.files[artifact.GRAPH] == source.manifest.files[artifact.GRAPH]
    card, reference = made.model, _by(made.model, found)
    judged: list[Variant] = []
    for variant in offered.read(source):
        if why := _not_carried(source, variant):
            progress.say(f"    {variant.name} is left out: {why}")
            continue
        with progress.stage(f"variant {variant.name}"):
            validation = figures(_by(card, predict(variant.name)), reference, card)
        holds = validation["verdict"]["passed"]
        changed = {"model": made.model_digest, "validation": validation, "offered": holds}
        judged.append(variant.model_copy(update=changed))
        _say(judged[-1])
    if not judged:
        return made
    files = {
        name: (source.path / name).read_bytes()
        for each in judged
        for name in each.files
        if each.offered and name.startswith(FOLDER)
    }
    return readme.seal(made, {**files, artifact.VARIANTS: offered.write(tuple(judged))})


def _not_carried(source: Artifact, variant: Variant) -> str:
    """Why a variant can't be judged anew, and what to do; empty where it can."""
    if variant not in offered.of_model(source):
        return offered.state(source, variant)
    if missing := machine.lacks(variant.runtime, variant.precision):
        return f"{missing}, or run python jobs/recalibrate.py where it runs"
    return ""


def _by(card: ModelCard, found: Predictions) -> Predictions:
    """The same logits, by another card's calibration."""
    return replace(found, probabilities=card.probabilities(found.logits))


def calibration_films(bundle: Artifact, table: Table) -> np.ndarray:
    """Inputs n x c x h x w: one training film of each of some patients, drawn at random."""
    rows = table.rows("train")
    _, first = np.unique(table.columns["patient"][rows], return_index=True)
    drawn = np.random.default_rng(0).permutation(first)[:_CALIBRATION_FILMS]
    card = bundle.model
    return np.stack([card.preprocess(film) for film in table.images(rows[np.sort(drawn)])])


def _reference(bundle: Artifact, table: Table) -> Predictions:
    """Float32 on validation films, as the bundle remembers it, or asked again."""
    if artifact.VALIDATION in bundle.manifest.files and table.digest == bundle.manifest.data_digest:
        kept = json.loads((bundle.path / artifact.VALIDATION).read_bytes())
        rows = table.rows("validation")
        labels_n = table.columns["label"][rows]
        if kept["labels"] == labels_n.tolist():
            logits_nk = np.array(kept["logits"])
            return Predictions(
                rows=rows,
                labels=labels_n,
                patients=table.columns["patient"][rows],
                sites=table.columns["site"][rows],
                logits=logits_nk,
                probabilities=bundle.model.probabilities(logits_nk),
                features={},
            )
    return batch.predict_split(bundle.path, table, "validation")


def figures(found: Predictions, reference: Predictions, card: ModelCard) -> dict[str, Any]:
    """
    What a variant's answers are worth by the card, beside float32's on the same films.

    Returns:
        ``metrics`` at the card's threshold (of more than two classes the worst one's), each with
        an interval by patient; ``auroc`` and ``auroc_drop``; ``largest_difference`` of a
        probability; ``called_alike`` and ``covered``, shares of films: called as by float32, and
        with the true label in the prediction set; and the ``verdict``.
    """
    called_n = rule.called(found.probabilities, card.threshold)
    sensitivity, specificity = rule.of_called(
        found.labels, called_n, found.patients, len(card.labels), card.rule.confidence
    )
    area, before = _auroc(found), _auroc(reference)
    inside_nk = card.conformal.sets(found.probabilities)
    counted = {
        "films": int(found.labels.size),
        "metrics": {
            "sensitivity": metrics.plain(sensitivity),
            "specificity": metrics.plain(specificity),
        },
        "auroc": None if np.isnan(area) else area,
        "auroc_drop": None if np.isnan(area) else before - area,
        "largest_difference": float(np.abs(found.probabilities - reference.probabilities).max()),
        "called_alike": float(
            np.mean(called_n == rule.called(reference.probabilities, card.threshold))
        ),
        "covered": float(np.mean(inside_nk[np.arange(found.labels.size), found.labels])),
    }
    verdict = offered.judge(card.rule, counted)
    return {**counted, "verdict": {"passed": verdict.passed, "reasons": list(verdict.reasons)}}


def race(
    contestants: Mapping[str, Engine], batch_nchw: np.ndarray, turns: int
) -> dict[str, np.ndarray]:
    """CPU seconds of each contestant in each turn, the first three of each left out."""
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns + 3):
        for name, contestant in contestants.items():
            began = time.process_time()
            contestant.run(batch_nchw)
            spent[name].append(time.process_time() - began)
    return {name: np.array(seconds[3:]) for name, seconds in spent.items()}


def _draft(
    name: str, contents: dict[str, bytes], files: tuple[str, ...], bundle: Artifact, path: Path
) -> Artifact:
    """A bundle that offers the one variant, so that it is measured as it would answer."""
    variant = Variant(
        name=name,
        runtime=KINDS[name].runtime,
        precision=KINDS[name].precision,
        files=files or (artifact.GRAPH,),
        model=bundle.model_digest,
        speed=Speed(ratio=1, ms=0, reference_ms=0, cpu="", measured=""),
        validation={},
        offered=True,
        golden=(),
    )
    stored = offered.write((variant,))
    return artifact.write(path, {**contents, artifact.VARIANTS: stored}, **artifact.origin(bundle))


def _measured(
    draft: Artifact, reference: Predictions, table: Table, film_nchw: np.ndarray
) -> Variant:
    (variant,) = offered.read(draft)
    found = batch.predict_split(draft.path, table, "validation", variant.name)
    validation = figures(found, reference, draft.model)
    return variant.model_copy(
        update={
            "speed": _speed(draft, variant, film_nchw),
            "validation": validation,
            "offered": validation["verdict"]["passed"],
            "golden": tuple(_golden(draft, variant.name)),
        }
    )


def _golden(draft: Artifact, name: str) -> Iterator[Golden]:
    predictor = Predictor(draft.path, variant=name, proven=False)
    for film in draft.golden:
        logits = predictor.predict_bytes((draft.path / film.file).read_bytes()).logits
        largest = max(map(abs, logits))
        tolerance = _TOLERANCE + _TOLERANCE_SHARE * largest
        yield Golden(file=film.file, logits=logits, tolerance=tolerance)


def _speed(draft: Artifact, variant: Variant, film_nchw: np.ndarray) -> Speed:
    contestants = {
        "reference": engine.OnnxEngine(draft.path / artifact.GRAPH),
        "variant": engine.load(draft.path / variant.files[0], variant.runtime, variant.precision),
    }
    spent = race(contestants, film_nchw, _TURNS)
    return Speed(
        ratio=round(statistics.median(spent["reference"] / spent["variant"]), 3),
        ms=round(1e3 * statistics.median(spent["variant"]), 3),
        reference_ms=round(1e3 * statistics.median(spent["reference"]), 3),
        cpu=machine.cpu(),
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _auroc(found: Predictions) -> float:
    if found.probabilities.shape[1] == 2:
        return metrics.auroc(found.labels, found.probabilities[:, 1])
    return metrics.mean_auroc(found.labels, found.probabilities)


def _say(variant: Variant) -> None:
    said = "offered" if variant.offered else "not offered"
    progress.say(
        f"    {variant.name}: {variant.speed.ratio:.2f} times as fast as fp32, {said}: "
        + "; ".join(variant.validation["verdict"]["reasons"])
    )


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Films one at a time, in the form that ONNX Runtime's calibration asks for."""

    def __init__(self, films_nchw: np.ndarray) -> None:
        self._films = iter(films_nchw)

    def get_next(self) -> dict[str, np.ndarray] | None:
        film_chw = next(self._films, None)
        return None if film_chw is None else {"images": film_chw[None]}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Both libraries talk and draw bars on stdout, whose last line belongs to the job."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)
