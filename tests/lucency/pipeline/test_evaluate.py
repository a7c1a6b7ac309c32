"""The test split's lock, two models side by side, another site's films, a bundle for that site."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lucency import batch
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.config.evaluate import EvaluateConfig
from lucency.config.recalibrate import RecalibrateConfig
from lucency.datasets import prepare
from lucency.datasets.phantom import Phantom
from lucency.datasets.splits import SplitPlan
from lucency.datasets.table import Table
from lucency.errors import ConfigError, DataError, LeakFound, TestSplitOpened
from lucency.evaluation import drop, openings
from lucency.ledger import Ledger
from lucency.pipeline.evaluate import evaluate
from lucency.pipeline.recalibrate import recalibrate
from lucency.store import gate

pytestmark = pytest.mark.ray
# The small network is not trained: nothing here may rest on its figures.


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The table that the bundles were made from."""
    folder = tmp_path_factory.mktemp("own")
    return prepare.prepare(Phantom(patients=40, size=64), SplitPlan(), folder, name="phantom").table


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Patients of another scanner, numbered anew."""
    source = Phantom(patients=40, size=64, site_b_share=1.0, seed=9)
    folder = tmp_path_factory.mktemp("site")
    return prepare.prepare(source, SplitPlan(), folder, name="phantom").table


def made_from(own: Table, bundle: Artifact, path: Path, temperature: float = 1.5) -> Artifact:
    """A bundle of the untrained network for the given table, its card as told."""
    card = bundle.model.model_copy(update={"temperature": temperature})
    contents = {name: (bundle.path / name).read_bytes() for name in bundle.manifest.files}
    contents |= {
        artifact.MODEL: card.model_dump_json().encode(),
        artifact.CONFIG: b"{}",
        artifact.HISTORY: b"[]",
        artifact.VALIDATION: json.dumps(
            {"labels": [0, 1] * 8, "logits": [[0.1 * n] for n in range(16)]}
        ).encode(),
    }
    origin = bundle.manifest.model_dump(exclude={"format", "created", "files"})
    return artifact.write(path, contents, **{**origin, "data_digest": own.digest})


@pytest.fixture(scope="module")
def tested(
    ray_cluster: None, own: Table, bundle: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a model ``first`` that was tested."""
    folder = tmp_path_factory.mktemp("models")
    made_from(own, bundle, folder / "first")
    evaluate(asked(own, folder, "first"))
    return folder


def asked(table: Table, folder: Path, model: str, **changes: Any) -> EvaluateConfig:
    """An evaluation of one model of a folder."""
    return EvaluateConfig(
        bundle=folder / model, table=table.path, report=folder / f"{model}.html", **changes
    )


def ledger(table: Table) -> list[dict[str, Any]]:
    """All openings of a table's test split."""
    return Ledger(table.path.parent / openings.FILE).entries()


