"""Late labels: what readers or later findings say of films that were answered."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

LABELS = "labels"
LABEL = "label"


@dataclass(frozen=True)
class Late:
    """
    What is known of one film.

    Attributes:
        prediction: Id of the answer.
        label: Null where its readers disagree, two against two.
        at: Of the last label.
        patient: Pseudonym, or empty.
        site: As the last label that named one says, or empty.
        readers: How many.
    """

    prediction: str
    label: str | None
    at: datetime
    patient: str
    site: str
    readers: int


def read(folder: Path) -> list[Late]:
    """
    One entry a film, oldest first: the last word of each reader, then what most readers say.

    A label that is sent again is a line again: the journal keeps what was said, and this is where
    it counts once.
    """
    words: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for line in sorted(_lines(folder), key=lambda line: (line["at"], line["n"])):
        words[line["prediction"]][line["reader"]] = line
    return sorted((agreed(list(said.values())) for said in words.values()), key=lambda x: x.at)


def agreed(said: list[dict[str, Any]]) -> Late:
    """What most readers of one film say; ``said`` holds the last word of each."""
    votes: dict[str, int] = defaultdict(int)
    for line in said:
        votes[line["label"]] += 1
    most = max(votes.values())
    first = [label for label, count in votes.items() if count == most]
    last = max(said, key=lambda line: str(line["at"]))
    return Late(
        prediction=last["prediction"],
        label=first[0] if len(first) == 1 else None,
        at=datetime.fromisoformat(last["at"]),
        patient=next((line["patient"] for line in said if line["patient"]), ""),
        site=next((line["site"] for line in reversed(said) if line["site"]), ""),
        readers=len(said),
    )


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((folder / LABELS).glob("*/*.jsonl")):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                value = json.loads(line)
                if value.get("kind") == LABEL:
                    yield value
