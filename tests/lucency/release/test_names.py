"""A patient's name is found however it is written, and nothing else is."""

import json

import pytest

from lucency.release import names


@pytest.mark.parametrize(
    "name", ["person_12", "40213", "Ada Lovelace", "José M.", "ward 7/bed 12", "#####"]
)
def test_name_is_found(name: str) -> None:
    """
    Of one word or several, as it is, at the end of a sentence, in the name of a film, and where
    JSON writes it with escapes.
    """
    parts = {
        "card.md": f"as with {name}.".encode(),
        "films.csv": f"film,label\n{name}_bacteria_4.jpeg,1".encode(),
        "run.json": json.dumps({"note": name}).encode(),
        "other.json": b'{"note": "as with nobody"}',
    }

    assert names.holders(parts, [name]) == ["card.md", "films.csv", "run.json"]


def test_words_of_a_name_are_not_the_name() -> None:
    """Apart from each other, or inside of a longer word."""
    parts = {"a.md": b"Lovelace met Ada", "b.md": b"person_123 and aperson_12"}

    assert names.holders(parts, ["Ada Lovelace", "person_12"]) == []


def test_number_is_no_part_of_a_figure() -> None:
    """Some patient's number is among the digits of many figures."""
    parts = {"a.json": b'{"value": 0.40213, "seconds": 40213.5, "digest": "a40213", "n": 140213}'}

    assert names.holders(parts, ["40213"]) == []


def test_short_names_are_words() -> None:
    """A number or a syllable stands in every text, so it is not looked for."""
    assert names.telling(["7", "Ada", "person_12"]) == {"person_12"}
