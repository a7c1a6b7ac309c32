"""A bundle for a site: its variants go along, judged anew by the site's threshold."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lucency.batch import Predictions
from lucency.bundle import artifact, export, offered, variants
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.config.recalibrate import RecalibrateConfig
from lucency.config.train import Recipe
from lucency.datasets import prepare
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Table
from lucency.errors import ArtifactError
from lucency.evaluation.rule import ClinicalRule
from lucency.pipeline.recalibrate import recalibrate
from tests.learned import learned
from tests.offering import GRAPH, offering, variant

RULE = ClinicalRule(sensitivity_floor=0.05, specificity_floor=0.05)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Films of another scanner."""
    films = Phantom(patients=40, size=64, site_b_share=1.0, seed=9)
    return prepare.prepare(films, SplitPlan(), tmp_path_factory.mktemp("site"), name="site").table


@pytest.fixture(scope="module")
def source(
    bundle: Artifact, recipe: Recipe, table: Table, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """
    A tested bundle that offers a variant ``steep``, which keeps the order of films and is surer of
    each than the graph.
    """
    folder = tmp_path_factory.mktemp("source")
    network, _ = learned(recipe, table)
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    contents |= {
        artifact.GRAPH: export.to_onnx(network, recipe),
        artifact.MODEL: bundle.model.model_copy(update={"rule": RULE}).model_dump_json().encode(),
        artifact.GOLDEN: b"[]",
    }
    plain = artifact.write(folder / "plain", contents, **artifact.origin(bundle))
    with torch.no_grad():
        for weight in network.head.parameters():
            weight.mul_(1.2)
    graph = export.to_onnx(network, recipe)
    return offering(plain, folder / "offers", variant(plain, "steep"), graph=graph)


def _answers(bundle: Artifact, table: Table, name: str) -> Predictions:
    """What a bundle itself says of a table's validation films."""
    predictor = Predictor(bundle.path, variant=name, proven=False)
    rows = table.rows("validation")
    found = [predictor.predict_bytes(film) for film in table.images(rows)]
    return Predictions(
        rows=rows,
        labels=table.columns["label"][rows],
        patients=table.columns["patient"][rows],
        sites=table.columns["site"][rows],
        logits=np.array([each.logits for each in found]),
        probabilities=np.array([each.probabilities for each in found]),
        features={},
    )


@pytest.mark.ray
def test_variant_is_judged_anew(
    ray_cluster: None, source: Artifact, site: Table, tmp_path: Path
) -> None:
    """
    By the site's calibration and threshold, on the site's validation films: what holds is offered
    for the new model, and gives those very figures when it is asked; the test comes later.
    """
    told = recalibrate(
        RecalibrateConfig(bundle=source.path, table=site.path, output=tmp_path / "fitted")
    )

    fitted = Artifact.load(tmp_path / "fitted")
    (steep,) = offered.read(fitted)
    assert steep.offered
    assert steep.model == fitted.model_digest != source.model_digest
    assert GRAPH.format("steep") in fitted.manifest.files
    assert told["variants"] == {"steep": {"offered": True, **steep.validation}}
    assert steep.validation["films"] == len(site.rows("validation"))
    given, plain = (_answers(fitted, site, name) for name in ("steep", offered.REFERENCE))
    again = variants.figures(given, plain, fitted.model)
    for figure in ("metrics", "auroc", "auroc_drop", "called_alike", "covered", "verdict"):
        assert again[figure] == steep.validation[figure]
    assert steep.validation["largest_difference"] > 1e-3
    assert again["largest_difference"] == pytest.approx(
        steep.validation["largest_difference"], abs=1e-5
    )
    with pytest.raises(ArtifactError, match="must not answer: the bundle has no test evidence"):
        Predictor(fitted.path, variant="steep")
