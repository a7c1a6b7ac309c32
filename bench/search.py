"""
Which trials a search keeps at equal budget: the sensitivity rule against ASHA, on recorded curves.

    python bench/search_curves.py work/search/pneumoniamnist --npz NPZ_FILE --rows CSV
    python bench/search.py work/search/pneumoniamnist [--seeds 20] [--first 0] [--json FILE]

A search is played many times: trials drawn from those recorded, in a random order, on 8 workers
of different speeds; of the patients that no trial was trained on, few are the validation set and
all others tell the truth. ASHA is Ray's own class, with AUROC or the figure itself, at several
reduction factors and grace periods: each is a budget of epochs, and the rule is held against the
best of those that spend no more than it does (and two points). The best trial is the one whose best
epoch has the highest sensitivity at the specificity floor, of those in the search, by the truth.
"""

import lucency.environment  # noqa: F401, I001 (before anything that imports ray)

import argparse
import heapq
import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from scipy.stats import rankdata

from lucency.config.stopping import Stopping
from lucency.evaluation.rule import ClinicalRule
from lucency.search.rule import Measure, Terms, decide, measure

_CLINICAL = ClinicalRule(sensitivity_floor=0.8, specificity_floor=0.9)
_WORKERS = 8
_NEAR = 0.005  # half a point: what the winner may be short of the best
_TOLERANCE = 0.02  # of a budget, when two are called equal
_SAVED = 0.6
# Whether a trial stops after an epoch (from 1).
Judge = Callable[[int, int], bool]
Row = dict[str, float]


@dataclass
class Search:
    """The trials of one search, measured on few patients, and the truth about them."""

    labels_n: np.ndarray
    patients_n: np.ndarray
    logits_ten: np.ndarray
    truth_te: np.ndarray

    def __post_init__(self) -> None:
        self.trials, self.epochs = self.truth_te.shape
        self._measures: dict[tuple[int, int], Measure] = {}

    @cached_property
    def auroc_te(self) -> np.ndarray:
        positive = self.labels_n == 1
        m, n = positive.sum(), (~positive).sum()
        ranks = rankdata(self.logits_ten, axis=-1)[..., positive].sum(axis=-1)
        return np.asarray((ranks - m * (m + 1) / 2) / (m * n))

    @cached_property
    def sensitivity_te(self) -> np.ndarray:
        return _sensitivity(self.labels_n, self.logits_ten)

    def measure(self, terms: Terms, trial: int, epoch: int) -> Measure:
        """What the rule measures, once for all contestants of the same clinical rule."""
        found = self._measures.get((trial, epoch))
        if found is None:
            logits_nk = self.logits_ten[trial, epoch - 1][:, None]
            found = measure(terms, f"{trial}", epoch, self.labels_n, logits_nk, self.patients_n)
            self._measures[trial, epoch] = found
        return found


