"""Predictions and late labels joined: one entry a film and version that was answered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lucency.audit.labels import Late


@dataclass(frozen=True)
class Films:
    """
    Columns of answered films, by time; a film that one version saw twice stands once.

    Attributes:
        at: When it was answered last, datetime64[ms], UTC.
        site: As the request or else the label names it, or empty.
        called: Whether the model called it positive.
        labelled: Whether a late label is there; only then the next two count.
        ill: Whether that is the positive one.
        patient: Pseudonym, or the film itself where none was given.
        site_of_label: Whether only the label names the site.
    """

    at: np.ndarray
    version: np.ndarray
    site: np.ndarray
    called: np.ndarray
    labelled: np.ndarray
    ill: np.ndarray
    patient: np.ndarray
    site_of_label: np.ndarray

    def where(self, chosen_n: np.ndarray) -> "Films":
        """Some of them."""
        return replace(self, **{name: column[chosen_n] for name, column in vars(self).items()})

    @property
    def week(self) -> np.ndarray:
        """The Monday of each, datetime64[D]."""
        days = self.at.astype("datetime64[D]")
        return np.asarray(days - (days.astype(int) + 3) % 7)  # 1970 began on a Thursday

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True)
class Joined:
    """
    Films, and labels that could not be used.

    Attributes:
        orphans: Without a prediction in the log: it was purged, never logged, or is yet to come.
        disputed: Whose readers disagree evenly.
        by_patient: Whether every labelled film has a patient's pseudonym.
    """

    films: Films
    orphans: int
    disputed: int
    by_patient: bool


def join(predictions: pa.Table, labels: Sequence[Late], positive: str) -> Joined:
    """Join by the prediction's id; ``positive`` is the label that must not be missed."""
    known = {late.prediction: late for late in labels}
    rows = predictions.sort_by([("at", "ascending"), ("id", "ascending")]).to_pylist()
    ids = {row["id"] for row in rows}
    films: dict[tuple[str, str], dict[str, Any]] = {}
    patients = True
    for row in rows:
        late = known.get(row["id"])
        kept = films.get((row["film"], row["version"]))
        if late is None or late.label is None:
            late_columns = _late_of(kept)
        else:
            patients &= bool(late.patient)
            late_columns = {
                "labelled": True,
                "ill": late.label == positive,
                "patient": late.patient or row["film"],
                "late_site": late.site,
            }
        films[row["film"], row["version"]] = {
            "at": row["at"],
            "version": row["version"],
            "asked_site": row["site"] or "",
            "called": row["label"] == positive,
            **{**late_columns, "patient": late_columns["patient"] or row["film"]},
        }
    return Joined(
        films=_columns(list(films.values())),
        orphans=sum(late.prediction not in ids for late in labels),
        disputed=sum(late.label is None for late in labels),
        by_patient=patients and any(film["labelled"] for film in films.values()),
    )


def _late_of(kept: dict[str, Any] | None) -> dict[str, Any]:
    if kept is None:
        return {"labelled": False, "ill": False, "patient": "", "late_site": ""}
    return {name: kept[name] for name in ("labelled", "ill", "patient", "late_site")}


def _columns(rows: Sequence[dict[str, Any]]) -> Films:
    asked, late = ([str(row[name]) for row in rows] for name in ("asked_site", "late_site"))
    return Films(
        at=np.array([row["at"].replace(tzinfo=None) for row in rows], dtype="datetime64[ms]"),
        version=np.array([str(row["version"]) for row in rows], dtype=str),
        site=np.array([a or b for a, b in zip(asked, late, strict=True)], dtype=str),
        called=np.array([row["called"] for row in rows], dtype=bool),
        labelled=np.array([row["labelled"] for row in rows], dtype=bool),
        ill=np.array([row["ill"] for row in rows], dtype=bool),
        patient=np.array([str(row["patient"]) for row in rows], dtype=str),
        site_of_label=np.array([not a and bool(b) for a, b in zip(asked, late, strict=True)], bool),
    )
