"""Recipe and space -> the winner, confirmed, and the page that says how it was found."""

from pathlib import Path
from typing import Any

import ray

from lucency import cluster, files, progress
from lucency.config.tune import TuneConfig
from lucency.datasets.table import Table
from lucency.errors import SearchError
from lucency.evaluation import metrics
from lucency.search import outcome, page, referee, tuner, winner, words
from lucency.search.cost import Cost
from lucency.search.outcome import Validation
from lucency.search.rule import Terms
from lucency.search.study import Study
from lucency.search.tuner import Search
from lucency.search.winner import Winner

_REPORT = "search.html"
_FIGURES = "search.json"
_VERDICTS = "verdicts.jsonl"


def tune(config: TuneConfig) -> dict[str, Any]:
    """
    Train the trials that are missing, then the winner again with other seeds.

    Raises:
        SearchError: no trial could be measured, or the folder holds another search.
        DataError: the table is missing.
        ClusterError: the machine can't hold one trial.
    """
    table = Table.open(config.base.table)
    validation = Validation.of(table)
    study = Study(config, table.digest)
    recipe = config.base.recipe
    # On a cluster that others use too, two searches must not judge one another's trials.
    name = f"referee-{files.digest(str(config.output.absolute()))[:12]}"
    searched = Search(config, study, table.source, validation, name)
    with cluster.connected():
        concurrent = tuner.room(recipe.scaling, config.concurrent)
        terms = Terms(config.stopping, recipe.rule, recipe.epochs)
        judge = referee.start(name, terms, config.output.absolute() / _VERDICTS)
        try:
            with progress.stage("search"):
                tuner.search(searched, judge, concurrent)
            verdicts = ray.get(judge.verdicts.remote())
        finally:
            ray.kill(judge)
        ranked = outcome.best(list(searched.outcomes.values()))
        if not ranked:
            raise SearchError(_nothing(searched))
        with progress.stage(f"confirm {ranked[0].folder.name}"):
            chosen = winner.confirmed(config, ranked, table.source, validation, concurrent)
    return _report(searched, chosen, verdicts)


def _nothing(searched: Search) -> str:
    failed = [each for each in searched.outcomes.values() if each.state == "failed"]
    if not failed:
        return (
            "no trial has ended: give the search a larger time_budget_minutes, the same command "
            "goes on"
        )
    return f"none of {len(failed)} trials could be measured: {failed[0].reason}"


def _report(searched: Search, chosen: Winner, verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    config = searched.config
    outcomes = [searched.outcomes[number] for number in sorted(searched.outcomes)]
    cost = Cost.of(outcomes, chosen, config.base.recipe.epochs)
    ready = winner.write(config, chosen)
    report = config.output / _REPORT
    files.write_text(report, page.render(config, outcomes, chosen, verdicts, searched.validation))
    best = chosen.trial
    assert best.interval is not None, "the winner was measured"
    result = {
        "run": str(best.folder),
        "figure": best.figure,
        "score": metrics.plain(best.interval),
        "confirmed": {"mean": chosen.mean, "spread": chosen.spread, "values": chosen.values},
        "contested": chosen.contested,
        "values": dict(best.values),
        "config": str(ready),
        "report": str(report),
        "trials": len(outcomes),
        "stopped": cost.stopped,
        "failed": cost.failed,
        "epochs_run": cost.epochs,
        "epochs_saved": cost.saved,
    }
    files.write_json(config.output / _FIGURES, {**result, "verdicts": verdicts})
    _tell(chosen, cost, report)
    return result


def _tell(chosen: Winner, cost: Cost, report: Path) -> None:
    best = chosen.trial
    progress.say(f"    winner {best.folder.name}: {words.said(best.values)}")
    if chosen.mean is not None:
        spread = "" if chosen.spread is None else f" ± {chosen.spread:.4f}"
        progress.say(
            f"    {best.figure} with {len(chosen.values)} other seeds: {chosen.mean:.4f}{spread}"
        )
    progress.say(f"    {chosen.verdict}")
    progress.say(f"    {cost.sentence}")
    progress.say(f"    report: {report}")
