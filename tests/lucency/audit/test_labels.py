"""Late labels: each reader's last word, and what most readers say."""

from pathlib import Path

import pytest

from lucency.audit import labels
from lucency.audit.journal import Journal, stamp
from lucency.audit.key import Key

from .conftest import Clock

Word = tuple[str, str]


@pytest.mark.parametrize(
    ("words", "label", "readers"),
    [
        ([("a", "ILL")], "ILL", 1),
        ([("a", "ILL"), ("a", "ILL")], "ILL", 1),
        ([("a", "ILL"), ("a", "WELL")], "WELL", 1),
        ([("a", "ILL"), ("b", "WELL")], None, 2),
        ([("a", "ILL"), ("b", "WELL"), ("c", "ILL")], "ILL", 3),
        ([("a", "ILL"), ("b", "WELL"), ("b", "ILL")], "ILL", 2),
    ],
    ids=["one", "again", "corrected", "disputed", "majority", "agreed"],
)
def test_film_has_the_label_of_most_readers(
    tmp_path: Path, key: Key, clock: Clock, words: list[Word], label: str | None, readers: int
) -> None:
    """Sending a label again changes nothing; another one takes its place."""
    journal = Journal(tmp_path / labels.LABELS, key, "one", clock=clock)
    for reader, word in words:
        clock.turn(days=1)
        line = {"prediction": "p", "reader": reader, "label": word, "patient": "", "site": ""}
        journal.append([{"kind": labels.LABEL, "at": stamp(clock()), **line}])

    (late,) = labels.read(tmp_path)

    assert (late.label, late.readers) == (label, readers)
    assert late.at == clock()


def test_no_labels_are_none(tmp_path: Path) -> None:
    """A service without late labels has none."""
    assert labels.read(tmp_path) == []