def main() -> None:
    """Play, print a table a size for people and one JSON line for programs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="what bench/search_curves.py recorded")
    parser.add_argument("--seeds", type=int, default=20, help="draws of trials and of patients")
    parser.add_argument("--orders", type=int, default=4, help="of arrival, for each seed")
    parser.add_argument("--trials", type=int, default=48, help="of a search")
    parser.add_argument("--positives", type=int, nargs="*", default=[40, 80, 160])
    parser.add_argument("--first", type=int, default=0, help="leave out the trials before this one")
    parser.add_argument("--sane", action="store_true", help="only rates that can learn")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    curves = _Curves(options.folder, options.first, options.sane)
    print(f"{len(curves.logits_ten)} trials of {curves.logits_ten.shape[1]} epochs")
    found: dict[str, Any] = {"folder": options.folder.name, "recorded": len(curves.logits_ten)}
    missed = 0
    for positives in options.positives:
        rows = _play_all(curves, positives, options)
        table = {name: _summary(played) for name, played in rows.items()}
        _show(positives, table)
        for name in ("rule", "rule, grace 1"):
            for bar, reached in _bars(table, name).items():
                print("  reached" if reached else "  MISSED ", f"{name}: {bar}")
                missed += not reached
        found[str(positives)] = table
    line = json.dumps(found | {"missed": missed})
    if options.json:
        options.json.write_text(line + "\n")
    print(line)


class _Curves:
    """All recorded trials of a folder; with ``sane`` those whose rate is not far too small."""

    def __init__(self, folder: Path, first: int, sane: bool) -> None:
        with np.load(folder / "films.npz") as films:
            self.labels_n, self.patients_n = films["labels"], films["patients"]
        logits = []
        for path in sorted(folder.glob("trial_*.npz"))[first:]:
            with np.load(path) as stored:
                drawn = json.loads(str(stored["drawn"]))
                least = 3e-4 if drawn["optimizer"] == "adamw" else 3e-3
                if not sane or drawn["learning_rate"] >= least:
                    logits.append(stored["logits"])
        self.logits_ten = np.stack(logits)

    def search(self, positives: int, trials: int, seed: int) -> Search:
        """Trials and patients of one seed; negatives in the proportion that the set has."""
        generator = np.random.default_rng([seed, positives])
        chosen = generator.permutation(len(self.logits_ten))[:trials]
        sick = np.unique(self.patients_n[self.labels_n == 1])
        healthy = np.setdiff1d(self.patients_n, sick)
        negatives = round(positives * len(healthy) / len(sick))
        drawn = [
            *generator.permutation(sick)[:positives],
            *generator.permutation(healthy)[:negatives],
        ]
        mine = np.isin(self.patients_n, drawn)
        logits_ten = self.logits_ten[chosen]
        return Search(
            self.labels_n[mine],
            self.patients_n[mine],
            logits_ten[..., mine],
            _sensitivity(self.labels_n[~mine], logits_ten[..., ~mine]),
        )


def _sensitivity(labels_n: np.ndarray, logits_ten: np.ndarray) -> np.ndarray:
    """``evaluation.rule.sensitivity_at_specificity`` of all trials and epochs at once."""
    negatives = np.sort(logits_ten[..., labels_n == 0], axis=-1)
    allowed = int((1 - _CLINICAL.specificity_floor) * negatives.shape[-1] + 1e-9)
    threshold = negatives[..., negatives.shape[-1] - 1 - allowed, None]
    return np.asarray((logits_ten[..., labels_n == 1] > threshold).mean(axis=-1))


def _play_all(
    curves: _Curves, positives: int, options: argparse.Namespace
) -> dict[str, list[list[Row]]]:
    """By contestant and seed, what each order of arrival came to."""
    found: dict[str, list[list[Row]]] = defaultdict(list)
    for seed in range(options.seeds):
        search = curves.search(positives, options.trials, seed)
        orders = [np.random.default_rng([seed, each]) for each in range(options.orders)]
        arrivals = [
            (each.permutation(search.trials), np.exp(each.normal(0, 0.3, search.trials)))
            for each in orders
        ]
        for name, contestant in _contestants(search).items():
            found[name].append([_play(search, contestant, *arrival) for arrival in arrivals])
    return found


def _contestants(search: Search) -> dict[str, Callable[[], tuple[Judge, np.ndarray]]]:
    """Each gives a judge that has seen nothing, and what the winner is chosen by."""
    figures = {"AUROC": search.auroc_te, "sensitivity": search.sensitivity_te}
    found: dict[str, Callable[[], tuple[Judge, np.ndarray]]] = {
        "rule": lambda: _rule(search, Stopping()),
        "rule, grace 1": lambda: _rule(search, Stopping(grace=1)),
        "all to the end": lambda: (lambda trial, epoch: False, search.sensitivity_te),
    }
    for name, figure_te in figures.items():
        for grace in (1, 2):
            for eta in (2, 3, 4, 6):
                found[f"ASHA {name}, eta {eta}, grace {grace}"] = (
                    lambda figure_te=figure_te, eta=eta, grace=grace: (
                        _asha(search, figure_te, eta, grace),
                        figure_te,
                    )
                )
    return found


def _rule(search: Search, stopping: Stopping) -> tuple[Judge, np.ndarray]:
    """The rule, and what its trials stand at as far as they came."""
    standing_te = np.full((search.trials, search.epochs), -1.0)
    terms = Terms(stopping, _CLINICAL, search.epochs)
    state: dict[str, list[Measure]] = {}

    def judge(trial: int, epoch: int) -> bool:
        now = search.measure(terms, trial, epoch)
        decision = decide(terms, state, now)
        state.setdefault(now.run, []).append(now)
        standing_te[trial, epoch - 1] = now.standing
        return decision.stop

    return judge, standing_te


def _asha(search: Search, figure_te: np.ndarray, eta: int, grace: int) -> Judge:
    scheduler = AsyncHyperBandScheduler(
        metric="figure",
        mode="max",
        max_t=search.epochs,
        grace_period=grace,
        reduction_factor=eta,
    )
    known: dict[int, Any] = {}

    def judge(trial: int, epoch: int) -> bool:
        if trial not in known:
            known[trial] = SimpleNamespace(trial_id=str(trial))
            scheduler.on_trial_add(None, known[trial])
        result = {"training_iteration": epoch, "figure": float(figure_te[trial, epoch - 1])}
        return scheduler.on_trial_result(None, known[trial], result) == TrialScheduler.STOP

    return judge


def _play(
    search: Search,
    contestant: Callable[[], tuple[Judge, np.ndarray]],
    order_t: np.ndarray,
    speed_t: np.ndarray,
) -> Row:
    """One search: workers take the next trial when theirs ends or is stopped."""
    judge, figure_te = contestant()
    waiting = order_t.tolist()[::-1]
    running: list[tuple[float, int, int]] = []
    ends_t = np.zeros(search.trials, dtype=int)
    for _ in range(min(_WORKERS, search.trials)):
        trial = waiting.pop()
        heapq.heappush(running, (float(speed_t[trial]), trial, 1))
    while running:
        now, trial, epoch = heapq.heappop(running)
        ends_t[trial] = epoch
        stops = judge(trial, epoch)
        if epoch < search.epochs and not stops:
            heapq.heappush(running, (now + float(speed_t[trial]), trial, epoch + 1))
        elif waiting:
            trial = waiting.pop()
            heapq.heappush(running, (now + float(speed_t[trial]), trial, 1))
    return _came_to(search, ends_t, figure_te)


def _came_to(search: Search, ends_t: np.ndarray, figure_te: np.ndarray) -> Row:
    ran_te = np.arange(search.epochs) < ends_t[:, None]
    truth_t = search.truth_te.max(axis=1)
    reached_t = np.where(ran_te, search.truth_te, -1).max(axis=1)
    whole_t = ends_t == search.epochs
    winner = int(np.where(ran_te, figure_te, -1).max(axis=1).argmax())
    best = float(truth_t.max())
    return {
        "spent": float(ends_t.sum() / ran_te.size),
        "best_kept": float(whole_t[truth_t.argmax()]),
        "near_best_kept": float((truth_t[whole_t] >= best - _NEAR).any()),
        "short_points": 100 * (best - float(reached_t.max())),
        "winner_short_points": 100 * (best - float(reached_t[winner])),
    }


def _summary(played: list[list[Row]]) -> dict[str, dict[str, float]]:
    """Mean and standard error over seeds; the orders of a seed are one observation."""
    found = {}
    for key in played[0][0]:
        means = [statistics.mean(row[key] for row in orders) for orders in played]
        error = statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else 0.0
        found[key] = {"mean": statistics.mean(means), "error": error}
    return found


def _show(positives: int, table: dict[str, Any]) -> None:
    print(f"\n{positives} patients with pneumonia to validate on (mean, standard error over seeds)")
    print(f"{'':34}{'epochs spent':>16}{'best kept':>16}{'near best kept':>18}"
          f"{'short, points':>18}{'winner short':>18}")  # fmt: skip
    for name, row in sorted(table.items(), key=lambda item: item[1]["spent"]["mean"]):
        cells = [
            f"{scale * row[key]['mean']:.{places}f} ({scale * row[key]['error']:.{places}f})"
            for key, scale, places in (
                ("spent", 100, 1),
                ("best_kept", 100, 1),
                ("near_best_kept", 100, 1),
                ("short_points", 1, 3),
                ("winner_short_points", 1, 2),
            )
        ]
        print(f"{name:34}{cells[0]:>16}{cells[1]:>16}" + "".join(f"{c:>18}" for c in cells[2:]))


def _bars(table: dict[str, Any], name: str) -> dict[str, bool]:
    rule = table[name]
    spent, kept = rule["spent"]["mean"], rule["best_kept"]["mean"]
    bars = {
        f"{1 - spent:.1%} of epochs saved, at least {_SAVED:.0%}": spent <= 1 - _SAVED,
        f"the best that was kept is {rule['short_points']['mean']:.3f} points short, at most 0.5": (
            rule["short_points"]["mean"] <= 100 * _NEAR
        ),
    }
    for figure in ("AUROC", "sensitivity"):
        ashas = {each: row for each, row in table.items() if each.startswith(f"ASHA {figure}")}
        costs = {each: row["spent"]["mean"] for each, row in ashas.items()}
        near = min(ashas, key=lambda each: abs(costs[each] - spent))
        # Where none is as cheap, the cheapest: it spends more than the rule.
        most = max(spent + _TOLERANCE, min(costs.values()))
        best = max(
            (each for each in ashas if costs[each] <= most),
            key=lambda each: ashas[each]["best_kept"]["mean"],
        )
        for word, each in (("nearest budget", near), ("best of no larger budget", best)):
            other = ashas[each]["best_kept"]["mean"]
            bars[f"best kept {kept:.1%} against {other:.1%} of {each} ({word})"] = kept > other
    return bars


if __name__ == "__main__":
    main()
