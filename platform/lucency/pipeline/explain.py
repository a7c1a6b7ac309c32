"""A finished run and its validation films -> maps by every method, their tests, one page."""

import json
import time
from typing import Any

import numpy as np
import torch

from lucency import files, progress, seed
from lucency.config.explain import ExplainConfig
from lucency.datasets.table import Table
from lucency.errors import DataError
from lucency.explain import figures, network, report, targets
from lucency.explain.network import Network
from lucency.explain.study import Films, study
from lucency.models.base import Classifier
from lucency.pipeline import subject, writable
from lucency.pipeline.subject import Subject
from lucency.pipeline.threads import one_thread
from lucency.preprocess import Preprocess

REPORT = "report.html"
RECORD = "explain.json"
_SPLIT = "validation"
_OPACITY, _LUNGS = "opacity", "lungs"


@one_thread()
def explain(config: ExplainConfig) -> dict[str, Any]:
    """
    Explain a run's answers on validation films, test the explanations and write the page.

    Raises:
        TrainingError: the folder is not a finished run.
        DataError: the table is not the one that the run learnt from.
        ConfigError: the network has no feature map to look at.
    """
    started = time.monotonic()
    found = subject.finished(config.run)
    run = json.loads((config.run / "run.json").read_text(encoding="utf-8"))
    table = _table(config, run)
    ready = _network(found)
    writable.ready(config.output)
    with progress.stage(f"read {_SPLIT} films"):
        films, unmeasured = _films(config, table, found.preprocess)
    explained = study(
        ready,
        films,
        batch_size=config.batch_size,
        randomised_films=config.randomised_films,
        seed_number=config.seed,
    )
    record = {
        "run": config.run.name,
        "network": found.name,
        "layer": ready.layer_name,
        "map_size": list(ready.map_size),
        "table": table.source,
        "data_digest": table.digest,
        "drawn": table.drawn,
        "split": _SPLIT,
        "films": len(films),
        "patients": len(np.unique(films.patients_n)),
        "films_with_curves": len(explained.answered),
        "films_randomised": min(config.randomised_films, len(films)),
        "films_by_target": {name: len(masks) for name, masks in films.targets.items()},
        "explained": table.classes[1] if ready.outputs == 1 else "the class that is called",
        "unmeasured": unmeasured,
        **figures.record(explained, films),
    }
    page = report.html(
        record,
        explained,
        films,
        grays=_grays(films, found.preprocess),
        classes=table.classes,
        shown=config.shown,
        settings=config.to_yaml(),
    )
    for method, measured in record["methods"].items():
        told = "; ".join(measured["doubts"]) or "nothing speaks against its maps"
        progress.say(f"    {method}: {told}")
    files.write_json(config.output / RECORD, record)
    files.write_text(config.output / REPORT, page)
    return {
        **record,
        "report": str(config.output / REPORT),
        "seconds": round(time.monotonic() - started, 2),
    }


def _table(config: ExplainConfig, run: dict[str, Any]) -> Table:
    table = Table.open(config.table or run["table"])
    if table.digest != run["data_digest"]:
        raise DataError(
            f"{table.source!r} has digest {table.digest[:12]!r}, the run learnt from "
            f"{run['data_digest'][:12]!r}: on another division of the patients its validation "
            "films may have been trained on. Give that table by table=PATH"
        )
    return table


def _network(found: Subject) -> Network:
    assert isinstance(found.model, Classifier), "architectures build classifiers"
    black = np.zeros((1, 1, found.preprocess.channels), np.uint8)
    black_c = torch.from_numpy(found.preprocess.normalise(black)[:, 0, 0].copy())
    return network.prepare(found.model, found.shape, black_c)


def _films(
    config: ExplainConfig, table: Table, preprocess: Preprocess
) -> tuple[Films, dict[str, str]]:
    """The films, and by target why it is not measured, where it is not."""
    rows = chosen(table, config.films, config.seed)
    arrays = [
        preprocess.tensor(preprocess.working(data, checked=True)) for data in table.images(rows)
    ]
    masks, unmeasured = _targets(table, rows, preprocess, config.drawn_seed)
    labels_n, patients_n = (table.columns[name][rows] for name in ("label", "patient"))
    return Films(torch.from_numpy(np.stack(arrays)), labels_n, patients_n, masks), unmeasured


def chosen(table: Table, count: int, seed_number: int) -> np.ndarray:
    """
    Rows of validation films in chance order, the classes in turn.

    So the first films of the choice have all classes alike, as far as there are so many.
    """
    rows = seed.generator(seed_number, "films").permutation(table.rows(_SPLIT))
    labels = table.columns["label"][rows]
    turn = np.empty(len(rows), np.int64)
    for label in np.unique(labels):
        turn[labels == label] = np.arange((labels == label).sum())
    return np.asarray(rows[np.lexsort((labels, turn))][:count])


def _targets(
    table: Table, rows: np.ndarray, preprocess: Preprocess, drawn_seed: int
) -> tuple[dict[str, dict[int, targets.Mask]], dict[str, str]]:
    opacities: dict[int, targets.Mask] = {}
    lungs: dict[int, targets.Mask] = {}
    for place, (row, mask_png) in enumerate(zip(rows, table.masks(rows), strict=True)):
        if mask_png is None:
            continue
        mask = targets.opacity(mask_png)
        at_input = targets.at_input(mask, preprocess)
        if not at_input.any():
            continue
        opacities[place] = at_input
        if table.drawn:
            both = targets.lungs(mask, table.columns["patient"][row], seed=drawn_seed)
            if both is not None:
                lungs[place] = targets.at_input(both, preprocess)
    if not opacities:
        return {}, {
            _OPACITY: "no mask is known for these films: whether a map points at the disease "
            "can't be measured on them",
            _LUNGS: "known for drawn films only",
        }
    if not table.drawn:
        return {_OPACITY: opacities}, {_LUNGS: "known for drawn films only"}
    if len(lungs) < len(opacities):
        return {_OPACITY: opacities}, {
            _LUNGS: f"drawn_seed {drawn_seed} gives the opacities of {len(lungs)} of "
            f"{len(opacities)} films: give the seed that jobs/prepare.py drew the set with"
        }
    return {_OPACITY: opacities, _LUNGS: lungs}, {}


def _grays(films: Films, preprocess: Preprocess) -> np.ndarray:
    """The films as the network gets them, gray, n x h x w, 0 to 1."""
    mean, std = (np.array(each)[None, :, None, None] for each in (preprocess.mean, preprocess.std))
    return np.asarray(np.clip((films.images_nchw.numpy() * std + mean).mean(axis=1), 0, 1))
