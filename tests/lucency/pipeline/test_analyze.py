"""From a configuration to a report: numbers, pictures, what-if, chains, and clear refusals."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lucency import images
from lucency.config.analyze import AnalyzeConfig
from lucency.errors import LucencyError
from lucency.pipeline.analyze import analyze

SMALL = {"name": "small", "width": 4, "blocks": 2}


def config(output: Path, **values: Any) -> AnalyzeConfig:
    """A small network unless something else is given."""
    subject = {} if {"model", "run", "chain"} & set(values) else {"model": SMALL}
    return AnalyzeConfig.from_mapping({"output": str(output), **subject, **values}, "test")


def test_result_has_what_a_program_needs(tmp_path: Path) -> None:
    """Sums, field and layers are in the answer and in the file beside the report."""
    result = analyze(config(tmp_path, pictures=False, size=32))

    assert result["parameters"] == sum(layer["parameters"] for layer in result["layers"])
    assert result["multiply_adds"] == sum(layer["multiply_adds"] for layer in result["layers"])
    # 3x3 at jumps 1, 2, 2 and 4, with strides 2, 1, 2, 1.
    assert result["receptive_field"] == 1 + 2 * (1 + 2 + 2 + 4)
    assert Path(result["report"]).read_text().startswith("<!doctype html>")
    stored = json.loads((tmp_path / "anatomy.json").read_text())
    assert stored["layers"] == result["layers"]


def test_pictures_lie_beside_the_report_and_in_it(tmp_path: Path) -> None:
    """Three PNG files can be opened; the page has the same three inside and loads none."""
    result = analyze(config(tmp_path, size=64))

    found = sorted(path.name for path in tmp_path.glob("*.png"))
    assert found == ["feature_maps.png", "filters.png", "receptive_fields.png"]
    assert all(images.decode((tmp_path / name).read_bytes()).std() > 10 for name in found)
    page = Path(result["report"]).read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "as initialised, not trained" in page


def test_film_decides_the_maps(tmp_path: Path, film: bytes) -> None:
    """The feature maps are those of the film that was given."""
    (tmp_path / "film.jpeg").write_bytes(film)

    analyze(config(tmp_path / "drawn", size=64))
    analyze(config(tmp_path / "given", size=64, film=str(tmp_path / "film.jpeg")))

    drawn, given = (tmp_path / name / "feature_maps.png" for name in ("drawn", "given"))
    assert drawn.read_bytes() != given.read_bytes()
    assert "Film film.jpeg" in (tmp_path / "given" / "report.html").read_text()


def test_change_is_shown_side_by_side(tmp_path: Path) -> None:
    """A wider kernel adds parameters; the page has the network before and after."""
    change = {"features.0": {"kernel_size": 5, "padding": 2}}

    result = analyze(config(tmp_path, change=change, pictures=False, size=32))

    before, after = result["change"]["before"], result["change"]["after"]
    assert after["parameters"] - before["parameters"] == 4 * (25 - 9)
    assert before["parameters"] == result["parameters"]
    assert "Before and after" in Path(result["report"]).read_text()


def test_chain_needs_no_network(tmp_path: Path) -> None:
    """Convolutions and pools alone are calculated, for the size and channels asked for."""
    chain = [{"kernel_size": 3, "channels": 8}, {"kind": "pool", "kernel_size": 2}]

    result = analyze(config(tmp_path, chain=chain, size=28, color="RGB"))

    assert [row["output"] for row in result["chain"]] == [26, 13]
    assert result["chain"][0]["parameters"] == 8 * (27 + 1)
    assert "layers" not in result


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "smal"}, "did you mean|expected one of"),
        ({"change": {"features.99": {"stride": 2}}}, r"'features\.99' does not exist.*features\.9"),
        ({"change": {"features.0": {"strid": 2}}}, "strid"),
        ({"film": "nowhere.png"}, r"film 'nowhere\.png' does not exist"),
        ({"model": SMALL, "run": "x"}, "not both"),
        ({"chain": [], "model": None}, "give a model, a run or a chain"),
        ({"model": {"name": "backbone", "torchvision": "vgg16"}, "size": 16}, "16"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    """Wrong names, sizes and files say what was found and what to do, and write nothing."""
    with pytest.raises(LucencyError, match=message) as caught:
        analyze(config(tmp_path / "out", **{"size": 64, **values}))

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_threads_are_as_before(tmp_path: Path) -> None:
    """One thread is enough for one film; who called gets theirs back, after a refusal too."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        analyze(config(tmp_path, pictures=False, size=32))
        with pytest.raises(LucencyError):
            analyze(config(tmp_path, size=64, film="nowhere.png"))
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)

    assert after == 3
