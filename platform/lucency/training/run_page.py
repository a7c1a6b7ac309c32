"""The page of one run, while it goes on and after; layout in ``run_page.html.j2``."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import yaml
from jinja2 import Template
from markupsafe import Markup

from lucency import files, pages
from lucency.evaluation.selection import SCORE
from lucency.training import run_figures
from lucency.training.run_figures import Frame

Row = Mapping[str, float]

# Epochs that the time left is told from; the first one also filled caches.
_RECENT = 5
_MEASURES = {
    "auroc": "AUROC",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "mean_sensitivity": "mean sensitivity",
}
_SPENT = {"compute_s": "compute", "wait_s": "wait for films", "measure_s": "measure"}
# Key of a row, heading, digits; a column stands in the table if any epoch has it.
_COLUMNS = {
    "train_loss": ("Loss", 4),
    "validation_loss": ("Validation loss", 4),
    SCORE: ("Score", 4),
    "auroc": ("AUROC", 4),
    "accuracy": ("Accuracy", 4),
    "sensitivity": ("Sensitivity", 4),
    "specificity": ("Specificity", 4),
    "mean_sensitivity": ("Mean sensitivity", 4),
    "images_per_s": ("Images/s", 0),
    "wait_s": ("Wait, s", 1),
    "compute_s": ("Compute, s", 1),
    "measure_s": ("Measure, s", 1),
    "seconds": ("Whole, s", 1),
    "memory_mib": ("Memory, MiB", 0),
    "gpu_energy_j": ("Energy, J", 0),
}
# Said in words at the top, so not again among what the record says.
_SAID = ("best", "run", "table", "classes", "data_digest", "parameters", "epochs", "stopped")


def render(
    run_name: str,
    history: Sequence[Row],
    recipe_plain: Mapping[str, Any],
    record: Mapping[str, Any] | None,
    failed: Mapping[str, Any] | None,
    *,
    known: Mapping[str, Any] | None = None,
    stopped: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> str:
    """
    The page as HTML text, nothing loaded from elsewhere; while the run goes on it asks the
    browser to load it again.

    Args:
        history: One row an epoch.
        record: Of the run once it is finished.
        failed: ``error``, and ``epoch``, ``step``, ``films`` where known, if it can't go on.
        known: What a record will say and is known before: ``parameters``, ``data_digest``,
            ``table``, ``classes``.
        stopped: ``epoch`` and ``reason`` if a search stopped it.
        now: The time that a page of a run that goes on bears.
    """
    about = {**(known or {}), **(record or {})}
    rows = [dict(row, epoch=int(row["epoch"])) for row in history]
    state = _state(rows, recipe_plain, record, failed, stopped or about.get("stopped"))
    best = max(rows, key=lambda row: row[SCORE]) if rows else None
    return _template().render(
        name=run_name,
        state=state,
        best=best,
        score_name=_score_name(rows, recipe_plain),
        about=about,
        recipe_digest=files.digest(
            {key: value for key, value in recipe_plain.items() if key != "scaling"}
        ),
        model=recipe_plain["model"],
        place=_place(failed or {}),
        written=None if record else (now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M:%S UTC"),
        figures=_figures(rows, recipe_plain, best),
        columns={key: column for key, column in _COLUMNS.items() if any(key in r for r in rows)},
        rows=rows,
        phases=_phases(recipe_plain),
        recipe=yaml.safe_dump(dict(recipe_plain), sort_keys=False),
        record=_origin(record),
    )


def duration(seconds: float) -> str:
    """For people: 42 s, 12 min, 3 h 05 min."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _state(
    rows: Sequence[Row],
    recipe: Mapping[str, Any],
    record: Mapping[str, Any] | None,
    failed: Mapping[str, Any] | None,
    stopped: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """One word, what it means here, and whether more is to come."""
    done, planned = len(rows), sum(phase["epochs"] for phase in recipe["phases"])
    spent = duration(sum(row.get("seconds", 0.0) for row in rows))
    if failed:
        return {"word": "failed", "detail": failed["error"], "running": False}
    if stopped:
        detail = f"after epoch {stopped['epoch']}: {stopped['reason']}"
        return {"word": "stopped", "detail": detail, "running": False}
    if record and done < planned:
        detail = (
            f"after {done} of {planned} epochs in {spent}: {recipe['patience']} epochs without a "
            "better score"
        )
        return {"word": "finished", "detail": detail, "running": False}
    if record:
        return {"word": "finished", "detail": f"{done} epochs in {spent}", "running": False}
    if not rows:
        return {"word": "running", "detail": f"epoch 1 of {planned}", "running": True}
    if done >= planned:
        return {"word": "running", "detail": "all epochs done, closing", "running": True}
    recent = rows[1:][-_RECENT:] or rows
    left_s = sum(row["seconds"] for row in recent) / len(recent) * (planned - done)
    detail = f"epoch {done + 1} of {planned}, {duration(left_s)} left at most"
    return {"word": "running", "detail": detail, "running": True}


