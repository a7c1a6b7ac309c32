"""Preparation as a job runs it: gates on by default, figures for programs, the preview."""

from pathlib import Path
from typing import Any

import pytest

from lucency import images
from lucency.config.prepare import PrepareConfig
from lucency.errors import ConfigError, LeakFound
from lucency.pipeline.prepare import prepare


def config(output: Path, **more: Any) -> PrepareConfig:
    """Forty drawn patients."""
    dataset = {"name": "phantom", "patients": 40, "size": 64, "max_films": 1}
    raw = {"dataset": dataset, "output": output, "leaks": {"near": False}, **more}
    return PrepareConfig.from_mapping(raw, "here")


def test_gate_is_on_by_default() -> None:
    """Nobody has to ask for the search, near-duplicates included."""
    leaks = PrepareConfig.from_mapping({"dataset": "phantom", "output": "out"}, "here").leaks

    assert (leaks.gate, leaks.near, leaks.against) == (True, True, None)


def test_result_has_what_a_script_needs(tmp_path: Path) -> None:
    """Paths, both digests, counts, and the seconds of each stage."""
    result = prepare(config(tmp_path))

    assert Path(result["table"]).is_file()
    assert Path(result["report"]).is_file()
    assert result["films"] == 40
    assert len(result["digest"]) == len(result["splits_digest"]) == 64
    assert list(result["seconds"]) == ["check", "write", "look for leaks", "report"]
    assert not (tmp_path / "preview.png").exists()


def test_preview_shows_films_and_draws(tmp_path: Path) -> None:
    """Three films of each class, each beside seven draws of its own."""
    result = prepare(config(tmp_path, preview=True, preprocess={"size": 32}))

    sheet = images.decode(Path(result["preview"]).read_bytes())
    assert sheet.shape[:2] == (6 * (24 + 32 + 8), 8 * 36 - 4)
    first, second = sheet[24:56, :32], sheet[24:56, 36:68]
    assert first.std() > 10
    assert (first != second).any()


def test_films_of_another_table_are_refused(tmp_path: Path) -> None:
    """A table held against the very films it was made of is a leak."""
    table = prepare(config(tmp_path / "a"))["table"]

    with pytest.raises(LeakFound, match="40 by bytes"):
        prepare(config(tmp_path / "b", leaks={"near": False, "against": table, "patients": False}))


@pytest.mark.parametrize(
    ("section", "key"), [("checks", "invertd"), ("leaks", "nere"), ("splits", "fill")]
)
def test_misspelt_option_is_refused(tmp_path: Path, section: str, key: str) -> None:
    """A typo in any section is named with its path."""
    with pytest.raises(ConfigError, match=f"{section}.{key}"):
        config(tmp_path, **{section: {key: True}})
