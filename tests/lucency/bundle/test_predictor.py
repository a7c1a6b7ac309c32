"""The only inference path: the same as its parts, on every thread, with a picture of why."""

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from PIL import Image
from scipy.special import softmax

from lucency import images
from lucency.bundle import artifact, export
from lucency.bundle.artifact import Artifact, Golden
from lucency.bundle.predictor import Predictor, overlay
from lucency.config.train import Recipe
from lucency.datasets.phantom import Phantom
from lucency.drift import reference as drift
from lucency.errors import ArtifactError, ImageError
from lucency.evaluation.calibrated import Isotonic
from lucency.evaluation.conformal import Conformal
from lucency.models.base import architectures
from tests.offering import figures, offering, variant


@pytest.fixture(scope="module")
def predictor(bundle: Artifact) -> Predictor:
    """One predictor for all tests that only ask it."""
    return Predictor(bundle.path)


@pytest.fixture
def copied(bundle: Artifact, tmp_path: Path) -> Artifact:
    """A copy of the bundle that a test may change."""
    shutil.copytree(bundle.path, tmp_path / "bundle")
    return Artifact.load(tmp_path / "bundle")


def films(count: int) -> list[bytes]:
    """Drawn films, JPEG."""
    return [sample.read() for sample in Phantom(patients=count, size=64, max_films=1)]


def changed(bundle: Artifact, **values: object) -> Predictor:
    """A predictor of the bundle with another model card."""
    card = bundle.model.model_copy(update=values)
    return Predictor(
        artifact.with_files(bundle, {artifact.MODEL: card.model_dump_json().encode()}).path
    )


def test_answer_is_that_of_the_parts(predictor: Predictor, film: bytes) -> None:
    """Preprocessing, graph, temperature and threshold by hand give the same answer."""
    card = predictor.card
    input_chw = card.preprocess(film)
    session = onnxruntime.InferenceSession(str(predictor.artifact.path / artifact.GRAPH))
    logits_nk, maps_nkhw = session.run(["logits", "maps"], {"images": input_chw[None]})
    probability = 1 / (1 + np.exp(-logits_nk[0, 0] / card.temperature))

    found = predictor.predict_bytes(film)

    assert found.logits[0] == pytest.approx(logits_nk[0, 0], abs=1e-6)
    assert found.probability == pytest.approx(probability, abs=1e-6)
    assert found.probabilities == pytest.approx((1 - probability, probability), abs=1e-6)
    assert card.threshold is not None
    assert found.label == card.labels[int(probability >= card.threshold)]
    assert found.map_hw is not None
    np.testing.assert_allclose(found.map_hw, maps_nkhw[0, 0], atol=1e-6)


def test_drift_features_come_with_the_answer(predictor: Predictor, film: bytes) -> None:
    """All that drift is measured on is there, and described from the network's own input."""
    found = predictor.predict_bytes(film)

    assert set(found.features) == set(drift.FEATURES)
    assert found.features["probability"] == found.probability
    expected = drift.describe(predictor.card.preprocess(film))
    assert {**found.features, **expected} == found.features


def test_mean_of_the_map_is_the_logit(predictor: Predictor, film: bytes) -> None:
    """The explanation adds up to what it explains, through the exported graph too."""
    found = predictor.predict_bytes(film)

    assert found.map_hw is not None
    assert found.map_hw.mean() == pytest.approx(found.logits[0], abs=1e-5)


def test_company_in_a_batch_changes_nothing(predictor: Predictor) -> None:
    """A film gets the same answer alone and among others, in the order of the inputs."""
    inputs = [predictor.decode(data) for data in films(5)]

    together = predictor.predict(inputs)

    alone = [predictor.predict([film])[0].logits[0] for film in inputs]
    assert [found.logits[0] for found in together] == pytest.approx(alone, abs=1e-5)


def test_threads_get_the_answers_that_one_gets(predictor: Predictor) -> None:
    """Two threads that ask at once are not mixed up."""
    asked = films(8) * 4
    expected = [predictor.predict_bytes(data).logits[0] for data in asked]

    with ThreadPoolExecutor(2) as pool:
        found = [each.logits[0] for each in pool.map(predictor.predict_bytes, asked)]

    assert found == expected


