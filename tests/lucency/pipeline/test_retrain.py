"""The trigger: reasons, guard, approval, one submission; a simulated month of it."""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lucency.config.reevaluate import ReevaluateConfig
from lucency.config.retrain import RetrainConfig
from lucency.errors import ClusterError, ConfigError, DataError
from lucency.ledger import Ledger
from lucency.pipeline import retrain_submission
from lucency.pipeline.reevaluate import RECORD, reevaluate
from lucency.pipeline.retrain import retrain
from tests.conftest import ROOT
from tests.processes import free_port

from .month import SECRET, Month

APPROVE = {"approve": {"by": "Dr Who", "reason": "the drop is real"}}


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCENCY_LOG_KEY", SECRET)


class Watch:
    """Every night: re-evaluate, then ask the trigger."""

    def __init__(self, folder: Path, month: Month, **guard: Any) -> None:
        self.folder = folder
        self.month = month
        self.commands: list[list[str]] = []
        self.guard = {"new_labels": 200, "new_positives": 60, "cool_down_days": 10, **guard}

    def night(self, **changes: Any) -> str:
        """What came of it."""
        told = {"logs": self.folder / "logs", "output": self.folder / "out", "days": 7}
        reevaluate(ReevaluateConfig.from_mapping(told, "test"), self.month.at)
        return self.ask(**changes)

    def ask(self, **changes: Any) -> str:
        """The trigger alone."""
        config = {
            "reevaluation": self.folder / "out" / RECORD,
            "guard": self.guard,
            "submission": {
                "config": ROOT / "configs" / "pipeline" / "phantom.yaml",
                "folder": self.folder / "retrained",
            },
            "ledger": self.folder / "ledger.jsonl",
            **changes,
        }
        found = retrain(
            RetrainConfig.from_mapping(config, "test"), self.month.at, submit=self._submit
        )
        return str(found["outcome"])

    def steps(self) -> list[str]:
        """What the ledger tells."""
        return [entry["step"] for entry in Ledger(self.folder / "ledger.jsonl").entries()]

    def _submit(self, command: Sequence[str], name: str) -> dict[str, Any]:
        self.commands.append(list(command))
        return {"exit_status": 0}


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """Ten days of a model that misses three in ten, re-evaluated."""
    folder = tmp_path_factory.mktemp("fallen")
    month = Month(folder / "logs")
    for _ in range(10):
        month.day(80, sensitivity=0.7)
    told = {"logs": folder / "logs", "output": folder / "out", "days": 7}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUCENCY_LOG_KEY", SECRET)
        reevaluate(ReevaluateConfig.from_mapping(told, "test"), month.at)
    return month


@pytest.fixture
def bad(tmp_path: Path, fallen: Month) -> Iterator[Watch]:
    """The trigger of that service, which was never asked before."""
    shutil.copytree(fallen.folder.parent / "out", tmp_path / "out")
    at = fallen.at
    yield Watch(tmp_path, fallen)
    fallen.at = at


def test_month_trains_anew_once_a_cool_down(tmp_path: Path) -> None:
    """
    Looked at every third night. A good fortnight asks for nothing; then a drop is noticed within
    days of its first labels and goes on: trained anew twice, ten days or more apart.
    """
    month = Month(tmp_path / "logs")
    watch = Watch(tmp_path, month, approval=False)
    nights = []
    for number in range(33):
        month.day(80, sensitivity=0.985 if number < 14 else 0.7)
        nights.append(watch.night() if number % 3 == 2 else "asleep")

    submitted = [number for number, outcome in enumerate(nights) if outcome == "submitted"]
    assert len(submitted) == 2
    assert 17 <= submitted[0] <= 21
    assert submitted[1] - submitted[0] >= 10
    assert "held back" in nights[submitted[0] + 1 : submitted[1]]
    assert watch.steps() == ["submitted", "started"] * 2
    works = [word for command in watch.commands for word in command if word.startswith("work=")]
    assert len(set(works)) == 2


def test_person_is_asked_and_says_yes(bad: Watch) -> None:
    """Asked once, however often it is looked at; submitted once, after the yes."""
    assert [bad.ask() for _ in range(2)] == ["waits for approval"] * 2
    assert bad.commands == []

    assert bad.ask(**APPROVE) == "submitted"

    assert bad.steps() == ["requested", "answered", "submitted", "started"]
    entries = Ledger(bad.folder / "ledger.jsonl").entries()
    assert (entries[1]["by"], entries[1]["reason"]) == ("Dr Who", "the drop is real")
    assert bad.ask() == "held back"


def test_person_says_no(bad: Watch) -> None:
    """Nothing is submitted, and nobody is asked again before the answer is old."""
    bad.ask()

    assert bad.ask(approve={**APPROVE["approve"], "granted": False}) == "denied"
    assert bad.ask() == "denied"
    bad.month.at += timedelta(days=15)
    assert bad.ask(drift=str(_alarm(bad.folder))) == "waits for approval"
    assert bad.commands == []


def test_approval_without_a_request_is_refused(bad: Watch) -> None:
    """A yes in advance is none."""
    with pytest.raises(ConfigError, match="approve answers no request"):
        bad.ask(**APPROVE)