def _place(failed: Mapping[str, Any]) -> str:
    """Where a run failed, as far as that is known."""
    parts = [f"{key} {failed[key]}" for key in ("epoch", "step") if failed.get(key) is not None]
    if films := failed.get("films"):
        parts.append(f"films {', '.join(map(str, films))}")
    return ", ".join(parts)


def _score_name(rows: Sequence[Row], recipe: Mapping[str, Any]) -> str:
    """The figure that ranks epochs, resolved as ``evaluation.selection`` does."""
    chosen = str(recipe["selection"])
    if chosen == "auto":
        two = not rows or "sensitivity_at_specificity" in rows[0]
        chosen = "sensitivity_at_specificity" if two else "accuracy"
    if chosen == "sensitivity_at_specificity":
        return f"sensitivity at specificity {recipe['rule']['specificity_floor']:g}"
    return {"auroc": "AUROC"}.get(chosen, chosen)


def _phases(recipe: Mapping[str, Any]) -> list[dict[str, Any]]:
    first, found = 1, []
    for number, phase in enumerate(recipe["phases"], 1):
        blocks = "1 block" if phase["train"] == 1 else f"{phase['train']} blocks"
        train = {"head": "the head", "all": "everything"}.get(
            phase["train"], f"the head and {blocks}"
        )
        last = first + phase["epochs"] - 1
        found.append({**phase, "number": number, "first": first, "last": last, "trains": train})
        first += phase["epochs"]
    return found


def _figures(rows: Sequence[Row], recipe: Mapping[str, Any], best: Row | None) -> dict[str, Markup]:
    """By title, in the order they are shown."""
    if not rows:
        return {}
    phases = {
        phase["first"]: f"phase {phase['number']}: {phase['trains']}"
        for phase in _phases(recipe)
        if phase["number"] > 1
    }
    frame = Frame([int(row["epoch"]) for row in rows], phases, int(best["epoch"]) if best else None)
    score, floors = _score_name(rows, recipe), recipe["rule"]
    spent = {name: _column(rows, key, 0.0) for key, name in _SPENT.items() if _has(rows, key)}
    found = {
        "Loss, nats": run_figures.lines(
            frame,
            _columns(rows, {"train_loss": "training", "validation_loss": "validation"}),
            logarithmic=True,
        ),
        "What ranks epochs": run_figures.lines(
            frame,
            {score: _column(rows, SCORE)},
            floors={score: floors["sensitivity_floor"]} if "sensitivity" in score else None,
        ),
        "On validation films": run_figures.lines(
            frame,
            _columns(rows, _MEASURES),
            floors={"specificity": floors["specificity_floor"]},
        ),
        "Learning rate": run_figures.lines(
            frame, _columns(rows, {"learning_rate": "at the epoch's end"}), logarithmic=True
        ),
        "Seconds an epoch": run_figures.bars(
            frame, spent or {"all together": _column(rows, "seconds", 0.0)}
        ),
        "Images a second": run_figures.lines(
            frame, _columns(rows, {"images_per_s": "training, all workers"}), from_zero=True
        ),
        "Peak memory, MiB": run_figures.lines(
            frame, _columns(rows, {"memory_mib": "first worker"}), from_zero=True
        ),
    }
    if _has(rows, "gpu_energy_j"):
        energy = _columns(rows, {"gpu_energy_j": "as the GPUs report it"})
        found["Energy an epoch, J"] = run_figures.lines(frame, energy, from_zero=True)
    return found


def _has(rows: Sequence[Row], key: str) -> bool:
    return any(key in row for row in rows)


def _column(rows: Sequence[Row], key: str, missing: float = math.nan) -> list[float]:
    return [float(row.get(key, missing)) for row in rows]


def _columns(rows: Sequence[Row], names: Mapping[str, str]) -> dict[str, list[float]]:
    return {name: _column(rows, key) for key, name in names.items() if _has(rows, key)}


def _origin(record: Mapping[str, Any] | None) -> str | None:
    """What the record says of code, versions, hardware and cost, as YAML."""
    rest = {key: value for key, value in (record or {}).items() if key not in _SAID}
    return yaml.safe_dump(rest, sort_keys=False) if rest else None


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


@cache
def _template() -> Template:
    environment = pages.environment("lucency.training", number=_number)
    return environment.get_template("run_page.html.j2")
