"""The whole life of a model in one call: prepare > train > calibrate > evaluate > gate > serve."""

import threading
from pathlib import Path
from typing import Any

from lucency import cluster, files, progress
from lucency.config.evaluate import EvaluateConfig
from lucency.config.export import ExportConfig, Packing
from lucency.config.pipeline import Deployment, PipelineConfig
from lucency.config.prepare import PrepareConfig
from lucency.config.promote import PromoteConfig
from lucency.config.train import TrainConfig
from lucency.datasets.table import Table
from lucency.pipeline.evaluate import evaluate
from lucency.pipeline.export import export
from lucency.pipeline.prepare import prepare
from lucency.pipeline.promote import promote
from lucency.pipeline.serve import refuse_taken_port, serving, try_out
from lucency.pipeline.train import train


def run(config: PipelineConfig) -> dict[str, Any]:
    """
    Run every stage; a second call with the same configuration goes on where the first stopped.

    Raises:
        LeakFound: the splits share a patient or a film; nothing is trained.
        GateRefused: the model does not meet the rule; nothing is promoted or served.
    """
    if config.serve is not None and not cluster.shared():
        refuse_taken_port(config.serve.host, config.serve.port)
    with progress.stage("prepare"):
        prepared = prepare(
            PrepareConfig(
                dataset=config.dataset,
                checks=config.checks,
                splits=config.splits,
                leaks=config.leaks,
                output=config.work / "data",
            )
        )
    table = Path(prepared["table"])
    with cluster.connected():
        with progress.stage("train"):
            trained = train(
                TrainConfig(
                    table=table,
                    runs=config.work / "runs",
                    recipe=config.recipe,
                    fresh=config.fresh,
                )
            )
        results = config.work / "models" / _named(trained["run"], config.export)
        bundle, report = results / "bundle", results / "report.html"
        if config.fresh or not (bundle / "manifest.json").is_file():
            with progress.stage("calibrate"):
                export(
                    ExportConfig(
                        **dict(config.export),
                        run=Path(trained["folder"]),
                        output=bundle,
                        name=config.name,
                        table=table,
                    )
                )
        with progress.stage("evaluate"):
            evaluated = evaluate(
                EvaluateConfig(bundle=bundle, table=table, report=report, reason=config.reason)
            )
        with progress.stage("gate and promote"):
            promoted = promote(
                PromoteConfig(store=config.store, bundle=bundle, rule=config.recipe.rule)
            )
        result = {
            "run": trained["run"],
            "report": str(report),
            "data": prepared["digest"],
            **{key: promoted[key] for key in ("champion", "aliases")},
            "metrics": evaluated["metrics"],
        }
        if config.serve is None:
            return result
        return {**result, **_serve(config.serve, config.store, table, report)}


def _named(run: str, packing: Packing) -> str:
    """A run's bundle, and apart from it those of the same run that are packed in other ways."""
    if packing == Packing():
        return run
    return f"{run}-{files.sha256(files.canonical(packing.model_dump(mode='json')).encode())[:8]}"


def _serve(deployment: Deployment, store: Path, table: Path, report: Path) -> dict[str, Any]:
    with progress.stage("serve"), serving(deployment, store) as url:
        opened = Table.open(table)
        unseen = opened.rows("test")
        positive = unseen[opened.columns["label"][unseen] == 1]
        tried = try_out(url, opened.images(positive[:1])[0], report.parent)
        answer = tried["answer"]
        threshold = answer["threshold"]
        decided = "the most probable" if threshold is None else f"threshold {threshold:.4f}"
        progress.say(
            f"    {url}/v1/predict answers {answer['label']} with probability "
            f"{answer['probability']:.4f} ({decided}) for a film of the "
            f"test split\n    heat map: {tried['heat_map']}\n    report:   {report}"
        )
        if deployment.keep:
            progress.say(
                f"    try: curl --data-binary @{report.parent}/film.jpeg {url}/v1/predict\n"
                "    it answers until you press Ctrl-C"
            )
            if not cluster.shared():
                _until_interrupted()
        else:
            progress.say("    stopped again; to keep it answering: make demo KEEP=1")
    return {"url": url, "prediction": answer, "heat_map": tried["heat_map"]}


def _until_interrupted() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        progress.say("    stopping")