def test_old_request_is_no_licence(bad: Watch) -> None:
    """A yes must be given while the question is fresh."""
    bad.ask()
    bad.month.at += timedelta(days=15)

    with pytest.raises(ConfigError, match="approve answers no request"):
        bad.ask(**APPROVE)


def test_too_few_labels_hold_it_back(bad: Watch) -> None:
    """A reason alone is not enough to learn from."""
    bad.guard = {"new_labels": 5000, "new_positives": 60, "approval": False}

    assert bad.ask() == "held back"
    assert bad.steps() == []


def test_old_figures_are_no_reason(bad: Watch) -> None:
    """A re-evaluation that has stopped running must not start anything."""
    bad.ask()
    bad.month.at += timedelta(days=8)

    assert bad.ask(guard={"approval": False}) == "nothing to do"


def _alarm(folder: Path) -> Path:
    path = folder / "drift"
    path.write_text("embeddings of site b\n")
    return path


def test_drift_alarm_is_a_reason(tmp_path: Path) -> None:
    """Also of a model whose sensitivity holds."""
    month = Month(tmp_path / "logs")
    for _ in range(10):
        month.day(80, sensitivity=0.995)
    watch = Watch(tmp_path, month, approval=False)

    assert watch.night() == "nothing to do"
    assert watch.night(drift=str(_alarm(tmp_path))) == "submitted"


def test_call_that_died_is_not_repeated(bad: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The submission is recorded before it is made: a second one needs a cool-down."""
    bad.guard["approval"] = False

    def dies(command: Sequence[str], name: str) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(bad, "_submit", dies)
    with pytest.raises(KeyboardInterrupt):
        bad.ask()

    assert bad.ask() == "held back"
    assert bad.steps() == ["submitted"]


def test_wrong_pipeline_is_told_before_anything_is_recorded(bad: Watch) -> None:
    """A slip in its configuration must not cost a cool-down."""
    bad.guard["approval"] = False
    wrong = {
        "config": ROOT / "configs" / "pipeline" / "phantom.yaml",
        "folder": bad.folder / "retrained",
        "overrides": ["recipe.batch=3"],
    }

    with pytest.raises(ConfigError, match="unknown key"):
        bad.ask(submission=wrong)
    assert bad.steps() == []


def _asked_of(bad: Watch, address: str, **changes: Any) -> dict[str, Any]:
    bad.guard["approval"] = False
    given = {
        "config": ROOT / "configs" / "pipeline" / "phantom.yaml",
        "overrides": [f"store={bad.folder}/store"],
        "folder": bad.folder / "retrained",
        "address": address,
        "runtime_env": ROOT / "jobs" / "runtime_env.yaml",
        **changes,
    }
    return {"submission": given}


def test_cluster_that_is_not_there_costs_no_cool_down(bad: Watch) -> None:
    """It is asked before anything is recorded, so the next night may try again."""
    asked = _asked_of(bad, f"http://127.0.0.1:{free_port()}")
    bad._submit = None  # type: ignore[method-assign,assignment]

    with pytest.raises(ClusterError, match="nothing was submitted"):
        bad.ask(**asked)
    assert bad.steps() == []


def test_submission_that_was_refused_costs_no_cool_down(
    bad: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that the cluster did not take is on record, and is no training."""

    def full(command: Sequence[str], name: str) -> dict[str, Any]:
        raise retrain_submission.NotTaken("no agent")

    bad.ask()
    with monkeypatch.context() as patch:
        patch.setattr(bad, "_submit", full)
        with pytest.raises(ClusterError, match="no agent"):
            bad.ask(**APPROVE)
    bad.month.at += timedelta(days=1)

    assert bad.ask() == "submitted", "the yes is good for the next try"
    assert bad.steps() == ["requested", "answered", "submitted", "refused", "submitted", "started"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"folder": "work/retrained"}, "folder 'work"), ({"overrides": []}, "store 'work")],
)
def test_what_a_cluster_would_throw_away_is_told(
    bad: Watch, changes: dict[str, Any], said: str
) -> None:
    """Relative paths would lie in the cluster's copy of the checkout, which goes with the job."""
    with pytest.raises(ConfigError, match=f"{said}.*is relative"):
        bad.ask(**_asked_of(bad, "http://127.0.0.1:8265", **changes))
    assert bad.steps() == []


def test_figures_are_needed(tmp_path: Path) -> None:
    """Without a re-evaluation there is nothing to decide on."""
    with pytest.raises(DataError, match=r"jobs/reevaluate\.py"):
        Watch(tmp_path, Month(tmp_path / "logs")).ask()


@pytest.mark.parametrize("text", ["# Notes", "[]", '{"at": "2026-03-02"}'])
def test_other_file_is_no_record(bad: Watch, text: str) -> None:
    """What the re-evaluation did not write is told as such."""
    (bad.folder / "out" / RECORD).write_text(text)

    with pytest.raises(DataError, match="no record of a re-evaluation"):
        bad.ask()


def test_job_here_runs_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit status and its last line are what is recorded."""
    monkeypatch.chdir(ROOT)

    found = retrain_submission.here(
        ["-c", "print('x'); print('{\"ok\": true}'); exit(3)"], "retrain-1"
    )

    assert found == {"exit_status": 3, "result": {"ok": True}}
    assert json.dumps(found)
