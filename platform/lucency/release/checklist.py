"""
The release checklist: each item looks at the thing itself, never at a box that somebody ticked.

An item gives what it found, or raises ``Missing`` with what is not there and what to do. All items
are asked, so a person sees at once all that is left to do.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lucency import files, progress
from lucency.bundle import artifact
from lucency.bundle.artifact import Artifact
from lucency.bundle.predictor import Predictor
from lucency.datasets.table import Table
from lucency.errors import LucencyError
from lucency.evaluation import openings
from lucency.evaluation.drop import MostDrop
from lucency.evaluation.rule import ClinicalRule
from lucency.ledger import Ledger
from lucency.release import documents, tested, worktree
from lucency.release.worktree import Worktree
from lucency.store import gate
from lucency.store.store import CHAMPION, PREVIOUS, Store
from lucency.training import record
from lucency.training.trainer import RECIPE, Run

_SHOWN = 3


class Missing(LucencyError):
    """An item of the checklist is not met."""


@dataclass(frozen=True)
class Release:
    """
    All that a release is judged on.

    Attributes:
        table: That of the bundle's test films; its openings are recorded beside it.
        trained_on: Digest of the table whose films taught the network.
        root: The source tree: lock, documents, tests.
        output: Where the pack goes; one of an earlier build may lie in the source tree.
        junit: A report of the tests made elsewhere; None: they are run now.
    """

    bundle: Artifact
    store: Store
    run: Run
    table: Table
    trained_on: str
    root: Path
    output: Path
    rule: ClinicalRule
    most_drop: MostDrop
    tests: tuple[Path, ...]
    run_tests: bool
    junit: Path | None

    @property
    def environment(self) -> dict[str, Any]:
        """What the run wrote down of where it ran; empty for one that was cut off before."""
        found: dict[str, Any] = self.run.record.get("environment") or {}
        return found


@dataclass(frozen=True)
class Finding:
    """What one item came to, in a sentence."""

    item: str
    met: bool
    said: str


def check(release: Release) -> list[Finding]:
    """Ask every item, in the order of a model's life."""
    return [ask(name, partial(item, release)) for name, item in ITEMS.items()]


def missing(findings: Iterable[Finding]) -> list[str]:
    """The items that are not met, each with why."""
    return [f"{finding.item}: {finding.said}" for finding in findings if not finding.met]


def ask(name: str, item: Callable[[], str]) -> Finding:
    """
    Ask one item, and tell people of it as it goes: one may run tests for minutes.

    What the system refuses, a file that is gone or not to be read, is that item's answer too.
    """
    progress.say(f"==> {name}")
    began = time.monotonic()
    try:
        finding = Finding(name, True, item())
    except (LucencyError, OSError) as cause:
        finding = Finding(name, False, str(cause))
    outcome = "met" if finding.met else "MISSING"
    took = time.monotonic() - began
    progress.say(f"    {outcome:8}{name}: {finding.said} ({took:.1f} s)")
    return finding


def _code(release: Release) -> str:
    code = release.environment.get("code")
    if not code:
        raise Missing(
            "the run does not say which revision trained it; train from a git work tree or give "
            "the run that did"
        )
    if code["dirty"]:
        raise Missing(
            f"revision {code['revision'][:12]!r} was changed when it trained, so nobody can come "
            "to the same code again: commit, and train again"
        )
    return f"revision {code['revision'][:12]}, nothing changed"


def _lock(release: Release) -> str:
    then, here = release.environment.get("lock_digest"), record.lock_digest([release.root])
    if then is None or then != here:
        raise Missing(
            f"the run was trained under lock {_short(then)}, {str(release.root)!r} has "
            f"{_short(here)}: release from the revision that trained it"
        )
    return f"lock {_short(here)}, here as there"


