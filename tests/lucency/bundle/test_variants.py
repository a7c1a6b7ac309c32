"""From a bundle to its variants: made, measured, offered, tested, served."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from lucency import batch
from lucency.batch import Predictions
from lucency.bundle import artifact, engine, export, machine, offered, readme, variants
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.evaluate import EvaluateConfig
from lucency.config.train import Recipe
from lucency.datasets import prepare
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Table
from lucency.errors import ArtifactError
from lucency.evaluation import openings, probability
from lucency.evaluation.rule import ClinicalRule
from lucency.ledger import Ledger
from lucency.pipeline.evaluate import evaluate
from lucency.store import gate
from tests.learned import learned as learn
from tests.offering import GRAPH, figures, offering, variant

RULE = ClinicalRule(sensitivity_floor=0.05, specificity_floor=0.05)
# A CPU without the instructions can neither make nor measure these.
HERE = tuple(
    name for name, kind in variants.KINDS.items() if not machine.lacks(kind.runtime, kind.precision)
)


@pytest.fixture(scope="module")
def learned(
    bundle: Artifact, recipe: Recipe, table: Table, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """A bundle of the table, of a network that was trained for a moment, with an easy rule."""
    # Half of the films on each side, wherever a moment's training has left the network.
    model, logit = learn(recipe, table)
    threshold = float(probability.of_classes(np.array([[logit]]), bundle.model.temperature)[0, 1])
    card = bundle.model.model_copy(update={"rule": RULE, "threshold": threshold})
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    contents |= {
        artifact.GRAPH: export.to_onnx(model, recipe),
        artifact.MODEL: card.model_dump_json().encode(),
        artifact.GOLDEN: b"[]",
        artifact.CONFIG: b"{}",
        artifact.HISTORY: b"[]",
        artifact.VALIDATION: json.dumps(
            {"labels": [0, 1] * 8, "logits": [[0.1 * n] for n in range(16)]}
        ).encode(),
    }
    origin = {**artifact.origin(bundle), "data_digest": table.digest}
    path = tmp_path_factory.mktemp("learned") / "bundle"
    draft = artifact.write(path, contents, **origin)
    logits = Predictor(path).predict_bytes((path / "golden/0.png").read_bytes()).logits
    golden = [{"file": "golden/0.png", "logits": logits, "tolerance": 1e-2}]
    return readme.seal(draft, {artifact.GOLDEN: json.dumps(golden).encode()})


@pytest.fixture(scope="module")
def calibration_nchw(learned: Artifact, table: Table) -> np.ndarray:
    """What quantisation is shown."""
    return variants.calibration_films(learned, table)


def predictions(scores: list[float], labels: list[int]) -> Predictions:
    """Predictions of films of one patient each."""
    n = np.arange(len(scores))
    logits_nk = np.array(scores)[:, None]
    given_nk = probability.of_classes(logits_nk)
    return Predictions(n, np.array(labels), n, n, logits_nk, given_nk, {})


def test_calibration_films_are_training_films(
    learned: Artifact, calibration_nchw: np.ndarray, table: Table
) -> None:
    """One of each patient, and none of validation, where the result is judged."""
    rows = table.rows("train")
    films = {learned.model.preprocess(film).tobytes() for film in table.images(rows)}

    assert len(calibration_nchw) == len(np.unique(table.columns["patient"][rows]))
    assert {film.tobytes() for film in calibration_nchw} <= films


@pytest.mark.parametrize("name", HERE)
def test_variant_answers_nearly_as_the_graph(
    name: str, learned: Artifact, calibration_nchw: np.ndarray, tmp_path: Path
) -> None:
    """Its probabilities are float32's but for rounding, and rounding is there."""
    kind = variants.KINDS[name]
    files = kind.make(learned.path / artifact.GRAPH, calibration_nchw)
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    graph = tmp_path / next(iter(files)) if files else learned.path / artifact.GRAPH

    made = engine.load(graph, kind.runtime, kind.precision)

    expected_nk, _ = engine.OnnxEngine(learned.path / artifact.GRAPH).run(calibration_nchw)
    found_nk, maps_nkhw = made.run(calibration_nchw)
    apart_nk = probability.of_classes(found_nk) - probability.of_classes(expected_nk)
    assert maps_nkhw is not None
    assert 1e-6 < np.abs(apart_nk).max() < 0.1