def test_second_model_needs_a_reason_and_is_compared(
    own: Table, tested: Path, bundle: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Without one nothing is read or sealed; with one it stands in ledger and evidence, the other
    model's look beside it, and each bundle's films are predicted once.
    """
    second = made_from(own, bundle, tested / "second", temperature=3.0)
    before = ledger(own)

    with pytest.raises(TestSplitOpened, match="reason="):
        evaluate(asked(own, tested, "second"))
    assert ledger(own) == before
    assert Artifact.load(second.path).evidence is None

    predicted: list[str] = []
    predict = batch.predict_split

    def counted(bundle: Path, table: Table, split: str) -> batch.Predictions:
        predicted.append(bundle.name)
        return predict(bundle, table, split)

    monkeypatch.setattr(batch, "predict_split", counted)
    found = evaluate(asked(own, tested, "second", reason="why not", against=tested / "first"))

    first = Artifact.load(tested / "first")
    evidence = Artifact.load(second.path).evidence
    assert evidence is not None
    assert [entry["reason"] for entry in evidence["openings"]][-1] == "why not"
    added = ledger(own)[len(before) :]
    assert [entry["model"] for entry in added] == [second.model_digest, first.model_digest]
    assert predicted == ["second", "first"]
    # One network, two temperatures: no film changes its rank.
    assert found["against"]["auroc"]["value"] == 0
    assert found["against"]["model_digest"] == first.model_digest


def test_untested_model_is_not_compared_with(own: Table, tested: Path, bundle: Artifact) -> None:
    """The refusal comes before any film is read."""
    made_from(own, bundle, tested / "untested", temperature=5.0)
    before = ledger(own)

    with pytest.raises(DataError, match="only be compared with one that has evidence"):
        evaluate(asked(own, tested, "first", against=tested / "untested"))

    assert ledger(own) == before


def test_another_sites_table_is_refused_until_said_so(tested: Path, site: Table) -> None:
    """The message names the option."""
    with pytest.raises(DataError, match="external=true"):
        evaluate(asked(site, tested, "first"))


def test_other_site_is_judged_and_sealed(own: Table, tested: Path, site: Table) -> None:
    """
    All films, the drop of each figure, a page; the model stays the one that it was, and the gate
    reads what was sealed.
    """
    shutil.copytree(tested / "first", tested / "abroad")
    before = Artifact.load(tested / "abroad")

    found = evaluate(
        asked(site, tested, "abroad", external=True, trained_on=own.path, patients=False)
    )

    after = Artifact.load(tested / "abroad")
    (evidence,) = gate.external(after)
    assert after.model_digest == before.model_digest
    assert after.evidence == before.evidence
    assert drop.file_name(site.digest) in after.manifest.files
    assert found["films"] == len(site.columns["label"])
    assert set(found["sites"]) == {"scanner_b"}
    assert evidence["unseen"]["searched"] is True
    assert evidence["variants"] == {}
    assert evidence["drop"]["auroc"]["value"] == pytest.approx(
        before.evidence["metrics"]["auroc"]["value"]  # type: ignore[index]
        - found["metrics"]["auroc"]["value"]
    )
    assert ledger(site)[-1]["model"] == after.model_digest
    assert "not a clinical result" in (tested / "abroad.html").read_text()


def test_validation_films_alone_open_no_test(tested: Path, site: Table) -> None:
    """A site's test films stay closed for the model that is recalibrated for it."""
    shutil.copytree(tested / "first", tested / "careful")
    before = ledger(site)

    found = evaluate(asked(site, tested, "careful", external=True, split="validation"))

    assert found["films"] == len(site.rows("validation"))
    assert found["unseen"]["searched"] is False
    assert ledger(site) == before


def test_films_it_was_trained_on_are_refused(own: Table, tested: Path, tmp_path: Path) -> None:
    """Its own patients prepared into another table are found, listed and shown; nothing is read."""
    source = Phantom(patients=40, size=64)
    plan = SplitPlan(seed=5)
    copied = prepare.prepare(source, plan, tmp_path / "copied", name="phantom").table
    shutil.copytree(tested / "first", tested / "cheating")

    with pytest.raises(LeakFound, match=r"shares films or patients.*by patient"):
        evaluate(asked(copied, tested, "cheating", external=True, trained_on=own.path, near=False))

    assert (tested / "cheating_leaks.png").is_file()
    assert gate.external(Artifact.load(tested / "cheating")) == []
    assert not (copied.path.parent / openings.FILE).exists()


def test_own_table_is_no_other_site(own: Table, tested: Path) -> None:
    """Neither whole nor by its validation split."""
    with pytest.raises(DataError, match="was made from, not another site's"):
        evaluate(asked(own, tested, "first", external=True))


def test_options_of_another_table_need_external(own: Table, tested: Path) -> None:
    """A split that was meant for another site never opens one's own."""
    with pytest.raises(ConfigError, match="give external"):
        EvaluateConfig.from_mapping(
            {"bundle": "b", "table": "t", "report": "r", "split": "test"}, "tests"
        )


def test_bundle_for_a_site_is_another_model(own: Table, tested: Path, site: Table) -> None:
    """
    Fitted on the site's validation films, without evidence, of the same lineage; then tested on
    the site's own test films, and it knows which table taught it.
    """
    given = RecalibrateConfig(
        bundle=tested / "first",
        table=site.path,
        output=tested / "fitted",
        trained_on=own.path,
        patients=False,
        calibration="isotonic",
    )

    found = recalibrate(given)

    before, after = Artifact.load(tested / "first"), Artifact.load(tested / "fitted")
    assert after.model_digest != before.model_digest
    assert after.manifest.name == before.manifest.name
    assert after.evidence is None
    assert after.manifest.files[artifact.GRAPH] == before.manifest.files[artifact.GRAPH]
    assert found["temperature"]["after"] == after.model.temperature != 1.5
    assert after.drift.films == len(site.rows("validation"))
    assert found["calibration"]["before"] == {"method": "temperature"}
    assert found["calibration"]["after"] == after.model.calibration.model_dump()
    judged = evaluate(asked(site, tested, "fitted", reason="recalibrated for this site"))
    evidence = Artifact.load(tested / "fitted").evidence
    assert evidence is not None
    assert evidence["calibration"]["method"] == "isotonic"
    assert "isotonic curve of" in (tested / "fitted.html").read_text()
    assert judged["films"] == len(site.rows("test"))
    with pytest.raises(DataError, match="was made from, not another site's"):
        evaluate(asked(own, tested, "fitted", external=True))


def test_bundle_is_never_replaced_by_its_own_fit(tested: Path, site: Table) -> None:
    """Its evidence would be gone."""
    with pytest.raises(DataError, match="is the bundle itself"):
        recalibrate(
            RecalibrateConfig(bundle=tested / "first", table=site.path, output=tested / "first")
        )