def test_probability_on_the_threshold_is_positive(copied: Artifact, film: bytes) -> None:
    """The decision is the rule's: at or over the threshold is positive."""
    probability = Predictor(copied.path).predict_bytes(film).probability

    at = changed(copied, threshold=probability).predict_bytes(film)
    over = changed(copied, threshold=float(np.nextafter(probability, 1))).predict_bytes(film)

    assert (at.label, over.label) == ("PNEUMONIA", "NORMAL")


@pytest.mark.parametrize(
    ("above", "least", "decision", "reason", "labels"),
    [
        (True, (1.0, 0.0), "positive", "clear", ("PNEUMONIA",)),
        (False, (0.0, 1.0), "negative", "clear", ("NORMAL",)),
        (False, (1.0, 0.0), "uncertain", "set_against_threshold", ("PNEUMONIA",)),
        (True, (0.0, 0.0), "uncertain", "several_labels", ("NORMAL", "PNEUMONIA")),
        (True, (1.0, 1.0), "uncertain", "no_label", ()),
    ],
)
def test_decision_is_made_where_one_label_remains(
    copied: Artifact,
    film: bytes,
    above: bool,
    least: tuple[float, float],
    decision: str,
    reason: str,
    labels: tuple[str, ...],
) -> None:
    """A film is decided where the set holds what the threshold calls, and nothing else."""
    bounds = Conformal(coverage=0.9, least=least)

    found = changed(copied, threshold=1.0 - above, conformal=bounds).predict_bytes(film)

    assert (found.decision, found.reason, found.labels) == (decision, reason, labels)


def test_temperature_divides_the_logit(copied: Artifact, film: bytes) -> None:
    """The card's temperature changes the probability and leaves the logit."""
    warm = Predictor(copied.path).predict_bytes(film)

    cold = changed(copied, temperature=0.001).predict_bytes(film)

    assert cold.logits[0] == warm.logits[0]
    assert cold.probability == pytest.approx(float(cold.logits[0] > 0), abs=1e-3)


def test_calibration_in_force_answers(copied: Artifact, film: bytes) -> None:
    """A curve of the card moves probability, decision and drift feature, and leaves the logit."""
    plain = Predictor(copied.path).predict_bytes(film)
    curve = Isotonic(given=(0.0, plain.probability, 1.0), observed=(0.0, 0.01, 1.0))

    found = changed(copied, calibration=curve, threshold=0.02).predict_bytes(film)

    assert found.logits == plain.logits
    assert found.probabilities == pytest.approx((0.99, 0.01))
    assert found.features["probability"] == found.probability
    assert found.label == "NORMAL"


@pytest.mark.parametrize("logit", [1e6, -1e6])
def test_golden_film_with_another_logit_is_refused(copied: Artifact, logit: float) -> None:
    """A machine whose libraries answer otherwise does not answer at all."""
    entry = {"file": "golden/0.png", "logits": [logit], "tolerance": 1e-3}
    other = artifact.with_files(copied, {artifact.GOLDEN: json.dumps([entry]).encode()})

    with pytest.raises(ArtifactError, match=r"golden film 'golden/0\.png'.*promises"):
        Predictor(other.path)


@pytest.mark.parametrize("logits", [[], [0.0, 0.0, 0.0]])
def test_golden_film_with_another_number_of_logits_is_refused(
    copied: Artifact, logits: list[float]
) -> None:
    """One logit that is compared with three, or with none, is no match whatever it is."""
    entry = {"file": "golden/0.png", "logits": logits, "tolerance": 1e9}
    other = artifact.with_files(copied, {artifact.GOLDEN: json.dumps([entry]).encode()})

    with pytest.raises(ArtifactError, match=r"golden film 'golden/0\.png'.*promises"):
        Predictor(other.path)


def test_damaged_bundle_is_refused(copied: Artifact) -> None:
    """No graph is loaded whose digest is not the promised one."""
    graph = copied.path / artifact.GRAPH
    graph.write_bytes(graph.read_bytes() + b" ")

    with pytest.raises(ArtifactError, match=artifact.GRAPH):
        Predictor(copied.path)


def test_unusable_film_is_refused(predictor: Predictor) -> None:
    """Bytes that are no film raise the error that decoding gives them."""
    with pytest.raises(ImageError, match="neither JPEG nor PNG"):
        predictor.predict_bytes(b"GIF89a")