def test_int8_keeps_the_head(learned: Artifact, calibration_nchw: np.ndarray) -> None:
    """Convolutions are quantised by channel; what gives logits and maps is not quantised."""
    files = variants.KINDS["int8"].make(learned.path / artifact.GRAPH, calibration_nchw)
    graph = onnx.load_from_string(files["graph.onnx"]).graph

    ends = {
        node.op_type for node in graph.node for name in node.output if name in ("logits", "maps")
    }
    axes = [
        attribute.i
        for node in graph.node
        if node.op_type == "DequantizeLinear" and "weight" in node.input[0]
        for attribute in node.attribute
        if attribute.name == "axis"
    ]
    assert "DequantizeLinear" not in ends
    assert axes
    assert set(axes) == {0}


def test_figures_are_those_of_the_variant(learned: Artifact) -> None:
    """Against float32 on the same films: what is lost, moved, and called otherwise."""
    labels = [0, 0, 0, 1, 1, 1]
    reference = predictions([-3, -2, -1, 1, 2, 3], labels)
    worse = predictions([-3, -2, 1.5, 1, 2, 3], labels)
    card = learned.model.model_copy(update={"threshold": 0.5})

    found = variants.figures(worse, reference, card)
    same = variants.figures(reference, reference, card)

    assert found["auroc"] == pytest.approx(8 / 9)
    assert found["auroc_drop"] == pytest.approx(1 / 9)
    assert found["called_alike"] == pytest.approx(5 / 6)
    assert found["largest_difference"] == pytest.approx(0.8176 - 0.2689, abs=1e-3)
    assert found["metrics"]["specificity"]["value"] == pytest.approx(2 / 3)
    assert not found["verdict"]["passed"]
    assert (same["auroc_drop"], same["called_alike"], same["largest_difference"]) == (0, 1, 0)


def test_missing_class_proves_nothing(learned: Artifact) -> None:
    """Where one class has no film the drop is unknown, and the variant does not hold."""
    lone = predictions([1.0, 2.0], [1, 1])

    found = variants.figures(lone, lone, learned.model)

    assert found["auroc_drop"] is None
    assert not found["verdict"]["passed"]


def test_worst_class_of_three_counts(learned: Artifact) -> None:
    """Without a threshold the most probable class is called, and the worst one is judged."""
    card = learned.model.model_copy(
        update={
            "labels": ("ant", "bee", "cat"),
            "threshold": None,
            "conformal": learned.model.conformal.model_copy(update={"least": (0.0, 0.0, 0.0)}),
        }
    )
    given_nk = np.eye(3)[[0, 0, 1, 1, 2, 0]]
    found = replace(predictions([0.0] * 6, [0, 0, 1, 1, 2, 2]), probabilities=given_nk)

    measured = variants.figures(found, found, card)

    assert measured["metrics"]["sensitivity"]["value"] == 0.5
    assert measured["metrics"]["specificity"]["value"] == 0.75
    assert measured["covered"] == 1


def site_bundle(source: Artifact, path: Path, **card: Any) -> Artifact:
    """The same graph with another card, as recalibration leaves it: no evidence, no variants."""
    kept = {
        name: (source.path / name).read_bytes()
        for name in source.manifest.files
        if name not in (artifact.EVIDENCE, artifact.VARIANTS)
        and not name.startswith(variants.FOLDER)
    }
    changed = source.model.model_copy(update=card)
    contents = {**kept, artifact.MODEL: changed.model_dump_json().encode()}
    return artifact.write(path, contents, **artifact.origin(source))