def _recipe(release: Release) -> str:
    bundle, run = release.bundle, release.run
    inside, outside = _as_written(bundle.path / artifact.CONFIG), _as_written(run.folder / RECIPE)
    learned = {key: value for key, value in inside.items() if key != "scaling"}
    facts = {
        "run": (bundle.manifest.run, run.record["run"]),
        "recipe": (bundle.manifest.config_digest, files.digest(outside)),
        "recipe file in the bundle": (bundle.manifest.config_digest, files.digest(inside)),
        "recipe on record": (files.digest(learned), release.environment.get("recipe_digest")),
        "data": (release.trained_on, run.record["data_digest"]),
    }
    _alike(facts, "the bundle is not of this run: give the one that it was exported from")
    return (
        f"run {bundle.manifest.run}, recipe {bundle.manifest.config_digest[:12]}, "
        f"data {release.trained_on[:12]}"
    )


def _seed(release: Release) -> str:
    seed = _as_written(release.bundle.path / artifact.CONFIG).get("seed")
    if seed is None:
        raise Missing("the recipe in the bundle has no seed: export the run again")
    facts = {"seed": (seed, release.environment.get("seed"))}
    _alike(facts, "the run's record lacks the seed or has another: train again")
    return f"seed {seed}, in recipe and record"


def _evidence(release: Release) -> str:
    bundle, evidence = release.bundle, release.bundle.evidence
    if evidence is None:
        raise Missing("there is none: run python jobs/evaluate.py configs/evaluate/default.yaml")
    facts = {
        "model": (bundle.model_digest, evidence["model"]["digest"]),
        "data": (bundle.manifest.data_digest, evidence["data"]["digest"]),
        "table": (bundle.manifest.data_digest, release.table.digest),
    }
    _alike(facts, "the evidence is of something else: evaluate the bundle again on its own table")
    if evidence["data"]["drawn"]:
        return f"of this model, on {evidence['films']} DRAWN films: no clinical meaning"
    return f"of this model, on {evidence['films']} films of {evidence['patients']} patients"


def _test_split(release: Release) -> str:
    """Opened once, or with a reason each time that it was opened for another model."""
    evidence = release.bundle.evidence
    path = release.table.path.parent / openings.FILE
    entries = [
        entry
        for entry in Ledger(path).entries()
        if (entry["lineage"], entry["data"]) == (release.bundle.manifest.name, release.table.digest)
    ]
    if not any(entry["model"] == release.bundle.model_digest for entry in entries):
        raise Missing(f"{str(path)!r} has no opening for this model: its test figures are unlocked")
    lost = [entry for entry in (evidence or {}).get("openings", []) if entry not in entries]
    if lost:
        raise Missing(
            f"{str(path)!r} lacks the opening of {lost[0]['at']} that the evidence tells of: lines "
            "were cut off; restore it from a copy"
        )
    first: dict[str, dict[str, Any]] = {}
    for entry in entries:
        first.setdefault(entry["model"], entry)
    silent = [entry for entry in list(first.values())[1:] if not entry["reason"]]
    if silent:
        raise Missing(f"it was opened for another model on {silent[0]['at']} without a reason")
    reasons = sorted({entry["reason"] for entry in list(first.values())[1:]})
    models = f"opened for {len(first)} model(s)"
    return f"{models}, with the reasons {reasons}" if reasons else f"{models}; the record is whole"


def _gate(release: Release) -> str:
    return "; ".join(gate.check(release.bundle, release.rule, release.most_drop))


def _promoted(release: Release) -> str:
    version = release.bundle.version
    lines = [line for line in release.store.history() if line["aliases"].get(CHAMPION) == version]
    if not lines:
        raise Missing(
            f"the store's history does not know version {version!r} as champion: run "
            "python jobs/promote.py configs/promote/default.yaml"
        )
    return f"version {version}, champion since {lines[0]['at']}"


