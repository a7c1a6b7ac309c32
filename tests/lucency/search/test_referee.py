"""The judge of a search: what it remembers, and that Ray may kill it."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from lucency.config.stopping import Stopping
from lucency.errors import ConfigError, DataError
from lucency.evaluation.rule import ClinicalRule
from lucency.search import referee
from lucency.search.referee import Referee
from lucency.search.rule import Terms
from lucency.training.referee import NAMESPACE

TERMS = Terms(Stopping(), ClinicalRule(sensitivity_floor=0.8, specificity_floor=0.9), epochs=6)
LABELS_N = np.repeat([1, 0], [40, 14])
PATIENTS_N = np.arange(54)


def logits(apart: float, seed: int = 0) -> np.ndarray:
    """Predictions of a network that tells the classes so far apart."""
    noise_n = np.random.default_rng(seed).normal(size=54)
    return (noise_n + apart * LABELS_N)[:, None].astype(np.float32)


def play(judge: Referee) -> None:
    """Two trials of three epochs: one that learns and one that does not."""
    for epoch in (1, 2, 3):
        judge.judge("good", epoch, LABELS_N, logits(3 + epoch / 10), PATIENTS_N)
        judge.judge("bad", epoch, LABELS_N, logits(0), PATIENTS_N)


def test_answers_are_plain_and_say_why(tmp_path: Path) -> None:
    """What the loop broadcasts and writes down needs no class of this layer."""
    judge = Referee(TERMS, tmp_path / "referee.jsonl")

    judge.judge("bad", 1, LABELS_N, logits(0), PATIENTS_N)
    answer = judge.judge("bad", 2, LABELS_N, logits(0), PATIENTS_N)

    assert type(answer) is dict
    assert answer["stop"] is True
    assert "under the floor 0.8" in answer["reason"]


def test_the_same_epoch_gets_the_same_answer(tmp_path: Path) -> None:
    """A trial that starts again replays epochs, perhaps with other logits: nothing changes."""
    judge = Referee(TERMS, tmp_path / "referee.jsonl")
    play(judge)
    before, size = judge.verdicts(), (tmp_path / "referee.jsonl").stat().st_size

    again = judge.judge("bad", 2, LABELS_N, logits(9), PATIENTS_N)

    assert again == {"stop": True, "reason": before[3]["reason"]}
    assert judge.verdicts() == before
    assert (tmp_path / "referee.jsonl").stat().st_size == size


def test_closed_judge_stops_what_the_rule_lets_go_on(tmp_path: Path) -> None:
    """Before it is closed the rule alone decides; after that everything stops, and says why."""
    judge = Referee(TERMS, tmp_path / "referee.jsonl")
    before = judge.judge("good", 1, LABELS_N, logits(3), PATIENTS_N)

    judge.close("the search's 5 minutes are over")
    after = judge.judge("good", 2, LABELS_N, logits(3), PATIENTS_N)

    assert before["stop"] is False
    assert after == {"stop": True, "reason": "the search's 5 minutes are over"}


def test_verdicts_come_in_order_with_figures(tmp_path: Path) -> None:
    """Plain values, one row a decision, in order of arrival."""
    judge = Referee(TERMS, tmp_path / "referee.jsonl")
    play(judge)

    rows = judge.verdicts()

    assert [(row["run"], row["epoch"]) for row in rows[:3]] == [
        ("good", 1),
        ("bad", 1),
        ("good", 2),
    ]
    assert rows[2]["lower"] < rows[2]["value"] <= rows[2]["upper"]
    assert {row["patients"] for row in rows} == {40}
    assert rows[3]["action"] == "stop"
    assert (judge.stopped_at("bad"), judge.stopped_at("good")) == (2, None)
    assert rows[2]["standing"] > rows[3]["standing"]


def test_a_new_judge_knows_what_the_old_one_knew(tmp_path: Path) -> None:
    """The same verdicts from the file, and the same next decision, to the last digit."""
    path, twin = tmp_path / "referee.jsonl", tmp_path / "twin.jsonl"
    first = Referee(TERMS, path)
    play(first)
    twin.write_bytes(path.read_bytes())

    second = Referee(TERMS, twin)

    assert second.verdicts() == first.verdicts()
    given = ("third", 2, LABELS_N, logits(2.4, 5), PATIENTS_N)
    assert second.judge(*given) == first.judge(*given)
    assert path.read_bytes() == twin.read_bytes()


@pytest.mark.parametrize("torn", [1, 40, 1000])
def test_a_torn_last_line_is_as_if_never_written(tmp_path: Path, torn: int) -> None:
    """Killed while writing: the line is cut off, the epoch is judged anew, the file is whole."""
    path = tmp_path / "referee.jsonl"
    play(Referee(TERMS, path))
    whole = path.read_bytes()
    path.write_bytes(whole[:-torn])

    judge = Referee(TERMS, path)
    known = len(judge.verdicts())
    judge.judge("bad", 3, LABELS_N, logits(0), PATIENTS_N)

    assert known == 5
    assert path.read_bytes() == whole


def test_a_file_torn_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    """Nothing was judged yet."""
    path = tmp_path / "referee.jsonl"
    path.write_text('{"terms": {"epo')

    assert Referee(TERMS, path).verdicts() == []
    assert Referee(TERMS, path).verdicts() == []


def test_other_terms_are_refused(tmp_path: Path) -> None:
    """Decisions under two rules would not be comparable."""
    path = tmp_path / "referee.jsonl"
    Referee(TERMS, path)

    with pytest.raises(ConfigError, match="was begun under the terms"):
        Referee(Terms(Stopping(eta=4.0), TERMS.clinical, 6), path)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    """A whole line that is none of ours is no torn one: somebody must look."""
    path = tmp_path / "referee.jsonl"
    play(Referee(TERMS, path))
    with path.open("a") as stream:
        stream.write('{"run": 3}\n')

    with pytest.raises(ConfigError, match="no record of a search's decisions"):
        Referee(TERMS, path)


def test_other_films_are_refused(tmp_path: Path) -> None:
    """Trials are compared patient by patient; the same films in another order are the same."""
    judge = Referee(TERMS, tmp_path / "referee.jsonl")
    judge.judge("a", 1, LABELS_N, logits(2), PATIENTS_N)

    judge.judge("b", 1, LABELS_N[::-1], logits(2)[::-1], PATIENTS_N[::-1])
    with pytest.raises(DataError, match="films of other patients"):
        judge.judge("c", 1, LABELS_N, logits(2), PATIENTS_N + 1)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_a_killed_actor_comes_back_with_its_memory(tmp_path: Path) -> None:
    """Found by its name from anywhere; after SIGKILL it answers as before, and takes no CPU."""
    path = tmp_path / "referee.jsonl"
    judge: Any = referee.start("search-a", TERMS, path)
    given = ("bad", 2, LABELS_N, logits(0), PATIENTS_N)
    before = ray.get(judge.judge.remote(*given))
    assert ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"]
    process = ray.get(judge.__ray_call__.remote(lambda _: os.getpid()))

    os.kill(process, signal.SIGKILL)
    found = ray.get_actor("search-a", namespace=NAMESPACE)

    assert ray.get(found.judge.remote(*given), timeout=60) == before
    assert len(ray.get(referee.start("search-a", TERMS, path).verdicts.remote())) == 1
    ray.kill(judge)