@pytest.mark.parametrize(("threshold", "holds"), [(0.5, True), (0.9, False)])
def test_carried_variant_is_judged_by_the_new_threshold(
    learned: Artifact, tmp_path: Path, threshold: float, holds: bool
) -> None:
    """
    Its logits keep every film's rank, but are lower: over 0.5 it finds all that float32 finds, over
    0.9 nothing. What holds is offered with its file, what does not keeps its figures alone.
    """
    source = offering(learned, tmp_path / "source", variant(learned))
    made = site_bundle(source, tmp_path / "made", temperature=1.0, threshold=threshold)
    labels = [0] * 8 + [1] * 8
    found = predictions([-3.0] * 8 + [3.0] * 8, labels)
    lower = predictions([-3.0] * 8 + [2.0] * 8, labels)

    carried = variants.carry(source, made, found, {"twin": lower}.__getitem__)

    (judged,) = offered.read(carried)
    assert judged.offered is holds
    assert judged.model == carried.model_digest == made.model_digest != source.model_digest
    assert judged.validation["metrics"]["sensitivity"]["value"] == (1.0 if holds else 0.0)
    assert judged.validation["auroc_drop"] == 0
    assert (GRAPH.format("twin") in carried.manifest.files) is holds
    assert (judged.speed, judged.golden) == (variant(learned).speed, variant(learned).golden)
    assert "## Variants" in (carried.path / artifact.README).read_text()


def test_carried_figures_are_of_the_new_calibration(learned: Artifact, tmp_path: Path) -> None:
    """Both answers come from logits anew: what they were by the old card plays no part."""
    source = offering(learned, tmp_path / "source", variant(learned))
    made = site_bundle(source, tmp_path / "made", temperature=4.0)
    found, other = predictions([-2.0, 2.0], [0, 1]), predictions([-2.0, 4.0], [0, 1])

    (judged,) = offered.read(variants.carry(source, made, found, lambda name: other))

    apart = 1 / (1 + np.exp(-1.0)) - 1 / (1 + np.exp(-0.5))
    assert judged.validation["largest_difference"] == pytest.approx(apart)


