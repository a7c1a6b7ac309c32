"""Re-evaluation of a simulated service: its true sensitivity comes back, over time and by group."""

import json
from pathlib import Path

import pytest

from lucency.config.reevaluate import ReevaluateConfig
from lucency.errors import DataError, LedgerError
from lucency.pipeline.reevaluate import RECORD, reevaluate

from .month import SECRET, Month


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCENCY_LOG_KEY", SECRET)


@pytest.fixture
def month(tmp_path: Path) -> Month:
    """Two weeks of a good model, then two of one that misses a third."""
    month = Month(tmp_path / "logs")
    for _ in range(14):
        month.day(100, sensitivity=0.97)
    for _ in range(14):
        month.day(100, sensitivity=0.67, version="v2")
    return month


def config(folder: Path, **changes: object) -> ReevaluateConfig:
    """Of the logs in a folder."""
    told = {"logs": str(folder / "logs"), "output": str(folder / "out"), **changes}
    return ReevaluateConfig.from_mapping(told, "test")


def test_month_is_judged(tmp_path: Path, month: Month) -> None:
    """By version and week what was drawn comes back, though negatives are labelled less often."""
    result = reevaluate(config(tmp_path), month.at)

    record = json.loads((tmp_path / "out" / RECORD).read_text())
    first, second = record["versions"]
    assert (first["name"], first["verdict"]) == ("v1", "holds")
    assert (second["name"], second["verdict"]) == ("v2", "below floor")
    assert first["sensitivity"]["value"] == pytest.approx(0.97, abs=0.02)
    assert second["sensitivity"]["value"] == pytest.approx(0.67, abs=0.06)
    assert record["overall"]["weighted"]
    assert [week["name"] for week in record["weeks"]] == [
        *("2026-03-02", "2026-03-09", "2026-03-16", "2026-03-23")
    ]
    assert [site["name"] for site in record["sites"]] == ["ward 0", "ward 1"]
    assert (result["films"], result["by"]) == (2800, "patient")
    assert sum(day["labelled"] for day in record["arrived"].values()) == result["labelled"]


def test_page_says_how_it_was_counted(tmp_path: Path, month: Month) -> None:
    """The bias, the bounds and the floor stand beside the curve; nothing is loaded."""
    reevaluate(config(tmp_path), month.at)

    page = (tmp_path / "out" / "reevaluation.html").read_text()
    assert "Begg and Greenes, 1983" in page
    assert "Intervals count patients" in page
    assert page.count("<svg") == 1
    assert "every line is what was written" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_metrics_are_of_prometheus(tmp_path: Path, month: Month) -> None:
    """The scraper's own parser reads them."""
    parser = pytest.importorskip("prometheus_client.parser")
    target = tmp_path / "metrics" / "lucency.prom"

    reevaluate(config(tmp_path, metrics=str(target)), month.at)

    samples = [
        sample
        for family in parser.text_string_to_metric_families(target.read_text())
        for sample in family.samples
    ]
    verdicts = {
        sample.labels["model_version"]: sample.labels["verdict"]
        for sample in samples
        if sample.name == "lucency_late_verdict" and sample.value == 1
    }
    assert (verdicts["v1"], verdicts["v2"]) == ("holds", "below floor")


def test_tampered_logs_are_refused(tmp_path: Path, month: Month) -> None:
    """Figures must not rest on lines that somebody changed, unless he who asks says so."""
    path = sorted((tmp_path / "logs" / "labels").glob("*/*.jsonl"))[0]
    path.write_bytes(path.read_bytes().replace(b'"PNEUMONIA"', b'"NORMAL"', 1))

    with pytest.raises(LedgerError, match=r"labels has 1 problem.*line \d+: edited"):
        reevaluate(config(tmp_path), month.at)
    assert reevaluate(config(tmp_path, verify=False), month.at)["films"] == 2800


def test_folder_without_logs_is_told(tmp_path: Path) -> None:
    """A wrong path is no empty service."""
    with pytest.raises(DataError, match=r"give the service's logs\.folder"):
        reevaluate(config(tmp_path))


def test_service_without_labels_is_too_few(tmp_path: Path) -> None:
    """It is a verdict with a number, not an error."""
    month = Month(tmp_path / "logs")
    month.day(50, sensitivity=1.0)

    result = reevaluate(config(tmp_path), month.at)

    assert (result["verdict"], result["more_positives_needed"]) == ("too few labels", 35)