def test_limit_on_pixels_is_the_callers(bundle: Artifact, film: bytes) -> None:
    """A service may set a lower limit than training, for answers and overlays alike."""
    strict = Predictor(bundle.path, max_pixels=96 * 96 - 1)

    with pytest.raises(ImageError, match="the limit is 9215"):
        strict.predict_bytes(film)
    with pytest.raises(ImageError, match="the limit is 9215"):
        strict.overlay(film, Predictor(bundle.path).predict_bytes(film))


@pytest.mark.parametrize(
    ("given", "shown"), [((40, 60), (40, 60)), ((60, 40), (60, 40)), ((16, 2048), (4, 512))]
)
def test_overlay_has_the_films_aspect(
    predictor: Predictor, given: tuple[int, int], shown: tuple[int, int]
) -> None:
    """The picture is a PNG of the film's own height and width, at most 512 px a side."""
    data = images.encode_png(np.full(given, 90, dtype=np.uint8))

    picture = predictor.overlay(data, predictor.predict_bytes(data))

    with Image.open(io.BytesIO(picture)) as opened:
        assert (opened.format, opened.mode) == ("PNG", "RGB")
        assert opened.size == shown[::-1]


def test_evidence_against_leaves_the_film_gray() -> None:
    """A map without positive places colours nothing."""
    film_hwc = np.random.default_rng(0).integers(0, 255, (20, 30, 1)).astype(np.uint8)
    film_hwc = film_hwc.repeat(3, axis=2)

    picture = overlay(film_hwc, np.full((2, 2), -3.0))

    drawn = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(drawn, film_hwc)


def test_heat_lies_where_the_map_is_positive() -> None:
    """One hot corner is coloured in that corner, red over blue; the opposite one stays gray."""
    map_hw = np.zeros((8, 8))
    map_hw[:2, :2] = 5.0

    picture = overlay(np.full((80, 80, 3), 100, dtype=np.uint8), map_hw)

    with Image.open(io.BytesIO(picture)) as opened:
        drawn = np.asarray(opened).astype(int)
    assert drawn[5, 5, 0] > drawn[5, 5, 2] + 20
    np.testing.assert_array_equal(drawn[40:, 40:], 100)


LABELS = ("ant", "bee", "cat")
SETS = Conformal(coverage=0.9, least=(0.0, 0.0, 0.0))


def of_three(bundle: Artifact, recipe: Recipe, folder: Path, model: str) -> Predictor:
    """A predictor of three classes: an untrained network with another head or another shape."""
    options = recipe.model if model == "small" else architectures.options(model)(name=model)
    torch.manual_seed(1)
    network = architectures.build(options, in_channels=1, outputs=3, side=32).eval()
    card = bundle.model.model_copy(update={"labels": LABELS, "threshold": None, "conformal": SETS})
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    added = {
        artifact.GRAPH: export.to_onnx(network, recipe),
        artifact.MODEL: card.model_dump_json().encode(),
        artifact.GOLDEN: b"[]",
    }
    origin = bundle.manifest.model_dump(exclude={"format", "created", "files"})
    return Predictor(artifact.write(folder / "bundle", {**contents, **added}, **origin).path)