def _rollback(release: Release) -> str:
    aliases = release.store.aliases()
    if aliases.get(CHAMPION) != release.bundle.version:
        raise Missing(
            f"the champion is {aliases.get(CHAMPION)!r}, not this version "
            f"{release.bundle.version!r}: what a step back would lead to is not its way back"
        )
    if PREVIOUS not in aliases:
        champions = {line["aliases"].get(CHAMPION) for line in release.store.history()}
        if len(champions) > 1:
            raise Missing("there were other versions, and none is kept as the previous one")
        return "this is the first version: there is none to go back to, stopping is the way back"
    before = Predictor(release.store.path(PREVIOUS)).artifact
    return f"version {before.version} is kept and answers here"


def _golden(release: Release) -> str:
    if not release.bundle.golden:
        raise Missing("the bundle has none; export the run again")
    Predictor(release.bundle.path)  # refuses to start where one of them is answered otherwise
    return f"{len(release.bundle.golden)} films get the promised logits here"


def _tests(release: Release) -> str:
    absent = [str(test) for test in release.tests if not (release.root / test).is_file()]
    if absent:
        raise Missing(f"{absent} are not there")
    revision = _as_trained(release)
    if release.run_tests:
        report, since, source = tested.run(release.root, release.tests), None, ""
        _as_trained(release)  # an edit made meanwhile was tested in part
    elif release.junit is not None and release.junit.is_file():
        report, since = release.junit.read_bytes(), revision.made
        source = ", a report made elsewhere says"
    else:
        raise Missing("not run: give run_tests=true, or junit=FILE, a report that is there")
    if faults := tested.faults(report, release.tests, since):
        raise Missing("; ".join(faults))
    named = ", ".join(map(str, release.tests))
    return f"{named} pass at revision {revision.revision[:12]}, which trained the run{source}"


def _as_trained(release: Release) -> Worktree:
    """The source tree, where it is what trained the run: tests of other code prove nothing."""
    trained = release.environment.get("code")
    if not trained or trained["dirty"]:
        raise Missing("of no use while it is not known which revision trained the run: see code")
    here, expected = worktree.read(release.root, release.output), trained["revision"]
    faults = []
    if here.revision != expected:
        faults.append(f"is at revision {here.revision[:12]!r}")
    if here.changes:
        more = len(here.changes) - _SHOWN
        faults.append(
            f"holds {len(here.changes)} changed or new file(s), {', '.join(here.changes[:_SHOWN])}"
            + (f" and {more} more" if more > 0 else "")
        )
    if faults:
        raise Missing(
            f"{str(release.root)!r} {' and '.join(faults)}; what is tested has to be what was "
            f"trained, revision {expected[:12]!r} unchanged: git worktree add FOLDER "
            f"{expected[:12]}, and release with root=FOLDER"
        )
    return here


def _documents(release: Release) -> str:
    if faults := documents.faults(release.root):
        raise Missing("; ".join(faults))
    return f"{', '.join(documents.REQUIRED)} are there, and what they name exists"


ITEMS: dict[str, Callable[[Release], str]] = {
    "code": _code,
    "lock": _lock,
    "recipe": _recipe,
    "seed": _seed,
    "tests": _tests,
    "evidence": _evidence,
    "test split": _test_split,
    "golden films": _golden,
    "gate": _gate,
    "promoted": _promoted,
    "rollback": _rollback,
    "documents": _documents,
}


def _as_written(path: Path) -> dict[str, Any]:
    """A resolved recipe without the defaults of settings that came later: its digest stays."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def _alike(facts: dict[str, tuple[Any, Any]], otherwise: str) -> None:
    differing = [
        f"{name} {_short(first)} against {_short(second)}"
        for name, (first, second) in facts.items()
        if first != second
    ]
    if differing:
        raise Missing(f"{'; '.join(differing)}. {otherwise[0].upper()}{otherwise[1:]}")


def _short(value: Any) -> str:
    return repr(value[:12] if isinstance(value, str) and len(value) == 64 else value)


def plain(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings, ready for JSON."""
    return [vars(finding) for finding in findings]
