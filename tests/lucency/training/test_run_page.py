"""The page of a run says where it stands and how it learned, and needs nothing else."""

import math
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from lucency import files
from lucency.config.train import Recipe
from lucency.training import run_page
from tests.conftest import SMALL

RECIPE = Recipe.from_mapping(
    {
        **SMALL,
        "phases": [
            {"epochs": 2, "learning_rate": 0.01, "train": "head"},
            {"epochs": 4, "learning_rate": 0.001, "train": 1},
        ],
        "rule": {"sensitivity_floor": 0.9, "specificity_floor": 0.7},
    },
    "tests",
).plain()
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def row(epoch: int, **changes: float) -> dict[str, float]:
    """An epoch of two classes; the third is the best one."""
    return {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "validation_loss": 1.1 / epoch,
        "score": 0.95 if epoch == 3 else 0.9 + epoch / 1000,
        "auroc": 0.9,
        "accuracy": 0.8,
        "sensitivity": 0.85,
        "specificity": 0.75,
        "sensitivity_at_specificity": 0.9,
        "learning_rate": 0.01 / epoch,
        "images_per_s": 1234.0,
        "wait_s": 10.0,
        "compute_s": 30.0,
        "measure_s": 5.0,
        "seconds": 60.0,
        "memory_mib": 2048.0,
        **changes,
    }


def rows(epochs: int) -> list[dict[str, float]]:
    """The first epochs of a run."""
    return [row(epoch) for epoch in range(1, epochs + 1)]


def page(epochs: int = 4, record: Any = None, failed: Any = None, **known: Any) -> str:
    """The page after some epochs."""
    return run_page.render("first-run", rows(epochs), RECIPE, record, failed, now=NOW, **known)


def test_running_page_says_how_far_and_loads_itself_again() -> None:
    """Epoch, planned epochs, time left from recent epochs, the time it was written."""
    text = page(4)

    assert "epoch 5 of 6, 2 min left at most" in text
    assert "as of 2026-01-02 03:04:05 UTC" in text
    assert '<meta http-equiv="refresh"' in text


def test_time_left_is_told_from_recent_epochs() -> None:
    """The first epoch, which fills caches, says nothing about those to come."""
    history = [row(1, seconds=3600.0), row(2, seconds=30.0)]

    text = run_page.render("first-run", history, RECIPE, None, None)

    assert "epoch 3 of 6, 2 min left at most" in text


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"record": {"epochs": 6}, "epochs": 6}, "6 epochs in 6 min"),
        ({"record": {"epochs": 4}}, "after 4 of 6 epochs in 4 min: 5 epochs without a better"),
        ({"record": {"stopped": {"epoch": 4, "reason": "a &lt; b"}}}, "epoch 4: a &amp;lt; b"),
        ({"stopped": {"epoch": 4, "reason": "under the floor"}}, "epoch 4: under the floor"),
        ({"failed": {"error": "the loss is nan"}}, "the loss is nan"),
    ],
    ids=["finished", "patience", "record says stopped", "stopped", "failed"],
)
def test_ended_page_says_how_and_rests(known: dict[str, Any], said: str) -> None:
    """Finished, out of patience, stopped by a search or failed: in words, and loaded once."""
    text = page(**known)

    assert said in text
    assert 'http-equiv="refresh"' not in text


def test_failure_names_step_and_films() -> None:
    """What went wrong where, escaped."""
    text = page(failed={"error": "<loss> nan", "epoch": 5, "step": 12, "films": ["a<b", "c"]})

    assert "&lt;loss&gt; nan" in text
    assert "epoch 5, step 12, films a&lt;b, c" in text
    assert "<loss>" not in text


def test_page_without_an_epoch_is_whole() -> None:
    """Before the first epoch ends there is a page, with the recipe and without curves."""
    text = page(0)

    assert "epoch 1 of 6" in text
    assert "No epoch is finished yet" in text
    assert "batch_size: 16" in text
    assert "<svg" not in text


def test_page_loads_nothing() -> None:
    """No script, no address, and a policy that would refuse them."""
    text = page(6, record={"epochs": 6})

    assert "default-src 'none'" in text
    assert not re.search(r"<script|<link|<img|(?:src|href)=|url\(", text)


def test_page_says_what_was_trained_on_what() -> None:
    """Network with parameters, classes, phases, both digests, what the record says, the recipe."""
    learned = {key: value for key, value in RECIPE.items() if key != "scaling"}
    record = {
        "parameters": 1234567,
        "classes": ["NORMAL", "PNEUMONIA"],
        "data_digest": "d" * 64,
        "epochs": 6,
        "environment": {"code": {"revision": "c0ffee"}},
    }

    text = page(6, record=record)

    for expected in (
        "small, width 8, blocks 2",
        "1,234,567 parameters",
        "NORMAL, PNEUMONIA",
        "epochs 3 to 6: trains the head and 1 block",
        files.digest(learned),
        "d" * 64,
        "revision: c0ffee",
        "batch_size: 16",
    ):
        assert expected in text


def test_facts_are_shown_before_there_is_a_record() -> None:
    """What is known from the start is on the first page."""
    text = page(1, known={"parameters": 7_000, "data_digest": "e" * 64})

    assert "7,000 parameters" in text
    assert "e" * 64 in text


def test_best_epoch_is_marked() -> None:
    """In the head, in the table and in every figure."""
    text = page(4)

    assert "0.9500" in text
    assert text.count("best: epoch 3") == text.count("<svg")
    (best,) = re.findall(r"<tr class=best>.*?</tr>", text, re.DOTALL)
    assert '<td class="number">3</td>' in best


def test_floors_and_phases_are_drawn() -> None:
    """The sensitivity floor by the score, the specificity floor by specificity, the phases."""
    text = page(4)

    assert text.count(">floor 0.9<") == 1
    assert text.count(">floor 0.7<") == 1
    assert text.count(">phase 2: the head and 1 block<") == text.count("<svg")
    assert "sensitivity at specificity 0.7" in text


def test_time_is_split() -> None:
    """Waiting, computing and measuring of each epoch, and the share of waiting in the head."""
    text = page(4)

    assert "25 %" in text
    for name in ("compute", "wait for films", "measure"):
        assert f"{name}, epoch 4: " in text


def test_many_classes_have_their_own_figures() -> None:
    """Without a positive class the score is accuracy, and there is no floor of specificity."""
    history = [
        {
            key: value
            for key, value in row(epoch, mean_sensitivity=0.7).items()
            if key not in ("sensitivity", "specificity", "sensitivity_at_specificity")
        }
        for epoch in (1, 2)
    ]

    text = run_page.render("first-run", history, RECIPE, None, None)

    assert "Best accuracy" in text
    assert "Mean sensitivity" in text
    assert "floor 0" not in text


def test_old_rows_and_undefined_figures_are_no_obstacle() -> None:
    """Rows without the split of time, with an AUROC that is not a number."""
    history = [
        {
            key: value
            for key, value in row(epoch, auroc=math.nan).items()
            if not key.endswith("_s") or key == "images_per_s"
        }
        for epoch in (1, 2)
    ]

    text = run_page.render("first-run", history, RECIPE, None, None)

    assert "all together, epoch 2: 60" in text
    assert not re.search(r"\bnan\b", text)


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.4, "7 s"), (59.6, "1 min"), (720, "12 min"), (11_100, "3 h 05 min")]
)
def test_durations_are_for_people(seconds: float, said: str) -> None:
    """Seconds, minutes, or hours and minutes."""
    assert run_page.duration(seconds) == said
