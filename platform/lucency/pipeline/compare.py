"""Architectures x data sets -> one table of what each costs and reaches under the same budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lucency import cluster, files, progress
from lucency.anatomy import layers
from lucency.anatomy.layers import Anatomy
from lucency.config.compare import CompareConfig, ComparedSet
from lucency.config.train import Recipe
from lucency.datasets.table import Table
from lucency.errors import TrainingError
from lucency.evaluation import comparison, metrics, selection
from lucency.models.base import architectures
from lucency.registry import Options
from lucency.training import several
from lucency.training.several import Wanted
from lucency.training.trainer import Run


@dataclass(frozen=True)
class Pair:
    """One architecture on one data set."""

    part: ComparedSet
    table: Table
    model: str
    recipe: Recipe
    runs: Path

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.model} on {self.part.name}"


def compare(config: CompareConfig) -> dict[str, Any]:
    """
    Train every pair, several at a time, and draw up the table; finished runs are taken as they
    are. A pair that fails is reported beside the others.

    Raises:
        TrainingError: none of the pairs could be trained.
        DataError: a table is missing.
        ClusterError: the machine can't hold the workers asked for.
    """
    pairs = list(_pairs(config))
    anatomies = [_anatomy(pair) for pair in pairs]
    with cluster.connected():
        scaling = pairs[0].recipe.scaling
        workers = scaling.fewest * config.concurrent
        cluster.require(workers * scaling.cpus_per_worker, workers if scaling.gpu else 0)
        wanted = [_wanted(pair) for pair in pairs]
        outcomes = several.train(wanted, config.concurrent, meter="epochs", ended=_told)
    rows = [
        _row(pair, anatomy, outcome)
        for pair, anatomy, outcome in zip(pairs, anatomies, outcomes, strict=True)
    ]
    if all("failed" in row for row in rows):
        raise TrainingError(f"none of {len(rows)} pairs could be trained: {rows[0]['failed']}")
    curves = {
        pair.name: outcome.history
        for pair, outcome in zip(pairs, outcomes, strict=True)
        if isinstance(outcome, Run)
    }
    report = config.output / "comparison.html"
    files.write_text(report, comparison.render(rows, curves, budget=config.budget))
    files.write_json(config.output / "comparison.json", {"rows": rows, "budget": config.budget})
    for line in comparison.lines(rows):
        progress.say(f"    {line}")
    return {"report": str(report), "rows": rows}


def _pairs(config: CompareConfig) -> Iterator[Pair]:
    labels = _labels(config.models)
    for part in config.sets:
        table = Table.open(part.table)
        for model, label in zip(config.models, labels, strict=True):
            runs = (config.output / "runs" / part.name).absolute()
            yield Pair(part, table, label, config.recipe(part, model), runs)


def _labels(models: Sequence[Options]) -> list[str]:
    """Names of architectures; with their options where a name stands twice."""
    names = [model.name for model in models]
    return [
        model.name
        if names.count(model.name) == 1
        else " ".join([model.name, *(str(value) for value in model.keywords().values() if value)])
        for model in models
    ]


def _anatomy(pair: Pair) -> Anatomy:
    preprocess = pair.recipe.preprocess
    network = architectures.build(
        pair.recipe.model,
        in_channels=preprocess.channels,
        outputs=selection.outputs(len(pair.table.classes)),
        side=preprocess.size,
    )
    return layers.analyse(network, (preprocess.channels, preprocess.size, preprocess.size))


def _wanted(pair: Pair) -> Wanted:
    name = pair.recipe.identity(pair.table.digest)
    return Wanted(pair.name, pair.recipe, pair.table.source, pair.runs, name)


def _told(wanted: Wanted, found: Run | str) -> None:
    if isinstance(found, str):
        progress.say(f"    {wanted.label} failed: {found}")


def _row(pair: Pair, anatomy: Anatomy, outcome: Run | str) -> dict[str, Any]:
    facts = {
        "set": pair.part.name,
        "model": pair.model,
        "depth": anatomy.depth,
        "filters": _filters(anatomy),
        "parameters": anatomy.parameters,
        "multiply_adds": anatomy.multiply_adds,
        "activation_bytes": anatomy.activation_bytes,
    }
    if isinstance(outcome, str):
        return {**facts, "failed": outcome}
    rows, columns = pair.table.rows("validation"), pair.table.columns
    name, figure = selection.headline(
        columns["label"][rows],
        outcome.validation_logits,
        columns["patient"][rows],
        pair.recipe.rule.specificity_floor,
        pair.recipe.rule.confidence,
    )
    best = outcome.record["best"]
    return {
        **facts,
        "run": str(outcome.folder),
        "measure": name,
        "figure": metrics.plain(figure),
        "best_epoch": int(best["epoch"]),
        "images_per_s": best["images_per_s"],
        "memory_mib": best["memory_mib"],
        "minutes": outcome.record["seconds"] / 60,
    }


def _filters(anatomy: Anatomy) -> list[str]:
    """Sizes of the convolutions' kernels in order of first use, ``5x5``."""
    kernels = [
        f"{layer.windows[0].kernel}x{layer.windows[1].kernel}"
        for layer in anatomy.layers
        if layer.windows is not None and layer.multiply_adds > 0
    ]
    return list(dict.fromkeys(kernels))