def test_variant_that_can_not_be_judged_anew_is_left_out(
    learned: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """
    Neither file nor entry goes along of one that did not hold before, was of another model, or
    can't run here; people are told why, and which command measures it.
    """
    monkeypatch.setattr(machine, "instructions", frozenset)
    lost = {**figures(), "verdict": {"passed": False, "reasons": ["AUROC drop 0.2"]}}
    source = offering(
        learned,
        tmp_path / "source",
        variant(learned, "weak", offered=False, validation=lost),
        variant(learned, "strange", model="0" * 64),
        variant(learned, "narrow", precision="int8"),
    )
    made = site_bundle(source, tmp_path / "made", temperature=4.0)

    carried = variants.carry(source, made, predictions([-2.0, 2.0], [0, 1]), pytest.fail)

    told = capsys.readouterr().err
    assert carried == made == Artifact.load(made.path)
    assert "weak is left out: not offered: on validation films AUROC drop 0.2" in told
    assert "strange is left out: not offered: it was measured of another model" in told
    assert "narrow is left out: the CPU has none of" in told
    assert "or run python jobs/recalibrate.py where it runs" in told


def test_race_counts_each_turn(learned: Artifact) -> None:
    """Every contestant runs in every turn, and takes time."""
    graph = learned.path / artifact.GRAPH
    contestants = {name: engine.OnnxEngine(graph) for name in ("one", "other")}

    spent = variants.race(contestants, np.zeros((1, 1, 32, 32), np.float32), 5)

    assert {name: seconds.shape for name, seconds in spent.items()} == {"one": (5,), "other": (5,)}
    assert all((seconds > 0).all() for seconds in spent.values())


def test_variant_that_can_not_run_is_refused(
    learned: Artifact, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is made: a variant that was not measured is never offered."""
    monkeypatch.setattr(machine, "instructions", frozenset)

    with pytest.raises(ArtifactError, match=r"variant 'int8' can't be made here: the CPU has none"):
        variants.add(learned, table, ("int8",))

    assert offered.read(Artifact.load(learned.path)) == ()


@pytest.fixture(scope="module")
def made(
    ray_cluster: None, learned: Artifact, table: Table, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The bundle with every variant that this machine can make."""
    path = tmp_path_factory.mktemp("made") / "bundle"
    shutil.copytree(learned.path, path)
    return variants.add(Artifact.load(path), table, HERE)


@pytest.mark.ray
def test_bundle_keeps_what_holds(made: Artifact, learned: Artifact) -> None:
    """The model stays the same one; files are there of those offered, figures of all."""
    found = offered.read(made)

    assert made.model_digest == learned.model_digest
    assert [each.name for each in found] == list(HERE)
    for each in found:
        assert each.offered == each.validation["verdict"]["passed"]
        own = {file for file in each.files if file.startswith(variants.FOLDER)}
        assert own & set(made.manifest.files) == (own if each.offered else set())
        assert each.speed.ratio > 0
        assert len(each.golden) == len(made.golden)
    assert any(each.offered for each in found)
    assert "## Variants" in (made.path / artifact.README).read_text()


@pytest.mark.ray
def test_float32_is_not_asked_what_the_bundle_remembers(
    made: Artifact, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Logits of these very films give the figures that asking again gives; of others they don't
    count.
    """
    found = batch.predict_split(made.path, table, "validation")
    logits_nk = found.logits
    kept = {"labels": found.labels.tolist(), "logits": logits_nk.tolist()}
    path = Path(shutil.copytree(made.path, tmp_path / "bundle"))
    bundle = artifact.with_files(
        Artifact.load(path), {artifact.VALIDATION: json.dumps(kept).encode()}
    )
    asked: list[str] = []
    predict = batch.predict_split

    def counted(bundle: Path, table: Table, split: str, variant: str = "fp32") -> Predictions:
        asked.append(variant)
        return predict(bundle, table, split, variant)

    monkeypatch.setattr(batch, "predict_split", counted)
    again = variants.add(bundle, table, HERE[:1])

    assert asked == list(HERE[:1])
    (first,), (before, *_) = offered.read(again), offered.read(made)
    assert first.validation == before.validation


@pytest.mark.ray
def test_making_again_leaves_nothing_over(made: Artifact, table: Table, tmp_path: Path) -> None:
    """Files of variants that are no longer asked for are gone."""
    shutil.copytree(made.path, tmp_path / "bundle")

    again = variants.add(Artifact.load(tmp_path / "bundle"), table, ())

    assert offered.read(again) == ()
    assert not [name for name in again.manifest.files if name.startswith(variants.FOLDER)]


@pytest.mark.ray
def test_variants_are_tested_in_one_opening(
    made: Artifact, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    One line in the ledger, figures of each offered variant, and then they may answer; another
    site's films judge each of them again.
    """
    bundle = Artifact.load(Path(shutil.copytree(made.path, tmp_path / "bundle")))
    names = [each.name for each in offered.of_model(bundle)]
    with pytest.raises(ArtifactError, match="must not answer: the bundle has no test evidence"):
        Predictor(bundle.path, variant=names[0])

    asked: list[Any] = []
    predict = batch.predict_split

    def counted(bundle: Path, table: Table, *rest: str) -> Predictions:
        asked.append(rest)
        return predict(bundle, table, *rest)

    monkeypatch.setattr(batch, "predict_split", counted)
    evaluate(EvaluateConfig(bundle=bundle.path, table=table.path, report=tmp_path / "r.html"))

    tested = Artifact.load(bundle.path)
    assert tested.evidence is not None
    assert list(tested.evidence["variants"]) == sorted(names)
    assert asked == [("test",), *(("test", name) for name in names)]
    entries = Ledger(table.path.parent / openings.FILE).entries()
    assert [each["model"] for each in entries].count(tested.model_digest) == 1
    serving = [
        name for name, found in tested.evidence["variants"].items() if found["verdict"]["passed"]
    ]
    for name in serving:
        assert Predictor(tested.path, variant=name).variant == name
    said = gate.check(tested, RULE)
    assert [line for line in said if "holds" in line] == [
        f"variant {name} holds" for name in names if name in serving
    ]

    films = Phantom(patients=20, size=64, seed=9)
    site = prepare.prepare(films, SplitPlan(), tmp_path / "site", name="site")
    found = evaluate(
        EvaluateConfig(
            bundle=bundle.path,
            table=site.table.path,
            report=tmp_path / "site.html",
            external=True,
            split="validation",
        )
    )

    (abroad,) = Artifact.load(bundle.path).external()
    assert abroad["variants"] == found["variants"]
    assert list(abroad["variants"]) == sorted(names)
    for name, there in abroad["variants"].items():
        assert there["digest"] == tested.evidence["variants"][name]["digest"]
        assert there["films"] == len(site.table.rows("validation"))
    assert 'class="variants"' in (tmp_path / "site.html").read_text()