@pytest.fixture(scope="module")
def mapped(bundle: Artifact, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Three classes, with maps."""
    return of_three(bundle, recipe, tmp_path_factory.mktemp("mapped"), "small")


@pytest.fixture(scope="module")
def flat(bundle: Artifact, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Three classes from a head that flattens."""
    return of_three(bundle, recipe, tmp_path_factory.mktemp("flat"), "mnist_torch_cnn")


@pytest.mark.parametrize("name", ["mapped", "flat"])
def test_three_classes_are_decided_by_the_largest(
    name: str, film: bytes, request: pytest.FixtureRequest
) -> None:
    """The most probable class is label and decision, and the probability is its own."""
    predictor: Predictor = request.getfixturevalue(name)

    found = predictor.predict_bytes(film)

    expected = softmax(np.array(found.logits) / predictor.card.temperature)
    assert found.probabilities == pytest.approx(tuple(expected))
    assert sum(found.probabilities) == pytest.approx(1)
    assert found.label == LABELS[int(expected.argmax())]
    assert found.probability == found.features["probability"] == max(found.probabilities)


def test_map_is_that_of_the_class_called(mapped: Predictor) -> None:
    """Its mean is the largest logit, whichever class that is."""
    shifted = [images.encode_png(np.full((40, 40, 1), level, np.uint8)) for level in (0, 90, 255)]

    for data in [*films(4), *shifted]:
        found = mapped.predict_bytes(data)
        assert found.map_hw is not None
        assert found.map_hw.mean() == pytest.approx(max(found.logits), abs=1e-4)


def test_network_without_maps_says_so(flat: Predictor, mapped: Predictor, film: bytes) -> None:
    """A graph of logits alone gives answers without a map, and is asked before an overlay."""
    assert (flat.explains, mapped.explains) == (False, True)
    assert flat.predict_bytes(film).map_hw is None
    with pytest.raises(AssertionError, match="ask explains"):
        flat.overlay(film, flat.predict_bytes(film))


@pytest.fixture(scope="module")
def shifted(bundle: Artifact) -> bytes:
    """The bundle's graph with one more on the logit: what it answers shows who answered."""
    model = onnx.load(str(bundle.path / artifact.GRAPH))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "one"))
    (last,) = [node for node in model.graph.node if "logits" in node.output]
    last.output[list(last.output).index("logits")] = "before"
    model.graph.node.append(helper.make_node("Add", ["before", "one"], ["logits"]))
    return bytes(model.SerializeToString())


def golden(bundle: Artifact, shift: float) -> tuple[Golden, ...]:
    """The golden film with its logit moved."""
    (only,) = bundle.golden
    return (only.model_copy(update={"logits": (only.logits[0] + shift,)}),)


def test_proven_variant_answers(
    bundle: Artifact, shifted: bytes, film: bytes, tmp_path: Path
) -> None:
    """Where it is asked for, by name or as the fastest; else the graph itself."""
    twin = variant(bundle, golden=golden(bundle, 1.0))
    made = offering(bundle, tmp_path / "bundle", twin, graph=shifted)
    plain = Predictor(made.path).predict_bytes(film).logits[0]

    for asked in ("auto", "twin"):
        found = Predictor(made.path, variant=asked)

        assert found.variant == "twin"
        assert found.predict_bytes(film).logits[0] == pytest.approx(plain + 1, abs=1e-4)


@pytest.mark.parametrize(
    ("tested", "shift", "why"),
    [
        ({}, 1.0, "was not measured when the test split was opened"),
        ({"twin": figures(lower=0.5)}, 1.0, "under the floor"),
        (None, 5.0, "golden film"),
    ],
)
def test_variant_that_fails_is_passed_over(
    bundle: Artifact,
    shifted: bytes,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    tested: dict[str, object] | None,
    shift: float,
    why: str,
) -> None:
    """Unproven, bad on test films or other logits here: the graph answers and the log says why;
    by name it is an error."""
    twin = variant(bundle, golden=golden(bundle, shift))
    made = offering(bundle, tmp_path / "bundle", twin, graph=shifted, tested=tested)

    found = Predictor(made.path, variant="auto")

    assert found.variant == "fp32"
    assert why in caplog.text
    with pytest.raises(ArtifactError, match=why):
        Predictor(made.path, variant="twin")


def test_next_fastest_takes_its_place(
    bundle: Artifact, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A faster one that can't be loaded is passed over for one that can."""
    made = offering(
        bundle,
        tmp_path / "bundle",
        variant(bundle, "good", ratio=1.5),
        variant(bundle, "bad", ratio=3.0, golden=golden(bundle, 5.0)),
    )

    assert Predictor(made.path, variant="auto").variant == "good"
    assert "'bad' is passed over" in caplog.text


def test_unproven_variant_answers_for_its_evidence(bundle: Artifact, tmp_path: Path) -> None:
    """Where test figures are still to be taken, one that is offered is loaded without them."""
    made = offering(bundle, tmp_path / "bundle", variant(bundle), tested={})

    assert Predictor(made.path, variant="twin", proven=False).variant == "twin"


def test_unknown_variant_is_refused(bundle: Artifact) -> None:
    """The error says which there are; with none, auto is the graph itself."""
    with pytest.raises(ArtifactError, match=r"no variant 'int4', it has \['fp32'\]"):
        Predictor(bundle.path, variant="int4")
    assert Predictor(bundle.path, variant="auto").variant == "fp32"
